import type { Frame } from "../protocol/frame.ts";

/**
 * Frames queued one after the other, as a path in a tree: connections that get the same frames in the same order share the path, so
 * that their bytes are joined once for all of them. That is the case in a fan-out.
 */
export class Rope {
  readonly #before: Rope | undefined;
  readonly #frame: Frame | undefined;
  readonly bytes: number;
  #next: Rope | undefined;
  #joined: Buffer | undefined;

  constructor(before?: Rope, frame?: Frame) {
    this.#before = before;
    this.#frame = frame;
    this.bytes = before === undefined || frame === undefined ? 0 : before.bytes + frame.end - frame.start;
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
    const last = this.#frame as Frame;
    let { start } = last;
    for (let rope = this.#before as Rope; rope.#frame !== undefined; rope = rope.#before as Rope) {
      if (rope.#frame.block !== last.block || rope.#frame.end !== start) return undefined;
      start = rope.#frame.start;
    }
    return last.block.subarray(start, last.end);
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
