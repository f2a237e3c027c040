/** Publishes in turn to a number of topics: as fast as subscribers receive, or at a given rate. */
import { setTimeout as delay, setImmediate } from "node:timers/promises";
import { writeMessage } from "./messages.ts";

/** Publishes in one turn of the event loop. */
const BURST = 500;

export type Publish = (topic: string, message: Buffer) => Promise<unknown> | undefined;

export interface Publishing {
  readonly topics: readonly string[];
  /** Messages that may be under way: more are published when all subscribers have received earlier ones. */
  readonly window: number;
  /** Publishes per second. Default: as many as the window allows. */
  readonly rate?: number | undefined;
}

export class Publisher {
  readonly #publish: Publish;
  /** Number of messages by topic. */
  readonly #numbers = new Map<string, number>();
  #published = 0;
  #received = 0;
  #isRunning = false;
  #credit = Promise.withResolvers<void>();
  #failure: unknown;
  #ended = Promise.resolve();

  constructor(publish: Publish) {
    this.#publish = publish;
  }

  /** What the parent may call. */
  readonly handlers = {
    start: (publishing: Publishing): void => {
      this.#published = 0;
      this.#received = 0;
      this.#isRunning = true;
      this.#ended = this.#run(publishing);
    },
    received: (count: number): void => {
      this.#received = count;
      this.#credit.resolve();
    },
    published: (): number => {
      if (this.#failure !== undefined) throw this.#failure;
      return this.#published;
    },
    /** Ends, and returns the number of messages. */
    stop: async (): Promise<number> => {
      this.#isRunning = false;
      this.#credit.resolve();
      await this.#ended;
      return this.handlers.published();
    },
  };

  async #run({ topics, window, rate }: Publishing): Promise<void> {
    const startedAt = performance.now();
    while (this.#isRunning) {
      const due = rate === undefined ? Infinity : Math.floor(((performance.now() - startedAt) / 1_000) * rate);
      const allowed = Math.min(this.#received + window, due, this.#published + BURST);
      if (this.#published < allowed) {
        for (; this.#published < allowed; this.#published++) this.#one(topics, this.#published % topics.length);
        await setImmediate();
      } else if (this.#published < due) {
        this.#credit = Promise.withResolvers();
        if (this.#published >= this.#received + window && this.#isRunning) await this.#credit.promise;
      } else {
        await delay(1);
      }
    }
  }

  #one(topics: readonly string[], index: number): void {
    const topic = topics[index] as string;
    const number = (this.#numbers.get(topic) ?? 0) + 1;
    this.#numbers.set(topic, number);
    this.#publish(topic, writeMessage(index, number))?.catch((error: unknown) => {
      this.#failure ??= error;
    });
  }
}
