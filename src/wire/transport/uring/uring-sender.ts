/** The sending half of `UringTransport`. */
import type { LentBuffer } from "../../native/receive-buffers.ts";
import { errors } from "../../native/ring.ts";
import { ownCopy } from "../../protocol/allocator.ts";
import type { LentMemory } from "../../protocol/message.ts";
import type { Unsettled, UringLoop } from "./uring-loop.ts";

/** Bytes of one connection in a batch. */
const MAX_BATCH_BYTES = 256 * 1024;

/**
 * Sends bytes at the end of the turn in which they were written, or when 256 KiB have gathered. What the socket has no
 * room for waits. A base class, and no object of its own, because each connection has one.
 */
export abstract class UringSender implements Unsettled {
  protected readonly loop: UringLoop;
  /** Number of the slot in the ring; -1 without one. */
  protected slot = -1;
  protected destroyed = false;
  /** Batch of the newest send, its place in the batch, and its bytes. */
  sentBatch = 0;
  #sentAt = 0;
  #sentBytes = 0;
  /** Bytes that wait for a later batch; undefined while none do. */
  #waiting: Buffer[] | undefined;
  #waitingBytes = 0;
  /** True while the kernel waits for room in the socket's buffer. */
  #stopped = false;
  /** True if something waited, so that `drained` follows. */
  #behind = false;
  /** True while the loop will call `settled`. */
  #settling = false;
  /** True if nothing follows the queued bytes. */
  #ending = false;

  constructor(loop: UringLoop) {
    this.loop = loop;
  }

  get bufferedBytes(): number {
    return this.#behind ? this.#waitingBytes + this.#sentBytes : 0;
  }

  /** True if nothing can be written any more. */
  protected get isEnding(): boolean {
    return this.#ending;
  }

  /** All bytes that waited have left. */
  protected abstract drained(): void;
  /** All bytes have left, and nothing follows. */
  protected abstract allSent(): void;
  /** The connection is lost. */
  protected abstract failed(): void;

  write(bytes: Buffer, memory?: LentMemory): void {
    if (this.#ending || this.destroyed || bytes.length === 0) return;
    const lent = memory as LentBuffer | undefined;
    if (this.#waitingBytes > 0) this.#wait(bytes, lent);
    else this.#send(bytes, lent);
  }

  /** Sends the batch now. */
  offer(): void {
    if (this.sentBatch === this.loop.ring.batch) this.loop.ring.flush();
  }

  /** Sends as much as the socket takes, and lets the rest wait. A batch that is full leaves at once. */
  #send(bytes: Buffer, lent?: LentBuffer): void {
    const sent = this.#sendSome(bytes, lent);
    if (sent === bytes.length) return;
    for (let rest = bytes.subarray(sent); rest.length > 0; rest = rest.subarray(this.#sendSome(rest, lent))) {
      const mayTakeMore = this.loop.ring.flush() && !this.#stopped;
      if (this.destroyed) return;
      if (!mayTakeMore) {
        this.#wait(rest, lent);
        return;
      }
    }
  }

  /** Adds bytes to the present batch. Returns their number; 0 if the batch is full. */
  #sendSome(bytes: Buffer, lent: LentBuffer | undefined): number {
    const { ring } = this.loop;
    const isFirst = this.sentBatch !== ring.batch;
    if (isFirst) this.#sentBytes = 0;
    const room = MAX_BATCH_BYTES - this.#sentBytes;
    const now = bytes.length <= room ? bytes : bytes.subarray(0, room);
    if (now.length === 0) return 0;
    const isTaken = isFirst ? this.#sendFirst(now, lent) : ring.sends.extend(this.slot, this.#sentAt, now);
    if (!isTaken) return 0;
    this.#sentBytes += now.length;
    return now.length;
  }

  #sendFirst(bytes: Buffer, lent: LentBuffer | undefined): boolean {
    const at = this.loop.ring.sends.begin(this.slot, bytes, lent);
    if (at < 0) return false;
    this.sentBatch = this.loop.ring.batch;
    this.#sentAt = at;
    return true;
  }

  #wait(bytes: Buffer, lent?: LentBuffer): void {
    this.#waiting ??= [];
    this.#waiting.push(lent === undefined ? bytes : ownCopy(bytes));
    this.#waitingBytes += bytes.length;
    this.#behind = true;
    if (!this.#stopped) this.#settleLater();
  }

  #settleLater(): void {
    if (this.#settling) return;
    this.#settling = true;
    this.loop.settle(this);
  }

  sendStopped(rest: Buffer, error: number): void {
    if (this.destroyed) return;
    if (error !== errors.EAGAIN && error !== errors.EINTR) {
      this.failed();
      return;
    }
    this.#waiting ??= [];
    this.#waiting.unshift(ownCopy(rest));
    this.#waitingBytes += rest.length;
    this.#sentBytes = 0;
    this.#behind = true;
    this.#stopped = true;
    this.loop.ring.pollWritable(this.slot);
  }

  writable(): void {
    if (this.destroyed) return;
    this.#stopped = false;
    this.#sendWaiting();
  }

  settled(): void {
    this.#settling = false;
    if (this.destroyed || this.#stopped) return;
    if (this.#waitingBytes > 0) {
      this.#sendWaiting();
      return;
    }
    this.#sentBytes = 0;
    if (this.#ending) this.allSent();
    if (!this.#behind) return;
    this.#behind = false;
    this.drained();
  }

  #sendWaiting(): void {
    const waiting = this.#waiting ?? [];
    this.#waiting = undefined;
    this.#waitingBytes = 0;
    for (const bytes of waiting) {
      if (this.#waitingBytes > 0) this.#wait(bytes);
      else this.#send(bytes);
    }
    this.#settleLater();
  }

  end(): void {
    if (this.#ending || this.destroyed) return;
    this.#ending = true;
    const { ring } = this.loop;
    const isUnsent = this.sentBatch === ring.batch;
    if (isUnsent && !this.#behind) ring.sends.finish(this.#sentAt);
    if (this.#behind || isUnsent) this.#settleLater();
    else this.allSent();
  }

  /** The poll for room was cancelled: asks again what the socket takes, if one was under way. */
  protected retry(): void {
    if (this.#stopped) this.writable();
  }

  /** Returns the bytes that wait, and forgets them. */
  protected takeUnsent(): Buffer[] {
    const unsent = this.#waiting ?? [];
    this.#waiting = undefined;
    this.#waitingBytes = 0;
    this.#behind = false;
    return unsent;
  }
}
