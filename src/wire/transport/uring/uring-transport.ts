/** The transport over io_uring. A shard with `sockets: "uring"` uses it for its TCP sockets. */
import { Socket } from "node:net";
import { errors } from "../../native/ring.ts";
import type { SlotOwner } from "../../native/slots.ts";
import { peerAddress, shutDown, WRITE } from "../../native/sockets.ts";
import type { DetachedSocket, HandshakeTransport, MovableTransport, TransportReceiver } from "../transport.ts";
import type { Unsettled, UringLoop } from "./uring-loop.ts";

/** Bytes of one connection in a batch. */
const MAX_BATCH_BYTES = 256 * 1024;

/**
 * - `none`: the kernel receives nothing for this connection.
 * - `armed`: the kernel receives.
 * - `cancelling`: the kernel was told to stop.
 */
type ReceiveState = "none" | "armed" | "cancelling";

/**
 * Receives and sends through the ring of its thread. Bytes leave at the end of the turn in which they were written, or
 * when 256 KiB have gathered. A socket that is full shows only then: `bufferedBytes` is 0 before.
 */
export class UringTransport implements HandshakeTransport, MovableTransport, SlotOwner, Unsettled {
  readonly #loop: UringLoop;
  /** Number of the slot in the ring; -1 without one. */
  #slot = -1;
  #receiver: TransportReceiver | undefined;
  /** Bytes that come before all others: read before this transport existed, or received while it was paused. */
  #head: Buffer[] = [];
  #reading = true;
  #receive: ReceiveState = "none";
  /**
   * True if the next receive goes on until it is cancelled. The first one of a handshake doesn't: see `toStream`. Nor does
   * one after a pause: a receiver that falls behind would get much that it doesn't want yet.
   */
  #many: boolean;
  /** True if the peer's end, or a failure, waits until the transport is read again. */
  #endWaits = false;
  #failureWaits = false;
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
  /** Directions that have ended: ours, and the peer's if the receiver knows. */
  #ended = 0;
  /** True within `detach`: the operations of the socket end, and nobody is told. */
  #detaching = false;
  #destroyed = false;
  #closed = false;
  #address: string | undefined;

  /** @param inHandshake true if the transport may still become a stream with its first bytes */
  constructor(loop: UringLoop, head: Buffer, inHandshake: boolean) {
    this.#loop = loop;
    if (head.length > 0) this.#head.push(head);
    this.#many = !inHandshake;
  }

  /** Gives the transport its slot. Without one it closes. */
  attach(slot: number): void {
    this.#slot = slot;
    if (slot >= 0) return;
    this.#destroyed = true;
    this.#closed = true;
  }

  start(receiver: TransportReceiver): void {
    this.#receiver = receiver;
    if (this.#closed) queueMicrotask(() => receiver.closed());
    else if (this.#reading) this.#read();
  }

  handOver(rest: Buffer): void {
    this.#receiver = undefined;
    if (rest.length > 0) this.#head.unshift(Buffer.from(rest));
  }

  /** The kernel receives nothing for the socket then: the first receive of a handshake is a single one. */
  toStream(rest: Buffer): Socket {
    if (this.#destroyed) return new Socket().destroy();
    const fd = this.#loop.ring.surrender(this.#slot);
    this.#receiver = undefined;
    this.#destroyed = true;
    this.#closed = true;
    const socket = new Socket({ fd, allowHalfOpen: true });
    socket.pause();
    const head = Buffer.concat([rest, ...this.#head]);
    if (head.length > 0) socket.unshift(head);
    return socket;
  }

  detach(): DetachedSocket | undefined {
    if (this.#destroyed || this.#ending || this.#ended > 0 || this.#failureWaits) return undefined;
    const { ring } = this.#loop;
    const wasReading = this.#reading;
    this.#reading = false;
    this.#detaching = true;
    const isQuiet = ring.quiesce(this.#slot);
    this.#detaching = false;
    // A failure may have come.
    if (!isQuiet || this.#destroyed || this.#failureWaits) {
      if (this.#stopped) this.writable();
      if (wasReading) this.resume();
      return undefined;
    }
    const detached = {
      socket: { descriptor: ring.detach(this.#slot) },
      unread: Buffer.concat(this.#head),
      unsent: this.#waiting ?? [],
    };
    this.#receiver = undefined;
    this.#destroyed = true;
    this.#closed = true;
    this.#forgetWaiting();
    return detached;
  }

  get bufferedBytes(): number {
    return this.#behind ? this.#waitingBytes + this.#sentBytes : 0;
  }

  get remoteAddress(): string | undefined {
    if (this.#address === undefined && !this.#destroyed) {
      this.#address = peerAddress(this.#loop.ring.descriptorOf(this.#slot));
    }
    return this.#address;
  }

  // ── writing ────────────────────────────────────────────────────────────────────────────────────────────

  write(bytes: Buffer): void {
    if (this.#ending || this.#destroyed || bytes.length === 0) return;
    if (this.#waitingBytes > 0) this.#wait(bytes);
    else this.#send(bytes);
  }

  /** Sends as much as the socket takes, and lets the rest wait. A batch that is full leaves at once. */
  #send(bytes: Buffer): void {
    const sent = this.#sendSome(bytes);
    if (sent === bytes.length) return;
    for (let rest = bytes.subarray(sent); rest.length > 0; rest = rest.subarray(this.#sendSome(rest))) {
      const mayTakeMore = this.#loop.ring.flush() && !this.#stopped;
      if (this.#destroyed) return;
      if (!mayTakeMore) {
        this.#wait(rest);
        return;
      }
    }
  }

  /** Adds bytes to the present batch. Returns their number; 0 if the batch is full. */
  #sendSome(bytes: Buffer): number {
    const { ring } = this.#loop;
    const isFirst = this.sentBatch !== ring.batch;
    if (isFirst) this.#sentBytes = 0;
    const room = MAX_BATCH_BYTES - this.#sentBytes;
    const now = bytes.length <= room ? bytes : bytes.subarray(0, room);
    if (now.length === 0 || !(isFirst ? this.#sendFirst(now) : ring.sendMore(this.#slot, this.#sentAt, now))) return 0;
    this.#sentBytes += now.length;
    return now.length;
  }

  #sendFirst(bytes: Buffer): boolean {
    const at = this.#loop.ring.send(this.#slot, bytes);
    if (at < 0) return false;
    this.sentBatch = this.#loop.ring.batch;
    this.#sentAt = at;
    return true;
  }

  #wait(bytes: Buffer): void {
    this.#waiting ??= [];
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.length;
    this.#behind = true;
    if (!this.#stopped) this.#settleLater();
  }

  #settleLater(): void {
    if (this.#settling) return;
    this.#settling = true;
    this.#loop.settle(this);
  }

  sendStopped(rest: Buffer, error: number): void {
    if (this.#destroyed) return;
    if (error !== errors.EAGAIN && error !== errors.EINTR) {
      this.#fail();
      return;
    }
    this.#waiting ??= [];
    this.#waiting.unshift(Buffer.from(rest));
    this.#waitingBytes += rest.length;
    this.#sentBytes = 0;
    this.#behind = true;
    this.#stopped = true;
    this.#loop.ring.pollWritable(this.#slot);
  }

  writable(): void {
    if (this.#detaching || this.#destroyed) return;
    this.#stopped = false;
    this.#sendWaiting();
  }

  settled(): void {
    this.#settling = false;
    if (this.#destroyed || this.#stopped) return;
    if (this.#waitingBytes > 0) {
      this.#sendWaiting();
      return;
    }
    this.#sentBytes = 0;
    if (this.#ending) this.#shutDown();
    if (!this.#behind) return;
    this.#behind = false;
    this.#receiver?.drained();
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
    if (this.#ending || this.#destroyed) return;
    this.#ending = true;
    const { ring } = this.#loop;
    const isUnsent = this.sentBatch === ring.batch;
    if (isUnsent && !this.#behind) ring.sendLast(this.#sentAt);
    if (this.#behind || isUnsent) this.#settleLater();
    else this.#shutDown();
  }

  /** Ends our direction. */
  #shutDown(): void {
    if (this.#destroyed) return;
    // The close ends both directions.
    if (this.#ended === 0) shutDown(this.#loop.ring.descriptorOf(this.#slot), WRITE);
    this.#halfEnded();
  }

  #halfEnded(): void {
    if (++this.#ended === 2) this.destroy();
  }

  // ── reading ────────────────────────────────────────────────────────────────────────────────────────────

  pause(): void {
    this.#reading = false;
  }

  resume(): void {
    if (this.#reading) return;
    this.#reading = true;
    if (this.#receiver !== undefined) this.#read();
  }

  /** Continues to read. */
  #read(): void {
    const head = this.#head;
    this.#head = [];
    if (this.#destroyed) return;
    if (head.length > 0) this.#receiver?.received(head.length === 1 ? (head[0] as Buffer) : Buffer.concat(head));
    if (!this.#reading || this.#destroyed) return;
    if (this.#endWaits) this.#tellEnd();
    else if (this.#failureWaits) this.destroy();
    else this.#arm();
  }

  #arm(): void {
    if (this.#receive !== "none" || this.#ended > 1) return;
    this.#receive = "armed";
    this.#loop.ring.receive(this.#slot, this.#many);
  }

  receivedBytes(bytes: Buffer, more: boolean): void {
    if (!more) this.#receive = "none";
    if (bytes.length === 0) {
      if (this.#reading) this.#tellEnd();
      else this.#endWaits = true;
      return;
    }
    try {
      // The receiver may begin the next receive.
      this.#many = this.#reading;
      if (this.#reading) this.#receiver?.received(bytes);
      else this.#keep(bytes);
      if (!this.#reading) this.#many = false;
    } finally {
      if (this.#receive === "none" && this.#reading && !this.#destroyed && this.#receiver !== undefined) this.#arm();
    }
  }

  /** Keeps bytes that came while paused, and stops the kernel: a pause that brings no bytes costs nothing. */
  #keep(bytes: Buffer): void {
    this.#head.push(Buffer.from(bytes));
    if (this.#receive !== "armed" || this.#detaching) return;
    this.#receive = "cancelling";
    this.#loop.ring.cancelReceive(this.#slot);
  }

  receiveFailed(error: number): void {
    this.#receive = "none";
    const { ECANCELED, ENOBUFS, EINTR, EAGAIN } = errors;
    if (error !== ECANCELED && error !== ENOBUFS && error !== EINTR && error !== EAGAIN) this.#fail();
    else if (this.#reading) this.#arm();
  }

  #tellEnd(): void {
    this.#endWaits = false;
    this.#receiver?.ended();
    if (!this.#destroyed) this.#halfEnded();
  }

  /** The connection is lost. What came before is delivered first. */
  #fail(): void {
    if (this.#reading || this.#head.length === 0) this.destroy();
    else this.#failureWaits = true;
  }

  accepted(): void {}

  // ── the end ────────────────────────────────────────────────────────────────────────────────────────────

  destroy(): void {
    if (this.#destroyed) return;
    // Known before it is asked for: a closed socket has no address.
    this.#destroyed = true;
    this.#forgetWaiting();
    this.#loop.ring.retire(this.#slot);
  }

  #forgetWaiting(): void {
    this.#waiting = undefined;
    this.#waitingBytes = 0;
    this.#behind = false;
  }

  released(): void {
    this.#closed = true;
    this.#receiver?.closed();
  }
}
