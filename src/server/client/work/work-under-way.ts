/**
 * The work under way for one client: its commands, and changes by the API. The client's actor has one `WorkUnderWay`
 * while there is such work.
 */
import { CommandLanes } from "./command-lanes.ts";

/** The part of the client's actor that the work uses. */
interface WorkingClient {
  /** True once the client has ended: work that hasn't begun does nothing. */
  readonly hasEnded: boolean;
  /** Runs a function as a handler of the actor. */
  after(delayMs: 0, callback: () => unknown): () => void;
  /** Some work is done. */
  workDone(): void;
}

export class WorkUnderWay {
  readonly #client: WorkingClient;
  readonly #lanes = new CommandLanes();
  /** Work for the API that hasn't begun. */
  readonly #due = new Set<() => Promise<void>>();
  /** Ends the waits of the API for work that isn't done. */
  readonly #waiting = new Set<(done: boolean) => void>();

  constructor(client: WorkingClient) {
    this.#client = client;
  }

  get isEmpty(): boolean {
    return this.#lanes.isEmpty && this.#waiting.size === 0;
  }

  /** Starts a command: see `CommandLanes.start`. */
  start(lane: string | undefined, bytes: number, work: () => Promise<void>): boolean {
    return this.#lanes.start(lane, bytes, work, () => this.#client.workDone());
  }

  /**
   * Runs work as a handler of the actor. Resolves with what it returns; with false if the client has gone.
   *
   * @param channel channel whose commands that are under way come first; "" for all channels
   */
  soon(work: () => boolean | Promise<boolean>, channel: string | undefined): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    this.#waiting.add(resolve);
    const run = async (): Promise<void> => {
      try {
        resolve(!this.#client.hasEnded && (await work()));
      } finally {
        this.#waiting.delete(resolve);
        resolve(false);
        this.#client.workDone();
      }
    };
    const begin = async (): Promise<void> => {
      if (!this.#due.delete(begin)) return;
      if (channel === "") await this.#lanes.settled();
      if (!channel) return run();
      this.#lanes.startOwn(channel, run, () => this.#client.workDone());
    };
    this.#due.add(begin);
    this.#client.after(0, begin);
    return promise;
  }

  /** Resolves when everything that was begun, or was to begin, is done. */
  async settled(): Promise<void> {
    while (!this.isEmpty) {
      for (const begin of [...this.#due]) await begin();
      await this.#lanes.settled();
    }
  }

  /** The client has ended: commands that wait do nothing, and the API waits no longer. */
  end(): void {
    this.#lanes.end();
    for (const resolve of this.#waiting) resolve(false);
  }
}
