/** The transport over io_uring. A shard with `sockets: "uring"` uses it for its TCP sockets. */
import { Socket } from "node:net";
import type { LentBuffer } from "../../native/receive-buffers.ts";
import { errors } from "../../native/ring.ts";
import type { SlotOwner } from "../../native/slots.ts";
import { peerAddress, shutDown, WRITE } from "../../native/sockets.ts";
import { optionsOver } from "../../node-internals/net.ts";
import { ownCopy } from "../../protocol/allocator.ts";
import type { DetachedSocket, HandshakeTransport, MovableTransport, TransportReceiver } from "../transport.ts";
import type { UringLoop } from "./uring-loop.ts";
import { UringSender } from "./uring-sender.ts";

/**
 * - `none`: the kernel receives nothing for this connection.
 * - `armed`: the kernel receives.
 * - `cancelling`: the kernel was told to stop.
 */
type ReceiveState = "none" | "armed" | "cancelling";

/**
 * Receives and sends through the ring of its thread. A socket that is full shows after a send: `bufferedBytes` is 0
 * before.
 */
export class UringTransport extends UringSender implements HandshakeTransport, MovableTransport, SlotOwner {
  #receiver: TransportReceiver | undefined;
  /**
   * Bytes that come before all others: read before this transport existed, or received while it was paused. Undefined
   * rather than empty.
   */
  #head: Buffer[] | undefined;
  #reading = true;
  #receive: ReceiveState = "none";
  /**
   * True if the next receive goes on until it is cancelled. The first one of a handshake doesn't: see `toStream`. Nor
   * does one after a pause: a receiver that falls behind would get much that it doesn't want yet.
   */
  #many: boolean;
  /** True if the peer's end, or a failure, waits until the transport is read again. */
  #endWaits = false;
  #failureWaits = false;
  /** Directions that have ended: ours, and the peer's if the receiver knows. */
  #ended = 0;
  /** True within `detach`: the operations of the socket end, and nobody is told. */
  #detaching = false;
  #closed = false;
  #address: string | undefined;

  /** @param inHandshake true if the transport may still become a stream with its first bytes */
  constructor(loop: UringLoop, head: Buffer, inHandshake: boolean) {
    super(loop);
    if (head.length > 0) this.#head = [head];
    this.#many = !inHandshake;
  }

  /** Gives the transport its slot. Without one it closes. */
  attach(slot: number): void {
    this.slot = slot;
    if (slot >= 0) return;
    this.destroyed = true;
    this.#closed = true;
  }

  start(receiver: TransportReceiver): void {
    this.#receiver = receiver;
    if (this.#closed) queueMicrotask(() => receiver.closed());
    else if (this.#reading) this.#read();
  }

  handOver(rest: Buffer): void {
    this.#receiver = undefined;
    if (rest.length > 0) this.#head = [ownCopy(rest), ...(this.#head ?? [])];
  }

  /**
   * The kernel receives nothing for the socket then: the first receive of a handshake is a single one. The stream is
   * closed if Node can't take the socket.
   */
  toStream(rest: Buffer): Socket {
    if (this.destroyed) return new Socket().destroy();
    const handle = this.loop.newHandle("socket");
    // The handle closes the descriptor from now on, and closes with its thread.
    if (this.loop.ring.handOver(this.slot, handle) !== 0) {
      handle.close();
      this.destroy();
      return new Socket().destroy();
    }
    this.#receiver = undefined;
    this.destroyed = true;
    this.#closed = true;
    const socket = new Socket(optionsOver(handle, { allowHalfOpen: true }));
    socket.pause();
    const head = Buffer.concat([rest, ...(this.#head ?? [])]);
    if (head.length > 0) socket.unshift(head);
    return socket;
  }

  detach(): DetachedSocket | undefined {
    if (this.destroyed || this.isEnding || this.#ended > 0 || this.#failureWaits) return undefined;
    const { ring } = this.loop;
    const wasReading = this.#reading;
    this.#reading = false;
    this.#detaching = true;
    const isQuiet = ring.quiesce(this.slot);
    this.#detaching = false;
    // A failure may have come.
    if (!isQuiet || this.destroyed || this.#failureWaits) {
      this.retry();
      if (wasReading) this.resume();
      return undefined;
    }
    const detached = {
      socket: { descriptor: ring.detach(this.slot) },
      unread: Buffer.concat(this.#head ?? []),
      unsent: this.takeUnsent(),
    };
    this.#receiver = undefined;
    this.destroyed = true;
    this.#closed = true;
    return detached;
  }

  get remoteAddress(): string | undefined {
    if (this.#address === undefined && !this.destroyed) {
      this.#address = peerAddress(this.loop.ring.descriptorOf(this.slot));
    }
    return this.#address;
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
    this.#head = undefined;
    if (this.destroyed) return;
    if (head !== undefined) this.#receiver?.received(Buffer.concat(head));
    if (!this.#reading || this.destroyed) return;
    if (this.#endWaits) this.#tellEnd();
    else if (this.#failureWaits) this.destroy();
    else this.#arm();
  }

  /**
   * Begins a receive. A single one tries at once: in a handshake the request is mostly there, and after a pause more
   * bytes are.
   */
  #arm(isReady = !this.#many): void {
    if (this.#receive !== "none" || this.#ended > 1) return;
    this.#receive = "armed";
    this.loop.ring.receive(this.slot, this.#many, isReady);
  }

  receivedBytes(bytes: Buffer, more: boolean, lent?: LentBuffer): void {
    if (!more) this.#receive = "none";
    if (bytes.length === 0) {
      if (this.#reading) this.#tellEnd();
      else this.#endWaits = true;
      return;
    }
    try {
      // The receiver may begin the next receive.
      this.#many = this.#reading;
      if (this.#reading) this.#receiver?.received(bytes, lent);
      else this.#keep(bytes);
      if (!this.#reading) this.#many = false;
    } finally {
      if (this.#receive === "none" && this.#reading && !this.destroyed && this.#receiver !== undefined) this.#arm();
    }
  }

  /** Keeps bytes that came while paused, and stops the kernel: a pause that brings no bytes costs nothing. */
  #keep(bytes: Buffer): void {
    this.#head ??= [];
    this.#head.push(ownCopy(bytes));
    if (this.#receive !== "armed" || this.#detaching) return;
    this.#receive = "cancelling";
    this.loop.ring.cancelReceive(this.slot);
  }

  receiveFailed(error: number): void {
    this.#receive = "none";
    const { ECANCELED, ENOBUFS, EINTR, EAGAIN } = errors;
    if (error !== ECANCELED && error !== ENOBUFS && error !== EINTR && error !== EAGAIN) this.failed();
    else if (error === ENOBUFS) this.loop.starve(this);
    else if (this.#reading) this.#arm();
  }

  /** Called by the loop. */
  fed(): void {
    if (this.#reading && !this.destroyed && this.#receiver !== undefined) this.#arm(true);
  }

  #tellEnd(): void {
    this.#endWaits = false;
    this.#receiver?.ended();
    if (!this.destroyed) this.#halfEnded();
  }

  /** The connection is lost. What came before is delivered first. */
  protected override failed(): void {
    if (this.#reading || this.#head === undefined) this.destroy();
    else this.#failureWaits = true;
  }

  accepted(): void {}

  // ── the end ────────────────────────────────────────────────────────────────────────────────────────────

  /** Asked for again after `detach`, which ends the poll for room. */
  override writable(): void {
    if (!this.#detaching) super.writable();
  }

  protected override drained(): void {
    this.#receiver?.drained();
  }

  /** Ends our direction. */
  protected override allSent(): void {
    if (this.destroyed) return;
    // The close ends both directions.
    if (this.#ended === 0) shutDown(this.loop.ring.descriptorOf(this.slot), WRITE);
    this.#halfEnded();
  }

  #halfEnded(): void {
    if (++this.#ended === 2) this.destroy();
  }

  destroy(): void {
    if (this.destroyed) return;
    // Known before it is asked for: a closed socket has no address.
    this.destroyed = true;
    this.takeUnsent();
    this.loop.ring.retire(this.slot);
  }

  released(): void {
    this.#closed = true;
    this.#receiver?.closed();
  }
}
