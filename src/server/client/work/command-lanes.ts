/**
 * The commands of one client that are under way. Commands of one lane, such as a channel, run one after the other;
 * commands of different lanes run side by side. The client's actor has one `CommandLanes` while commands are under way.
 */
import type { Command } from "../../protocol/messages.ts";

/** Number of commands of one client that are under way together. The next ones wait until one of them is done. */
export const MAX_UNDER_WAY = 32;

/** Bounds of the commands of one client that are under way or wait: their number, and the bytes that they came in. */
export const MAX_COMMANDS = 1_024;
export const MAX_COMMAND_BYTES = 1_048_576;

type Work = () => Promise<void>;

export class CommandLanes {
  /** The newest work of each lane. */
  readonly #newest = new Map<string, Promise<void>>();
  /** All work that has been taken and isn't done. */
  readonly #taken = new Set<Promise<void>>();
  #bytes = 0;
  #free = MAX_UNDER_WAY;
  /** Commands that wait for others to be done, in their order. */
  readonly #waiting: (() => void)[] = [];

  get isEmpty(): boolean {
    return this.#taken.size === 0;
  }

  /**
   * Starts a command, or queues it behind those of the same lane, and behind others while `MAX_UNDER_WAY` are under
   * way. Returns false at the bounds: the command isn't taken. The caller never waits, so pings, mail and the end of
   * the client pass the commands by.
   *
   * @param lane undefined: the command waits for no other one of its lane
   * @param bytes number of bytes that the command came in
   * @param done called when the command is done
   */
  start(lane: string | undefined, bytes: number, work: Work, done: () => void): boolean {
    if (this.#taken.size >= MAX_COMMANDS || this.#bytes + bytes > MAX_COMMAND_BYTES) return false;
    this.#bytes += bytes;
    this.#take(
      lane,
      () => this.#whenFree(work),
      () => {
        this.#bytes -= bytes;
        done();
      },
    );
    return true;
  }

  /** Queues work of the server behind the commands of a lane. It counts towards no bound. */
  startOwn(lane: string, work: Work, done: () => void): void {
    this.#take(lane, work, done);
  }

  #take(lane: string | undefined, work: Work, done: () => void): void {
    const before = lane === undefined ? undefined : this.#newest.get(lane);
    const tracked: Promise<void> = (before === undefined ? work() : before.then(work)).finally(() => {
      this.#taken.delete(tracked);
      if (lane !== undefined && this.#newest.get(lane) === tracked) this.#newest.delete(lane);
      done();
    });
    this.#taken.add(tracked);
    if (lane !== undefined) this.#newest.set(lane, tracked);
  }

  #whenFree(work: Work): Promise<void> {
    if (this.#free > 0) return this.#run(work);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push(resolve);
    return promise.then(() => this.#run(work));
  }

  async #run(work: Work): Promise<void> {
    this.#free--;
    try {
      await work();
    } finally {
      this.#free++;
      if (this.#free > 0) this.#waiting.shift()?.();
    }
  }

  /** Lets all commands go on that wait for others: the client has ended, and they do nothing. */
  end(): void {
    for (const go of this.#waiting.splice(0)) go();
  }

  /** Resolves when all work that has been taken so far is done. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#taken);
  }
}

/** Returns the lane of a command: that of its channel. Calls of methods have none: they don't wait for each other. */
export function laneOf(command: Command): string | undefined {
  switch (command.kind) {
    case "subscribe":
    case "unsubscribe":
    case "publish":
    case "presence":
    case "presence_stats":
    case "history":
    case "sub_refresh":
      return command.request.channel;
    case "refresh":
      // No channel has this name.
      return "";
    default:
      return undefined;
  }
}
