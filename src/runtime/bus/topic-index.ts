/**
 * The topics that one thread knows, with their subscribers here and the other threads that want them. `Bus` owns it.
 */
import { SwitchboardError } from "../../errors.ts";
import { NOTHING_KEPT, type Subscribed } from "../streams/subscribe.ts";
import { addSubscriber, deleteSubscriber, NO_SUBSCRIBERS, type Subscriber } from "./audience.ts";
import type { Receivers } from "./delivery.ts";
import type { MovingSubscribers } from "./moving/moving-subscribers.ts";
import { type Encoding, Variants } from "./variants.ts";

/** Another thread that wants a topic, and the number that it gave to the topic. */
export interface RemoteInterest<Link> {
  readonly link: Link;
  readonly id: number;
}

export interface Topic<Link> extends Receivers {
  /** This thread's number for the topic. Other threads send it instead of the name. Never used again. */
  readonly id: number;
  remotes: readonly RemoteInterest<Link>[];
  /** Resolves when every thread knows that there are subscribers here. */
  known: Promise<Subscribed>;
  /** Subscribers that are leaving for another thread or arriving from one; undefined, as nearly always, without any. */
  moving: readonly MovingSubscribers[] | undefined;
}

const KNOWN = Promise.resolve(NOTHING_KEPT);
/** Shared by topics that no other thread wants. */
const NO_REMOTES: readonly never[] = [];

const MAX_TOPIC_BYTES = 255;

/** Throws `ERR_TOPIC` for anything but a string of 1 to 255 bytes of UTF-8. Half of a surrogate pair has no UTF-8. */
export function checkTopic(name: unknown): asserts name is string {
  // A UTF-16 unit takes at most three bytes, so most names need no counting.
  if (
    typeof name === "string" &&
    name !== "" &&
    (name.length <= MAX_TOPIC_BYTES / 3 || Buffer.byteLength(name) <= MAX_TOPIC_BYTES) &&
    name.isWellFormed()
  )
    return;
  const got = typeof name === "string" ? describe(name) : typeof name;
  throw new SwitchboardError("ERR_TOPIC", `a topic is a string of 1 to ${MAX_TOPIC_BYTES} bytes, got ${got}`);
}

function describe(name: string): string {
  return name.isWellFormed() ? `one of ${Buffer.byteLength(name)} bytes` : "one with half of a surrogate pair";
}

/** Returns whether the topic has subscribers in this thread, or expects some. */
export function isWanted({ subscribers, encoded, moving }: Topic<unknown>): boolean {
  return subscribers.size > 0 || encoded?.isEmpty === false || moving !== undefined;
}

/** All topics with a subscriber in this thread or, as far as this thread knows, in another. */
export class TopicIndex<Link> {
  readonly #byName = new Map<string, Topic<Link>>();
  /** Topics with subscribers in this thread: other threads know only the numbers of these. */
  readonly #byId = new Map<number, Topic<Link>>();
  #nextId = 0;

  get(name: string): Topic<Link> | undefined {
    return this.#byName.get(name);
  }

  /** The topic with this number, while it has subscribers in this thread. */
  getById(id: number): Topic<Link> | undefined {
    return this.#byId.get(id);
  }

  getOrCreate(name: string): Topic<Link> {
    let topic = this.#byName.get(name);
    if (topic === undefined) {
      topic = {
        name,
        id: this.#nextId++,
        subscribers: NO_SUBSCRIBERS,
        remotes: NO_REMOTES,
        encoded: undefined,
        moving: undefined,
        known: KNOWN,
        group: undefined,
        absent: undefined,
      };
      this.#byName.set(name, topic);
    }
    return topic;
  }

  /** Returns true if it is the first subscriber in this thread. */
  addSubscriber(topic: Topic<Link>, subscriber: Subscriber, encode?: Encoding): boolean {
    const isFirst = !isWanted(topic);
    if (isFirst) this.#byId.set(topic.id, topic);
    if (encode === undefined) {
      addSubscriber(topic, subscriber);
    } else {
      topic.encoded ??= new Variants(topic.name);
      topic.encoded.add(subscriber, encode);
    }
    return isFirst;
  }

  /** Returns true if it was the last subscriber in this thread. */
  deleteSubscriber(topic: Topic<Link>, subscriber: Subscriber, encode?: Encoding): boolean {
    if (!this.takeSubscriber(topic, subscriber, encode) || isWanted(topic)) return false;
    this.#byId.delete(topic.id);
    return true;
  }

  /** Removes a subscriber of a topic that stays wanted. Returns true if it was a subscriber. */
  takeSubscriber(topic: Topic<Link>, subscriber: Subscriber, encode?: Encoding): boolean {
    if (encode === undefined) return deleteSubscriber(topic, subscriber);
    if (topic.encoded?.delete(subscriber, encode) !== true) return false;
    if (topic.encoded.isEmpty) topic.encoded = undefined;
    return true;
  }

  /** Adds subscribers that are moving. Returns true if the topic wasn't wanted in this thread before. */
  addMoving(topic: Topic<Link>, subscribers: MovingSubscribers): boolean {
    const isFirst = !isWanted(topic);
    if (isFirst) this.#byId.set(topic.id, topic);
    topic.moving = [...(topic.moving ?? []), subscribers];
    return isFirst;
  }

  /** Removes subscribers that were moving. Returns true if the topic isn't wanted in this thread any more. */
  deleteMoving(topic: Topic<Link>, subscribers: MovingSubscribers): boolean {
    const moving = topic.moving?.filter((other) => other !== subscribers) ?? [];
    topic.moving = moving.length === 0 ? undefined : moving;
    if (isWanted(topic)) return false;
    this.#byId.delete(topic.id);
    return true;
  }

  /** Forgets the topic if no thread wants it any more. */
  prune(topic: Topic<Link>): void {
    if (isWanted(topic) || topic.remotes.length > 0) return;
    this.#byName.delete(topic.name);
  }

  values(): Iterable<Topic<Link>> {
    return this.#byName.values();
  }
}
