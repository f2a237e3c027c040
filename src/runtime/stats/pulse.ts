/**
 * The sign of life of a shard's thread or of the engine thread. The thread beats; the watchdog in the main thread
 * looks.
 */

/** Data from which both ends of a pulse are made. */
export interface PulseSource {
  readonly memory: SharedArrayBuffer;
  readonly intervalMs: number;
}

/**
 * A count in memory that a thread shares with the main thread. The count grows whenever the thread's event loop reaches
 * the pulse's timer. Each thread of a shard, or of the engine, has a pulse of its own, so that a thread that is still
 * ending can't beat for its successor.
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

  /** Data for the thread that beats. */
  get source(): PulseSource {
    return { memory: this.memory, intervalMs: this.intervalMs };
  }

  get beats(): number {
    return Atomics.load(this.#beats, 0);
  }

  /** Starts to beat in this thread. The timer doesn't keep the thread alive. */
  start(): NodeJS.Timeout {
    const beat = (): number => Atomics.add(this.#beats, 0, 1);
    beat();
    return setInterval(beat, this.intervalMs).unref();
  }
}
