/**
 * The messages of `bench/redis.ts`: 100 bytes, which begin with the time, the number within the topic, and the topic.
 */

export const MESSAGE_BYTES = 100;

/** Time of the clock that all processes of the machine share, in ms. */
export function now(): number {
  return performance.now() + CLOCK_OFFSET_MS;
}

/** The smallest of many: the thread may be interrupted between the two clocks. */
const CLOCK_OFFSET_MS = Array.from({ length: 1_000 }, () => {
  const at = performance.now();
  return Number(process.hrtime.bigint()) / 1e6 - at;
}).reduce((least, one) => Math.min(least, one));

export function writeMessage(topic: number, number: number): Buffer {
  const bytes = Buffer.allocUnsafe(MESSAGE_BYTES).fill(0x78);
  bytes.writeDoubleLE(now(), 0);
  bytes.writeUInt32LE(number, 8);
  bytes.writeUInt32LE(topic, 12);
  return bytes;
}

/** Time for which a message was under way, in µs. */
export function ageMicros(bytes: Buffer, at: number): number {
  return Math.round((now() - bytes.readDoubleLE(at)) * 1_000);
}

export function topicOf(bytes: Buffer, at: number): number {
  return bytes.readUInt32LE(at + 12);
}

export function numberOf(bytes: Buffer, at: number): number {
  return bytes.readUInt32LE(at + 8);
}

/** Latencies in µs with their numbers of occurrences. */
export class Latencies {
  #counts: Map<number, number> | undefined;

  get isRecording(): boolean {
    return this.#counts !== undefined;
  }

  record(bytes: Buffer, at: number): void {
    const micros = ageMicros(bytes, at);
    this.#counts?.set(micros, (this.#counts.get(micros) ?? 0) + 1);
  }

  /** Begins to record. */
  begin(): void {
    this.#counts = new Map();
  }

  /** Ends, and returns what was recorded. */
  end(): [micros: number, count: number][] {
    const counts = [...(this.#counts ?? [])];
    this.#counts = undefined;
    return counts;
  }
}
