/**
 * What a shard counts, each a slot of 64-bit floats in memory that it shares with the main thread: one writer, no message
 * needed to read them. All but `connections` only grow.
 */
const names = [
  /** Open now. */
  "connections",
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
  "actorFailures",
  /** Connections closed for what their peer sent. */
  "violations",
  /** Connections closed because their peer didn't read (1013). */
  "slowConsumers",
  /** Connections whose peer vanished: no close handshake (1006). */
  "abnormalClosures",
] as const;

export type CounterName = (typeof names)[number];
export type CounterValues = Record<CounterName, number>;

const slots = Object.fromEntries(names.map((name, slot) => [name, slot])) as CounterValues;

export class Counters {
  readonly memory: SharedArrayBuffer;
  readonly #values: Float64Array;

  constructor(memory = new SharedArrayBuffer(names.length * Float64Array.BYTES_PER_ELEMENT)) {
    this.memory = memory;
    this.#values = new Float64Array(memory);
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
