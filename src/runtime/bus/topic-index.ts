/**
 * The topics that one thread knows, with their subscribers here and the other threads that want them. `Bus` owns it.
 */
import { SwitchboardError } from "../../errors.ts";
import { NOTHING_KEPT, type Subscribed } from "../streams/subscribe.ts";
import { type Audience, addSubscriber, deleteSubscriber, NO_SUBSCRIBERS, type Subscriber } from "./audience.ts";
import { type Encoding, Variants } from "./variants.ts";

/** Another thread that wants a topic, and the number that it gave to the topic. */
export interface RemoteInterest<Link> {
  readonly link: Link;
  readonly id: number;
}

export interface Topic<Link> extends Audience {
  /** This thread's number for the topic. Other threads send it instead of the name. Never used again. */
  readonly id: number;
  remotes: readonly RemoteInterest<Link>[];
  /** Subscribers with an `encode`. */
  encoded: Variants<Subscriber> | undefined;
  /** Resolves when every thread knows that there are subscribers here. */
  known: Promise<Subscribed>;
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

/** Returns whether the topic has subscribers in this thread. */
export function isWanted({ subscribers, encoded }: Topic<unknown>): boolean {
  return subscribers.size > 0 || encoded?.isEmpty === false;
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
    const was =
      encode === undefined ? deleteSubscriber(topic, subscriber) : topic.encoded?.delete(subscriber, encode) === true;
    if (!was || isWanted(topic)) return false;
    topic.encoded = undefined;
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
