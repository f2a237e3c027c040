import { SwitchboardError } from "../../errors.ts";
import type { Frame } from "../../wire/protocol/frame.ts";
import type { SendResult } from "../../wire/protocol/send-result.ts";

/** Who gets a topic's publishes in this thread. */
export interface Subscriber {
  /** @param cohort to be joined by whoever can */
  deliver(frame: Frame, topic: string, cohort?: Cohort): SendResult;
}

/** Subscribers that wait for the same: what is published to all of them is queued once. They leave it when that ends. */
export interface Cohort {
  readonly size: number;
  /** Queues it for all. False: each must be asked. */
  append(frame: Frame): boolean;
}

/** Another thread that wants a topic, and the number by which it knows it. */
export interface RemoteInterest<Link> {
  readonly link: Link;
  readonly id: number;
}

export interface Topic<Link> {
  readonly name: string;
  /** This thread's number for the topic, on the wire instead of its name. Never used again for another. */
  readonly id: number;
  subscribers: ReadonlySet<Subscriber>;
  /** Of those to whom the last publish went; all of them, when as many as there are now are in it. */
  cohort: Cohort | undefined;
  /** Who isn't in the cohort: the publisher. */
  absent: Subscriber | undefined;
  remotes: readonly RemoteInterest<Link>[];
  /** Resolves when every thread knows that there are subscribers here. */
  known: Promise<void>;
}

const KNOWN = Promise.resolve();
/** Of hundreds of thousands of topics most have one or the other. */
const NO_SUBSCRIBERS: ReadonlySet<Subscriber> = new Set();
const NO_REMOTES: readonly never[] = [];

const MAX_TOPIC_BYTES = 255;

/** Throws for what can't be a topic: they are strings of 1 to 255 bytes of UTF-8. */
export function checkTopic(name: unknown): asserts name is string {
  // A UTF-16 unit takes at most three bytes, so most names need no counting.
  if (
    typeof name === "string" &&
    name !== "" &&
    (name.length <= MAX_TOPIC_BYTES / 3 || Buffer.byteLength(name) <= MAX_TOPIC_BYTES)
  )
    return;
  const got = typeof name === "string" ? `one of ${Buffer.byteLength(name)} bytes` : typeof name;
  throw new SwitchboardError("ERR_TOPIC", `a topic is a string of 1 to ${MAX_TOPIC_BYTES} bytes, got ${got}`);
}

/** Which topics exist as far as this thread knows: those with a subscriber here or in another thread. */
export class TopicIndex<Link> {
  readonly #byName = new Map<string, Topic<Link>>();
  /** Those with subscribers here: nobody else is told their numbers. */
  readonly #byId = new Map<number, Topic<Link>>();
  #nextId = 0;

  get(name: string): Topic<Link> | undefined {
    return this.#byName.get(name);
  }

  /** The topic that this thread gave this number to, as long as it has subscribers here. */
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
        cohort: undefined,
        absent: undefined,
      };
      this.#byName.set(name, topic);
    }
    return topic;
  }

  addSubscriber(topic: Topic<Link>, subscriber: Subscriber): void {
    if (topic.subscribers.size === 0) this.#byId.set(topic.id, topic);
    if (topic.subscribers === NO_SUBSCRIBERS) topic.subscribers = new Set([subscriber]);
    else (topic.subscribers as Set<Subscriber>).add(subscriber);
  }

  /** Whether it was one. */
  deleteSubscriber(topic: Topic<Link>, subscriber: Subscriber): boolean {
    if (topic.subscribers === NO_SUBSCRIBERS || !(topic.subscribers as Set<Subscriber>).delete(subscriber))
      return false;
    if (topic.subscribers.size === 0) this.#byId.delete(topic.id);
    return true;
  }

  /** Forgets a topic that nobody wants any more. */
  prune(topic: Topic<Link>): void {
    if (topic.subscribers.size > 0 || topic.remotes.length > 0) return;
    this.#byName.delete(topic.name);
  }

  values(): Iterable<Topic<Link>> {
    return this.#byName.values();
  }
}
