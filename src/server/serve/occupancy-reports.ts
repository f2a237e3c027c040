/**
 * Adds up what the threads of shards report of their channels: the first subscriber and the last one of the whole node.
 * In a takeover the next process gets the channels that are occupied.
 */
import type { ClientReport } from "../client/client-server.ts";

export interface OccupancyOwner {
  /** False if nobody is told. */
  readonly tellsOccupancy: boolean;
  occupied(channel: string): void;
  vacated(channel: string): void;
  /** Forgets the vacated channels that aren't told yet, and returns them. */
  takeVacated(): readonly string[];
}

/** A report about the clients of one thread. While a shard gets new code, two threads of the shard report. */
export type ThreadReport = ClientReport & { readonly thread: number };

export class OccupancyReports {
  /** Threads with subscribers, and their shards, by channel. */
  readonly #channels = new Map<string, Map<number, number>>();
  readonly #owner: OccupancyOwner;
  /** Channels that were occupied in the process before, and that nobody has subscribed to here. */
  readonly #awaited = new Set<string>();
  /** Vacated channels that this process was about to tell when another one began to take over. */
  #vacated: readonly string[] = [];
  /** Reports that wait for the outcome of a takeover; undefined without one. */
  #held: (() => void)[] | undefined;
  /** True once another process tells the application. */
  #hasLeft = false;

  constructor(owner: OccupancyOwner) {
    this.#owner = owner;
  }

  reported(shard: number, report: ThreadReport): void {
    if (this.#held !== undefined) this.#hold(() => this.reported(shard, report));
    else if (report.kind === "vacated") this.#reportVacated(report);
    else this.#reportOccupied(shard, report);
  }

  #reportVacated({ channel, thread }: ThreadReport): void {
    const threads = this.#channels.get(channel);
    if (threads?.delete(thread)) this.#check(channel, threads);
  }

  #reportOccupied(shard: number, { channel, thread }: ThreadReport): void {
    const threads = this.#channels.get(channel);
    if (threads !== undefined) {
      threads.set(thread, shard);
      return;
    }
    this.#channels.set(channel, new Map([[thread, shard]]));
    if (!this.#awaited.delete(channel)) this.#owner.occupied(channel);
  }

  /** A thread of the shard ended, and its clients with it. */
  shardLost(lost: number): void {
    if (this.#held !== undefined) {
      this.#hold(() => this.shardLost(lost));
      return;
    }
    for (const [channel, threads] of [...this.#channels]) {
      for (const [thread, shard] of [...threads]) if (shard === lost) threads.delete(thread);
      this.#check(channel, threads);
    }
  }

  #check(channel: string, threads: Map<number, number>): void {
    if (threads.size > 0) return;
    this.#channels.delete(channel);
    this.#owner.vacated(channel);
  }

  #hold(report: () => void): void {
    if (!this.#hasLeft) this.#held?.push(report);
  }

  /**
   * Gives the channels that the application takes for occupied to the next process; undefined if nobody is told.
   * Reports wait from now on: `goOn` or `leave` follows.
   */
  give(): readonly string[] | undefined {
    if (!this.#owner.tellsOccupancy) return undefined;
    this.#held = [];
    this.#vacated = this.#owner.takeVacated();
    return [...this.#channels.keys(), ...this.#awaited, ...this.#vacated];
  }

  /** The takeover has failed: this process tells everything. */
  goOn(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const channel of this.#vacated) this.#owner.vacated(channel);
    this.#vacated = [];
    for (const report of held) report();
  }

  /** The next process tells everything. */
  leave(): void {
    this.#hasLeft = true;
    if (this.#held !== undefined) this.#held = [];
  }

  /** Takes the channels that were occupied in the process before: their subscribers are on the way. */
  await(channels: readonly string[]): void {
    if (!this.#owner.tellsOccupancy) return;
    for (const channel of channels) this.#awaited.add(channel);
  }

  /** Everybody is here. Those that are awaited still have the time that the owner gives to vacated channels. */
  allArrived(): void {
    const missing = [...this.#awaited];
    this.#awaited.clear();
    for (const channel of missing) this.#owner.vacated(channel);
  }
}
