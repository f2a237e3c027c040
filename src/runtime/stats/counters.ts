/**
 * Everything that a shard counts, in memory that the shard shares with the main thread. `board.stats()` and the metrics
 * read it without a message.
 */
import { ActorCounters, type ActorCounts, actorCountersBytes } from "./actor-counters.ts";
import { CLOSE_COUNTERS_BYTES, CloseCounters, type CloseCounts } from "./close-counters.ts";
import { HISTOGRAM_BYTES, type HistogramValues, SharedHistogram } from "./histogram.ts";
import { UPGRADE_COUNTERS_BYTES, UpgradeCounters } from "./upgrade-counters.ts";

/** Values of this moment. All are zero when a shard starts. */
const gauges = [
  /** Number of open connections. */
  "connections",
  /** Number of actors that aren't done: the connection is open, or a handler, `closed` included, is still under way. */
  "actors",
  /** Number of sockets in their opening handshake. Only with `handshake: "shard"`. */
  "handshakes",
  /** Part of the last second in which the event loop was busy, from 0 to 1. */
  "eventLoopUtilization",
  /** Milliseconds by which this thread's timers are late: the mean of about the last second. */
  "eventLoopDelayMs",
  /** Bytes of JavaScript memory in use, sampled once a second. */
  "heapUsedBytes",
  /** Bytes of JavaScript memory and of buffers in use, sampled once a second. */
  "memoryBytes",
  /** Bytes that wait for peers, sampled once a second. */
  "bufferedBytes",
  /** Largest number of messages and mails that ever waited for one actor since the shard started. */
  "mailboxHighWater",
] as const;

/** Totals since the board started. They go on when a shard is replaced. */
const totals = [
  /** Sockets that the shard itself accepted. */
  "acceptedHere",
  /** Sockets that were sent to the shard, or accepted in it, and are closed now. */
  "departed",
  "connectionsOpened",
  /** Connections that came from other shards. They were open, so they aren't in `connectionsOpened`. */
  "movedIn",
  /** Connections that went to other shards. */
  "movedOut",
  /** Connections that were to go to another shard and stayed. */
  "movesFailed",
  "messagesReceived",
  "bytesReceived",
  /**
   * Messages sent. Includes messages that were dropped later while they waited: see `droppedOldest` and `conflated`.
   */
  "messagesSent",
  "bytesSent",
  /** Publishes that actors of this shard made. */
  "publishes",
  /** Publishes given to subscribers in this shard. */
  "deliveries",
  /** Publishes dropped because the other shard was too far behind. */
  "publishesDropped",
  /** Publications that the engine didn't store, or isn't known to have stored. */
  "publishesFailed",
  /** Times that a subscription to a stream fell behind, because its peer read too slowly. */
  "subscriptionsBehind",
  /** Subscriptions to streams that ended because publications were lost for them. */
  "subscriptionsLost",
  /** Subscriptions with an `encode` that ended after a move, because `resumed` didn't give the `encode` again. */
  "subscriptionsNotResumed",
  /** Subscriptions refused because of `maxSubscriptions`. */
  "subscriptionsRefused",
  /** Handlers that threw or rejected, and rejected promises of theirs that nothing awaited. */
  "actorFailures",
  /** Handlers that were given up because they took longer than their limit. */
  "handlerTimeouts",
  /** Mail that was accepted but not handled, and mail from this shard that was refused as `gone`. */
  "deadLetters",
  /** Reports of actors that were refused, because the main thread was too far behind. */
  "reportsRefused",
  /** Connections closed because the peer broke the protocol. */
  "violations",
  /** Connections closed because the peer didn't read. */
  "slowConsumersClosed",
  /** Messages dropped by the policy `dropNewest`. */
  "droppedNewest",
  /** Waiting messages dropped by the policy `dropOldest`. */
  "droppedOldest",
  /** Waiting publishes replaced by newer publishes of their topics, by the policy `conflate`. */
  "conflated",
  /** Times that a peer exceeded its rate: the shard stopped reading from the peer, or closed the connection (1008). */
  "rateLimited",
  /** Connections that ended without a close handshake (1006). */
  "abnormalClosures",
  /** Sockets that couldn't be moved to this shard, or that it didn't take. Written by the main thread. */
  "handoffsFailed",
  /** Times that the shard's thread was replaced by a recycling. Written by the main thread. */
  "recycled",
  /** Sockets that this shard refused or couldn't accept, because few descriptors were left. */
  "acceptsFailed",
] as const;

/** Gauges of a thread that have no sum over several. */
const levels = [
  "eventLoopUtilization",
  "eventLoopDelayMs",
  "mailboxHighWater",
] as const satisfies (typeof gauges)[number][];

const names = [...gauges, ...totals] as const;

export type CounterName = (typeof names)[number];
export type CounterValues = Record<CounterName, number>;

/** All counters of one shard at one moment. */
export interface ShardCounts extends CounterValues {
  /** Counts of each actor module of the board, the default module first. */
  readonly byActor: readonly ActorCounts[];
  /** Number of closed connections by the code that the actor's `closed` got. */
  readonly closes: CloseCounts;
  /** Seconds from the decision to move a socket to the shard until the shard confirmed it. */
  readonly handoff: HistogramValues;
  /** Seconds that publishes from other threads were on their way, from the end of the tick that made them. */
  readonly busLag: HistogramValues;
}

const slots = Object.fromEntries(names.map((name, slot) => [name, slot])) as CounterValues;

const UPGRADES_AT = names.length * Float64Array.BYTES_PER_ELEMENT;
const CLOSES_AT = UPGRADES_AT + UPGRADE_COUNTERS_BYTES;
const HANDOFF_AT = CLOSES_AT + CLOSE_COUNTERS_BYTES;
const BUS_LAG_AT = HANDOFF_AT + HISTOGRAM_BYTES;
const ACTORS_AT = BUS_LAG_AT + HISTOGRAM_BYTES;

/** The counters of one shard: a slot of 64-bit floats for each. One thread writes each slot; any thread may read it. */
export class Counters {
  readonly memory: SharedArrayBuffer;
  /** Outcomes of the handshakes that the shard itself does. */
  readonly upgrades: UpgradeCounters;
  readonly closes: CloseCounters;
  /** Written by the main thread. */
  readonly handoff: SharedHistogram;
  readonly busLag: SharedHistogram;
  /** Counts of each actor module. */
  readonly byActor: ActorCounters;
  readonly #values: Float64Array;

  /**
   * @param actors names of the board's actor modules, in the same order in all threads; undefined is the default module
   * @param memory memory of the counters in another thread. Default: new memory
   */
  constructor(
    actors: readonly (string | undefined)[] = [undefined],
    memory = new SharedArrayBuffer(ACTORS_AT + actorCountersBytes(actors.length)),
  ) {
    this.memory = memory;
    this.#values = new Float64Array(memory, 0, names.length);
    this.upgrades = new UpgradeCounters(memory, UPGRADES_AT);
    this.closes = new CloseCounters(memory, CLOSES_AT);
    this.handoff = new SharedHistogram(memory, HANDOFF_AT);
    this.busLag = new SharedHistogram(memory, BUS_LAG_AT);
    this.byActor = new ActorCounters(actors, memory, ACTORS_AT);
  }

  add(name: CounterName, amount = 1): void {
    (this.#values[slots[name]] as number) += amount;
  }

  get(name: CounterName): number {
    return this.#values[slots[name]] as number;
  }

  set(name: CounterName, value: number): void {
    this.#values[slots[name]] = value;
  }

  raise(name: CounterName, value: number): void {
    if (value > this.get(name)) this.set(name, value);
  }

  /** Adds all totals of another shard's counters that nobody writes any more. */
  absorb(ended: Counters): void {
    ended.clearGauges();
    const [sums, values] = [new Float64Array(this.memory), new Float64Array(ended.memory)];
    for (let slot = 0; slot < sums.length; slot++) (sums[slot] as number) += values[slot] as number;
  }

  /**
   * Returns the sum of the counters of several threads of one shard. Gauges that can't be added are those of the last.
   */
  static sum(all: readonly Counters[], actors: readonly (string | undefined)[]): Counters {
    const sum = new Counters(actors);
    const sums = new Float64Array(sum.memory);
    for (const { memory } of all) {
      const values = new Float64Array(memory);
      for (let slot = 0; slot < sums.length; slot++) (sums[slot] as number) += values[slot] as number;
    }
    for (const name of levels) sum.set(name, all.at(-1)?.get(name) ?? 0);
    return sum;
  }

  /**
   * Sets all gauges to 0, for a new thread in the place of one that ended: the old one may have ended in the middle of
   * counting.
   */
  clearGauges(): void {
    for (const name of gauges) this.set(name, 0);
    this.byActor.clearGauges();
  }

  snapshot(): ShardCounts {
    const values = Object.fromEntries(names.map((name) => [name, this.get(name)])) as CounterValues;
    const { byActor, closes, handoff, busLag } = this;
    return {
      ...values,
      byActor: byActor.snapshot(),
      closes: closes.snapshot(),
      handoff: handoff.snapshot(),
      busLag: busLag.snapshot(),
    };
  }
}
