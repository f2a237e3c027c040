import type { Frame } from "../protocol/frame.ts";

/**
 * Frames queued one after the other, as a path in a tree: connections that get the same frames in the same order share the path, so
 * that their bytes are joined once for all of them. That is the case in a fan-out.
 */
export class Rope {
  readonly #before: Rope | undefined;
  readonly #frame: Frame | undefined;
  /** Where all of it begins in the block of its last frame, if it lies there side by side; else -1. */
  readonly #start: number;
  readonly bytes: number;
  #next: Rope | undefined;
  #joined: Buffer | undefined;

  constructor(before?: Rope, frame?: Frame) {
    this.#before = before;
    this.#frame = frame;
    if (before === undefined || frame === undefined) {
      this.#start = -1;
      this.bytes = 0;
    } else {
      const last = before.#frame;
      if (last === undefined) this.#start = frame.start;
      else this.#start = last.block === frame.block && last.end === frame.start ? before.#start : -1;
      this.bytes = before.bytes + frame.end - frame.start;
    }
  }

  /** This and one more frame. */
  append(frame: Frame): Rope {
    if (this.#next === undefined || this.#next.#frame !== frame) this.#next = new Rope(this, frame);
    return this.#next;
  }

  /** The bytes in one piece: those of the frames themselves where they lie side by side, else a copy. */
  join(): Buffer {
    this.#joined ??= this.#inPlace() ?? this.#copy();
    return this.#joined;
  }

  /** Like `join`, in memory that holds little else: for bytes that have to wait. */
  joinCompact(): Buffer {
    const joined = this.join();
    if (joined.length * 2 < joined.buffer.byteLength) this.#joined = this.#copy();
    return this.#joined as Buffer;
  }

  #inPlace(): Buffer | undefined {
    if (this.#start < 0) return undefined;
    const { block, end } = this.#frame as Frame;
    return block.subarray(this.#start, end);
  }

  #copy(): Buffer {
    const joined = Buffer.allocUnsafeSlow(this.bytes);
    let at = this.bytes;
    for (let rope: Rope = this; rope.#frame !== undefined; rope = rope.#before as Rope) {
      const { block, start, end } = rope.#frame;
      at -= end - start;
      block.copy(joined, at, start, end);
    }
    return joined;
  }
}
