import { UPGRADE_COUNTERS_BYTES, UpgradeCounters } from "./upgrade-counters.ts";

/**
 * What a shard counts, each a slot of 64-bit floats in memory that it shares with the main thread: one writer, no message
 * needed to read them. All but `connections` and `handshakes` only grow.
 */
const names = [
  /** Open now. */
  "connections",
  /** Sockets here now that are no connections yet: only with `handshake: "shard"`. */
  "handshakes",
  "connectionsOpened",
  "messagesReceived",
  "bytesReceived",
  "messagesSent",
  "bytesSent",
  /** Publishes made by actors of this shard. */
  "publishes",
  /** Publishes handed to subscribers of this shard. */
  "deliveries",
  /** Publishes lost on the way to another shard that was too far behind. */
  "publishesDropped",
  /** Handlers that threw or rejected, and promises of theirs that nobody awaited. */
  "actorFailures",
  /** Mail that was accepted and not handled, and mail from here refused as gone. */
  "deadLetters",
  /** Connections closed for what their peer sent. */
  "violations",
  /** Connections closed because their peer didn't read (1013). */
  "slowConsumers",
  /** Connections whose peer vanished: no close handshake (1006). */
  "abnormalClosures",
] as const;

const OWN_BYTES = names.length * Float64Array.BYTES_PER_ELEMENT;

export type CounterName = (typeof names)[number];
export type CounterValues = Record<CounterName, number>;

const slots = Object.fromEntries(names.map((name, slot) => [name, slot])) as CounterValues;

export class Counters {
  readonly memory: SharedArrayBuffer;
  /** Of the handshakes that this shard does itself. */
  readonly upgrades: UpgradeCounters;
  readonly #values: Float64Array;

  constructor(memory = new SharedArrayBuffer(OWN_BYTES + UPGRADE_COUNTERS_BYTES)) {
    this.memory = memory;
    this.#values = new Float64Array(memory, 0, names.length);
    this.upgrades = new UpgradeCounters(memory, OWN_BYTES);
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

  snapshot(): CounterValues {
    return Object.fromEntries(names.map((name) => [name, this.get(name)])) as CounterValues;
  }
}
