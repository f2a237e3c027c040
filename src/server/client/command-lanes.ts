/**
 * The commands of one client that are under way. Commands of one lane, such as a channel, run one after the other;
 * commands of different lanes run side by side. The client's actor has one `CommandLanes` while commands are under way.
 */
import type { Command } from "../protocol/messages.ts";

/** Number of commands of one client that are under way together. The next one waits until one of them is done. */
export const MAX_UNDER_WAY = 32;

export class CommandLanes {
  /** The newest work of each lane. */
  readonly #newest = new Map<string, Promise<void>>();
  readonly #underWay = new Set<Promise<void>>();

  get isEmpty(): boolean {
    return this.#underWay.size === 0;
  }

  /**
   * Starts work, or queues it behind the work of the same lane. Returns a promise while `MAX_UNDER_WAY` are under way:
   * the caller waits for it before the next command.
   *
   * @param lane undefined: no other work has to wait
   * @param done called when the work is done
   */
  start(lane: string | undefined, work: () => Promise<void>, done: () => void): Promise<void> | undefined {
    const before = lane === undefined ? undefined : this.#newest.get(lane);
    const tracked: Promise<void> = (before === undefined ? work() : before.then(work)).finally(() => {
      this.#underWay.delete(tracked);
      if (lane !== undefined && this.#newest.get(lane) === tracked) this.#newest.delete(lane);
      done();
    });
    this.#underWay.add(tracked);
    if (lane !== undefined) this.#newest.set(lane, tracked);
    return this.#underWay.size < MAX_UNDER_WAY ? undefined : Promise.race(this.#underWay);
  }

  /** Resolves when all work that is under way now is done. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#underWay);
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
