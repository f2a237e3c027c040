/**
 * A thread of the test of subscribers that hop between threads: publishes, has subscribers, and sends them to other
 * threads. Everything is counted by the subscribers themselves. `hop-run.ts` starts the threads.
 */
import { type MessagePort, parentPort, workerData } from "node:worker_threads";
import type { Subscriber } from "../../src/runtime/bus/audience.ts";
import { Bus } from "../../src/runtime/bus/bus.ts";
import type { BusSubscription, Ticket } from "../../src/runtime/bus/moving/move.ts";
import type { Encode } from "../../src/runtime/streams/publication.ts";
import { encodeText, type Frame } from "../../src/wire/protocol/frame.ts";
import type { SendResult } from "../../src/wire/protocol/send-result.ts";

export const TOPICS = 8;
/** Topics of one subscriber. */
const TOPICS_EACH = 3;
const topicName = (number: number): string => `topic ${number}`;

export type Way = "marks" | "naive";

export interface HopSettings {
  readonly life: number;
  readonly ports: readonly { readonly life: number; readonly port: MessagePort }[];
  readonly subscribers: number;
  /** Subscribers that leave together. */
  readonly batch: number;
  readonly publishesPerSecond: number;
  readonly way: Way;
}

export type HopOrder = { readonly kind: "publish" | "stopMoving" | "stopPublishing" };

export interface HopCounts {
  readonly life: number;
  /** Subscribers in the thread. */
  readonly hoppers: number;
  readonly moves: number;
  readonly calledOff: number;
  readonly delivered: number;
  readonly doubled: number;
  readonly missed: number;
}

/** What one subscriber has got of one publisher on one topic. */
interface Progress {
  last: number;
  /** Its own publishes, which the bus doesn't give back. */
  readonly own: number[];
  hasEnded: boolean;
}

interface HopperState {
  readonly topics: readonly number[];
  readonly isEncoded: boolean;
  readonly progress: ReadonlyMap<string, Progress>;
  readonly counts: { delivered: number; doubled: number; missed: number };
}

/** Another look of the same message, as protocols have it. */
const encode: Encode = ({ message }) => `=${message.text}`;

class Hopper implements Subscriber {
  readonly topics: readonly number[];
  readonly isEncoded: boolean;
  readonly progress: Map<string, Progress>;
  readonly counts: HopperState["counts"];

  constructor({ topics, isEncoded, progress, counts }: HopperState) {
    this.topics = topics;
    this.isEncoded = isEncoded;
    this.progress = new Map(progress);
    this.counts = counts;
  }

  get subscriptions(): BusSubscription[] {
    return this.topics.map((number) => ({
      topic: topicName(number),
      subscriber: this,
      encode: this.isEncoded ? encode : undefined,
    }));
  }

  get state(): HopperState {
    const { topics, isEncoded, progress, counts } = this;
    return { topics, isEncoded, progress, counts };
  }

  /** A message is `<publisher> <number>`, or `<publisher> end <last number>`. */
  deliver({ block, start, end }: Frame, topic: string): SendResult {
    const text = block.toString("latin1", start + 2, end);
    if (text.startsWith("=") !== this.isEncoded) throw new Error(`got ${text}, encoded: ${this.isEncoded}`);
    const words = text.slice(this.isEncoded ? 1 : 0).split(" ");
    const progress = this.progressOf(words[0] as string, topic);
    const isEnd = words[1] === "end";
    const number = Number(words.at(-1)) + (isEnd ? 1 : 0);
    while (progress.own[0] === progress.last + 1) {
      progress.own.shift();
      progress.last++;
    }
    this.counts.delivered++;
    if (number <= progress.last) this.counts.doubled++;
    else this.counts.missed += number - progress.last - 1;
    progress.last = Math.max(progress.last, number);
    if (isEnd) progress.hasEnded = true;
    return "sent";
  }

  progressOf(publisher: string, topic: string): Progress {
    const key = `${publisher} ${topic}`;
    let progress = this.progress.get(key);
    if (progress === undefined) {
      progress = { last: 0, own: [], hasEnded: false };
      this.progress.set(key, progress);
    }
    return progress;
  }

  hasEnded(publishers: number): boolean {
    return this.progress.size === publishers * TOPICS_EACH && [...this.progress.values()].every((one) => one.hasEnded);
  }
}

interface Arrival {
  readonly kind: "hopper";
  readonly ticket: Ticket | undefined;
  readonly state: HopperState;
}

class HopThread {
  readonly #settings: HopSettings;
  readonly #bus: Bus;
  readonly #ports = new Map<number, MessagePort>();
  /** Subscribers that aren't moving. */
  readonly #hoppers = new Set<Hopper>();
  /** Subscribers that are leaving, until they are posted, or that have come and aren't written out. */
  readonly #moving = new Set<Hopper>();
  readonly #numbers = new Array<number>(TOPICS).fill(0);
  #moves = 0;
  #calledOff = 0;
  /** Number of other threads whose last subscribers have come. */
  #othersStopped = 0;
  #isMoving = true;
  #isPublishing = true;
  #random: number;

  constructor(settings: HopSettings) {
    this.#settings = settings;
    this.#bus = new Bus({ publishDropped: () => fail(new Error("a publish was dropped")) }, { life: settings.life });
    this.#random = settings.life + 1;
  }

  async start(): Promise<void> {
    const { ports, subscribers } = this.#settings;
    for (const { life, port } of ports) {
      this.#ports.set(life, port);
      port.on("message", (message: { readonly kind: string }) => {
        if (message.kind === "hopper") this.#arrive(message as Arrival);
        if (message.kind === "stopped") this.#othersStopped++;
      });
    }
    await Promise.all(ports.map(({ life, port }) => this.#bus.addLink(port, life)));
    for (let i = 0; i < subscribers; i++) {
      const topics = Array.from({ length: TOPICS_EACH }, (_, k) => (i + k * 3) % TOPICS);
      const counts = { delivered: 0, doubled: 0, missed: 0 };
      this.#hoppers.add(new Hopper({ topics, isEncoded: i % 4 === 3, progress: new Map(), counts }));
    }
    await Promise.all([...this.#hoppers].flatMap(({ subscriptions }) => subscriptions.map((one) => this.#add(one))));
  }

  #add({ topic, subscriber, encode: own }: BusSubscription): Promise<unknown> {
    return this.#bus.subscribe(topic, subscriber, own);
  }

  obey({ kind }: HopOrder): void {
    if (kind === "stopMoving") this.#isMoving = false;
    else if (kind === "stopPublishing") this.#isPublishing = false;
    else {
      this.#publish(performance.now(), 0);
      if (this.#settings.subscribers > 0) void this.#hop();
    }
  }

  /** Publishes at its rate, however late its timer is. */
  #publish(since: number, published: number): void {
    if (!this.#isPublishing) {
      for (let topic = 0; topic < TOPICS; topic++) {
        this.#bus.publish(topicName(topic), encodeText(`${this.#settings.life} end ${this.#numbers[topic]}`));
      }
      void this.#finish();
      return;
    }
    const due = Math.min(published + 200, ((performance.now() - since) / 1_000) * this.#settings.publishesPerSecond);
    let count = published;
    for (; count < due; count++) this.#publishOne();
    setTimeout(() => this.#publish(since, count), 1);
  }

  #publishOne(): void {
    const topic = this.#below(TOPICS);
    const number = (this.#numbers[topic] ?? 0) + 1;
    this.#numbers[topic] = number;
    const name = topicName(topic);
    const publisher = this.#below(4) === 0 ? this.#one(this.#subscribersOf(topic)) : undefined;
    publisher?.progressOf(`${this.#settings.life}`, name).own.push(number);
    this.#bus.publish(name, encodeText(`${this.#settings.life} ${number}`), publisher);
  }

  /** Sends subscribers to other threads, as many as there are, until told to stop. */
  async #hop(): Promise<void> {
    const lives = [...this.#ports.keys()].filter((life) => life !== 0);
    while (this.#isMoving) {
      const life = lives[this.#below(lives.length)] as number;
      const leaving = new Set<Hopper>();
      for (let i = 0; i < this.#settings.batch; i++) {
        const one = this.#one([...this.#hoppers]);
        if (one !== undefined) leaving.add(one);
      }
      if (leaving.size > 0) {
        await this.#send([...leaving], life);
        // Only then: a thread without subscribers would flood the main thread.
        parentPort?.postMessage({ kind: "moves", moves: this.#moves });
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
    if (this.#settings.way === "naive") await this.#allArrived(lives);
    parentPort?.postMessage({ kind: "stoppedMoving" });
  }

  /** Waits until nobody is between two threads: without marks, who is there misses the end of the run. */
  async #allArrived(lives: readonly number[]): Promise<void> {
    for (const life of lives) this.#ports.get(life)?.postMessage({ kind: "stopped" });
    while (this.#othersStopped < lives.length || this.#moving.size > 0) {
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  async #send(leaving: readonly Hopper[], life: number): Promise<void> {
    for (const one of leaving) this.#hoppers.delete(one);
    for (const one of leaving) this.#moving.add(one);
    const stay = (one: Hopper): void => {
      this.#moving.delete(one);
      this.#hoppers.add(one);
    };
    const post = (one: Hopper, ticket: Ticket | undefined): true => {
      this.#moving.delete(one);
      const arrival: Arrival = { kind: "hopper", ticket, state: one.state };
      this.#ports.get(life)?.postMessage(arrival);
      this.#moves++;
      return true;
    };
    if (this.#settings.way === "naive") {
      for (const one of leaving) {
        for (const { topic, subscriber, encode: own } of one.subscriptions)
          this.#bus.unsubscribe(topic, subscriber, own);
        post(one, undefined);
      }
      return;
    }
    const departure = this.#bus.leaveFor(life, leaving);
    try {
      await departure.ready;
      // Now and then one stays.
      const stays = this.#below(20) === 0 ? leaving[0] : undefined;
      departure.commit((one, ticket) => one !== stays && post(one, ticket));
      for (const one of leaving) if (this.#moving.has(one)) stay(one);
    } catch {
      this.#calledOff++;
      leaving.forEach(stay);
    }
  }

  #arrive({ ticket, state }: Arrival): void {
    const hopper = new Hopper(state);
    this.#moving.add(hopper);
    const arrived =
      ticket === undefined
        ? Promise.all(hopper.subscriptions.map((one) => this.#add(one)))
        : this.#bus.arrive(ticket, hopper.subscriptions);
    arrived.then(() => {
      this.#moving.delete(hopper);
      this.#hoppers.add(hopper);
      void this.#finish();
    }, fail);
  }

  /** Reports when all subscribers here have got the last message of every publisher on each topic. */
  async #finish(): Promise<void> {
    if (this.#isPublishing) return;
    while (![...this.#hoppers].every((one) => one.hasEnded(this.#ports.size + 1))) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    parentPort?.postMessage({ kind: "finished", counts: this.#counts() });
  }

  #counts(): HopCounts {
    const sum = (pick: (counts: HopperState["counts"]) => number): number =>
      [...this.#hoppers].reduce((total, { counts }) => total + pick(counts), 0);
    return {
      life: this.#settings.life,
      hoppers: this.#hoppers.size,
      moves: this.#moves,
      calledOff: this.#calledOff,
      delivered: sum((counts) => counts.delivered),
      doubled: sum((counts) => counts.doubled),
      missed: sum((counts) => counts.missed),
    };
  }

  #subscribersOf(topic: number): Hopper[] {
    return [...this.#hoppers, ...this.#moving].filter(({ topics }) => topics.includes(topic));
  }

  #one(some: readonly Hopper[]): Hopper | undefined {
    return some[this.#below(some.length)];
  }

  #below(limit: number): number {
    // The generator of Numerical Recipes: the same run for the same seed, as far as threads allow.
    this.#random = (Math.imul(this.#random, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((this.#random / 2 ** 32) * limit);
  }
}

function fail(error: unknown): void {
  setImmediate(() => {
    throw error;
  });
}

const thread = new HopThread(workerData as HopSettings);
parentPort?.on("message", (order: HopOrder) => thread.obey(order));
await thread.start();
parentPort?.postMessage({ kind: "ready" });
