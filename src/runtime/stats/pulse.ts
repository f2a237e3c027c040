/** What both ends of a pulse are made from. */
export interface PulseSource {
  readonly memory: SharedArrayBuffer;
  readonly intervalMs: number;
}

/**
 * The sign of life of a shard's thread: a count in memory that it shares with the main thread. It grows whenever the shard's event loop gets to
 * it, without a message. Each life of a shard has one of its own, so that a thread that is still ending can't speak for the next.
 */
export class Pulse implements PulseSource {
  readonly memory: SharedArrayBuffer;
  readonly intervalMs: number;
  readonly #beats: Int32Array;

  constructor({ memory, intervalMs }: PulseSource) {
    this.memory = memory;
    this.intervalMs = intervalMs;
    this.#beats = new Int32Array(memory);
  }

  static create(intervalMs: number): Pulse {
    return new Pulse({ memory: new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT), intervalMs });
  }

  get beats(): number {
    return Atomics.load(this.#beats, 0);
  }

  /** Beats from now on in this thread, for as long as that has something else to do. */
  start(): NodeJS.Timeout {
    const beat = (): number => Atomics.add(this.#beats, 0, 1);
    beat();
    return setInterval(beat, this.intervalMs).unref();
  }
}
