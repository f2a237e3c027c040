import { allocateOwn } from "../../wire/protocol/allocator.ts";
import type { Frame } from "../../wire/protocol/frame.ts";

/**
 * Frames queued one after the other, as a path in a tree: connections that get the same frames in the same order share the path, so
 * that their bytes are joined once for all of them. That is the case in a fan-out. A path that is one connection's own needs no step for a
 * frame that lies behind the last: it grows.
 */
export class FrameChain {
  readonly #before: FrameChain | undefined;
  /** The one frame that leads here from `#before`, or the first of several. */
  readonly #frame: Frame | undefined;
  /** Where the frames of this step end. */
  #end: number;
  /** Where all of it begins in the block of its last frame, if it lies there side by side; else -1. */
  readonly #start: number;
  #bytes: number;
  #next: FrameChain | undefined;
  #joined: Buffer | undefined;
  /** How many have been given this; some may have left it. Whoever has the only one is still here. */
  #holders = 0;

  constructor(before?: FrameChain, frame?: Frame) {
    this.#before = before;
    this.#frame = frame;
    if (before === undefined || frame === undefined) {
      this.#start = -1;
      this.#end = 0;
      this.#bytes = 0;
      return;
    }
    const last = before.#frame;
    if (last === undefined) this.#start = frame.start;
    else this.#start = last.block === frame.block && before.#end === frame.start ? before.#start : -1;
    this.#end = frame.end;
    this.#bytes = before.#bytes + frame.end - frame.start;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** This and one more frame. What it was called on is no longer the caller's. */
  append(frame: Frame): FrameChain {
    let next = this.#next;
    if (next === undefined || next.#frame !== frame) {
      if (this.#holders === 1 && this.#grow(frame)) return this;
      next = new FrameChain(this, frame);
      this.#next = next;
    }
    next.#holders++;
    return next;
  }

  /** Says that others hold it, too: it doesn't grow any more. */
  share(): this {
    this.#holders++;
    return this;
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

  /** Takes the frame into this step, if it lies behind it. Nobody else comes here by the first frame any more. */
  #grow(frame: Frame): boolean {
    if (frame.start !== this.#end || frame.block !== this.#frame?.block) return false;
    const before = this.#before as FrameChain;
    if (before.#next === this) before.#next = undefined;
    this.#bytes += frame.end - frame.start;
    this.#end = frame.end;
    this.#joined = undefined;
    return true;
  }

  #inPlace(): Buffer | undefined {
    return this.#start < 0 ? undefined : (this.#frame as Frame).block.subarray(this.#start, this.#end);
  }

  #copy(): Buffer {
    const joined = allocateOwn(this.#bytes);
    let at = this.#bytes;
    for (let rope: FrameChain = this; rope.#frame !== undefined; rope = rope.#before as FrameChain) {
      const { block, start } = rope.#frame;
      at -= rope.#end - start;
      block.copy(joined, at, start, rope.#end);
    }
    return joined;
  }
}
