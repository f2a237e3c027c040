/**
 * The queue of one tick, shared between connections. `Outbound` builds chains, `FlushQueue` owns their root.
 */
import { allocateOwn } from "../../../wire/protocol/allocator.ts";
import type { Frame } from "../../../wire/protocol/frame.ts";

/**
 * Frames queued one after the other, as a path in a tree. Connections that get the same frames in the same order, as in
 * a fan-out, share the path, so the bytes are joined once for all of these connections. A path with one holder grows in
 * place when the next frame lies directly behind the last.
 */
export class FrameChain {
  readonly #before: FrameChain | undefined;
  /** Frame of this step, or the first of several frames that lie side by side in one block; undefined for the root. */
  readonly #frame: Frame | undefined;
  /** Offset in the block at which the frames of this step end. */
  #end: number;
  /** Offset of the whole chain in the block of its last frame; -1 unless all its frames lie there side by side. */
  readonly #start: number;
  /** Number of bytes of the whole chain. */
  #bytes: number;
  /** Chain that was last made of this one by appending a frame. */
  #next: FrameChain | undefined;
  /** Bytes of the whole chain in one piece, once somebody asked for them. */
  #joined: Buffer | undefined;
  /** Number of holders ever handed out, never decremented. 1 therefore means exactly one holder. */
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

  /** Number of bytes of the whole chain. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Returns the chain with one more frame. The caller gives up the chain that it called. */
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

  /** Records one more holder. A chain with several holders doesn't grow in place. */
  share(): this {
    this.#holders++;
    return this;
  }

  /** Returns the bytes in one piece: a view where the frames lie side by side, else a copy. */
  join(): Buffer {
    this.#joined ??= this.#inPlace() ?? this.#copy();
    return this.#joined;
  }

  /** Like `join`, in memory that holds little else, for bytes that wait in a backlog. */
  joinCompact(): Buffer {
    const joined = this.join();
    if (joined.length * 2 < joined.buffer.byteLength) this.#joined = this.#copy();
    return this.#joined as Buffer;
  }

  /** Takes the frame into this step if the frame lies directly behind. No other chain reaches this step afterwards. */
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
    for (let step: FrameChain = this; step.#frame !== undefined; step = step.#before as FrameChain) {
      const { block, start } = step.#frame;
      at -= step.#end - start;
      block.copy(joined, at, start, step.#end);
    }
    return joined;
  }
}
