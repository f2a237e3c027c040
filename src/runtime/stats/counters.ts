import { CLOSE_COUNTERS_BYTES, CloseCounters, type CloseCounts } from "./close-counters.ts";
import { HISTOGRAM_BYTES, Histogram, type HistogramValues } from "./histogram.ts";
import { UPGRADE_COUNTERS_BYTES, UpgradeCounters } from "./upgrade-counters.ts";

/** What is so now; all zero when a shard starts. */
const gauges = [
  /** Open now. */
  "connections",
  /** Sockets here now that are no connections yet: only with `handshake: "shard"`. */
  "handshakes",
  /** How much of the last second the event loop was busy, from 0 to 1. */
  "eventLoopUtilization",
  /** By how much this thread's timers are late: the mean of the last second or so. */
  "eventLoopDelayMs",
  /** JavaScript memory in use, as of the last second. */
  "heapUsedBytes",
  /** Bytes that wait for peers, as of the last second. */
  "bufferedBytes",
  /** The most messages and mails that ever waited for one actor of this life of the shard. */
  "mailboxHighWater",
] as const;

/** What has happened since the board started, over all lives of the shard. */
const totals = [
  /** Sockets that the shard accepted by itself. */
  "acceptedHere",
  /** Of all sockets that were sent or accepted here, what is gone. */
  "departed",
  "connectionsOpened",
  "messagesReceived",
  "bytesReceived",
  /** Those that waited and were dropped then are counted, too: see `droppedOldest` and `conflated`. */
  "messagesSent",
  "bytesSent",
  /** Publishes made by actors of this shard. */
  "publishes",
  /** Publishes handed to subscribers of this shard. */
  "deliveries",
  /** Publishes lost on the way to another shard that was too far behind. */
  "publishesDropped",
  /** Subscriptions beyond `maxSubscriptions`. */
  "subscriptionsRefused",
  /** Handlers that threw or rejected, and promises of theirs that nobody awaited. */
  "actorFailures",
  /** Mail that was accepted and not handled, and mail from here refused as gone. */
  "deadLetters",
  /** Connections closed for what their peer sent. */
  "violations",
  /** Connections closed because their peer didn't read (1013). */
  "slowConsumers",
  /** Messages refused for peers that didn't read. */
  "droppedNewest",
  /** Messages that waited for peers that didn't read, and were dropped for newer ones. */
  "droppedOldest",
  /** Publishes that waited for peers that didn't read, and were replaced by newer ones of their topics. */
  "conflated",
  /** How often a peer sent more than its rates allow: its socket wasn't read for a while, or it was closed (1008). */
  "rateLimited",
  /** Connections whose peer vanished: no close handshake (1006). */
  "abnormalClosures",
] as const;

const names = [...gauges, ...totals] as const;

export type CounterName = (typeof names)[number];
export type CounterValues = Record<CounterName, number>;

/** All of it at one moment. */
export interface ShardCounts extends CounterValues {
  /** Connections by the code that their actor's `closed` got. */
  readonly closes: CloseCounts;
  /** From the decision to move a socket to a shard until its arrival was known, in seconds. */
  readonly handoff: HistogramValues;
  /** How long publishes from other threads were on their way, from the end of their tick on, in seconds. */
  readonly busLag: HistogramValues;
}

const slots = Object.fromEntries(names.map((name, slot) => [name, slot])) as CounterValues;

const UPGRADES_AT = names.length * Float64Array.BYTES_PER_ELEMENT;
const CLOSES_AT = UPGRADES_AT + UPGRADE_COUNTERS_BYTES;
const HANDOFF_AT = CLOSES_AT + CLOSE_COUNTERS_BYTES;
const BUS_LAG_AT = HANDOFF_AT + HISTOGRAM_BYTES;
const BYTES = BUS_LAG_AT + HISTOGRAM_BYTES;

/**
 * What a shard counts, each a slot of 64-bit floats in memory that it shares with the main thread: one writer for each, no message
 * needed to read them.
 */
export class Counters {
  readonly memory: SharedArrayBuffer;
  /** Of the handshakes that this shard does itself. */
  readonly upgrades: UpgradeCounters;
  readonly closes: CloseCounters;
  /** Written by the main thread. */
  readonly handoff: Histogram;
  readonly busLag: Histogram;
  readonly #values: Float64Array;

  constructor(memory = new SharedArrayBuffer(BYTES)) {
    this.memory = memory;
    this.#values = new Float64Array(memory, 0, names.length);
    this.upgrades = new UpgradeCounters(memory, UPGRADES_AT);
    this.closes = new CloseCounters(memory, CLOSES_AT);
    this.handoff = new Histogram(memory, HANDOFF_AT);
    this.busLag = new Histogram(memory, BUS_LAG_AT);
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

  /** A new life begins: the one before may have ended in the middle of counting. */
  clearGauges(): void {
    for (const name of gauges) this.set(name, 0);
  }

  snapshot(): ShardCounts {
    const values = Object.fromEntries(names.map((name) => [name, this.get(name)])) as CounterValues;
    const { closes, handoff, busLag } = this;
    return { ...values, closes: closes.snapshot(), handoff: handoff.snapshot(), busLag: busLag.snapshot() };
  }
}
