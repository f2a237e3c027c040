/**
 * The topics that one thread knows, with their subscribers here and the other threads that want them. `Bus` owns it.
 */
import { SwitchboardError } from "../../errors.ts";
import { NOTHING_KEPT, type Subscribed } from "../streams/subscribe.ts";
import { type Audience, addSubscriber, deleteSubscriber, NO_SUBSCRIBERS, type Subscriber } from "./audience.ts";

/** Another thread that wants a topic, and the number that it gave to the topic. */
export interface RemoteInterest<Link> {
  readonly link: Link;
  readonly id: number;
}

export interface Topic<Link> extends Audience {
  /** This thread's number for the topic. Other threads send it instead of the name. Never used again. */
  readonly id: number;
  remotes: readonly RemoteInterest<Link>[];
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
        known: KNOWN,
        group: undefined,
        absent: undefined,
      };
      this.#byName.set(name, topic);
    }
    return topic;
  }

  addSubscriber(topic: Topic<Link>, subscriber: Subscriber): void {
    if (topic.subscribers.size === 0) this.#byId.set(topic.id, topic);
    addSubscriber(topic, subscriber);
  }

  /** Returns true if it was a subscriber. */
  deleteSubscriber(topic: Topic<Link>, subscriber: Subscriber): boolean {
    if (!deleteSubscriber(topic, subscriber)) return false;
    if (topic.subscribers.size === 0) this.#byId.delete(topic.id);
    return true;
  }

  /** Forgets the topic if no thread wants it any more. */
  prune(topic: Topic<Link>): void {
    if (topic.subscribers.size > 0 || topic.remotes.length > 0) return;
    this.#byName.delete(topic.name);
  }

  values(): Iterable<Topic<Link>> {
    return this.#byName.values();
  }
}
