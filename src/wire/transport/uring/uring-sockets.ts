/** The sockets of a thread over io_uring: takes Node's sockets over, and accepts on Node's servers. */
import { createServer, type Server, type Socket } from "node:net";
import type { Transferable } from "node:worker_threads";
import { SwitchboardError } from "../../../errors.ts";
import type { Estate } from "../../native/estate/estate.ts";
import { systemError } from "../../native/libc.ts";
import { errors, type RingOptions } from "../../native/ring.ts";
import type { SlotOwner } from "../../native/slots.ts";
import { deferAccept, letWait, sendAtOnce } from "../../native/sockets.ts";
import { classOf, handleOf, takeHandle } from "../../node-internals/net.ts";
import { type DescriptorRoom, descriptorRoomOf } from "../descriptors.ts";
import { type ListeningSocket, nodeSockets, type TcpSockets, type ThreadWay } from "../tcp-sockets.ts";
import type { BareSocket, MovableTransport } from "../transport.ts";
import { UringLoop } from "./uring-loop.ts";
import { UringTransport } from "./uring-transport.ts";

/** Milliseconds until the next attempt to accept, when the system had no descriptor left. */
const RETRY_MS = 100;

export class UringSockets implements TcpSockets {
  readonly #loop: UringLoop;

  /** @param memory the estate of this thread */
  constructor(memory: SharedArrayBuffer, options?: RingOptions) {
    this.#loop = new UringLoop(memory, options);
  }

  /**
   * Takes a socket over, which is of no use afterwards. Throws `ERR_SYSTEM_CALL` if there is no descriptor for it; the
   * socket is then closed.
   *
   * @param head bytes of this stream that were already read
   * @param inHandshake true if the transport may still become a stream with its first bytes
   */
  take(source: Socket, head: Buffer, inHandshake = false): UringTransport {
    const transport = new UringTransport(this.#loop, head, inHandshake);
    try {
      transport.attach(this.#takeSlot(source, transport));
    } catch (error) {
      source.destroy();
      throw error;
    }
    return transport;
  }

  /** Accepts with a server that belongs to this thread, which is of no use afterwards. */
  accept(
    server: Server,
    accepted: (transport: UringTransport, room: DescriptorRoom) => void,
    failed: (error: Error) => void,
  ): ListeningSocket {
    const listener = new UringListener(this.#loop, accepted, failed);
    const slot = this.#takeSlot(server, listener);
    if (slot >= 0) deferAccept(this.#loop.ring.descriptorOf(slot));
    listener.attach(slot);
    server.close();
    return listener;
  }

  /** A socket of Node stays one. */
  adopt(socket: BareSocket, unread: Buffer): MovableTransport {
    if ("handle" in socket) return nodeSockets.adopt(socket, unread);
    const { ring } = this.#loop;
    const transport = new UringTransport(this.#loop, unread, false);
    // Node has read a socket that comes from another process.
    letWait(socket.descriptor);
    transport.attach(ring.open(socket.descriptor, transport));
    return transport;
  }

  /**
   * Posts a socket. The descriptor is in hand until the message is on its way: whichever thread ends when, one of the
   * two has the descriptor.
   */
  post(to: ThreadWay, message: { readonly socket: BareSocket }, transfer: readonly Transferable[]): boolean {
    const { socket } = message;
    const { port, uringEstate } = to;
    if ("handle" in socket) return nodeSockets.post(to, message, transfer);
    const { ring } = this.#loop;
    const { hand } = ring;
    const list = [...transfer];
    if (uringEstate === undefined || !ring.give(socket.descriptor, uringEstate)) return false;
    try {
      port.postMessage(message, list);
      hand[0] = 0;
    } catch (error) {
      ring.takeBack(socket.descriptor, uringEstate);
      throw error;
    }
    return true;
  }

  /** The descriptor is on the list of this thread's estate still. */
  release(socket: BareSocket, list: Estate | undefined): number {
    return "handle" in socket ? nodeSockets.release(socket, list) : socket.descriptor;
  }

  discard(socket: BareSocket): void {
    if ("handle" in socket) nodeSockets.discard(socket);
    else this.#loop.ring.closeDetached(socket.descriptor);
  }

  /** Closes all sockets at once. */
  close(): void {
    this.#loop.close();
  }

  /** Moves a descriptor from Node to the ring. Returns the slot; -1 if Node has closed the descriptor. */
  #takeSlot(source: Socket | Server, owner: SlotOwner): number {
    const handle = handleOf(source);
    if (handle?.fd === undefined || handle.fd < 0) return -1;
    const { ring } = this.#loop;
    try {
      this.#loop.handleClass ??= classOf(handle);
      const slot = ring.openCopy(handle.fd, owner);
      const descriptor = ring.descriptorOf(slot);
      letWait(descriptor);
      sendAtOnce(descriptor);
      return slot;
    } finally {
      takeHandle(source as Socket);
      handle.close();
    }
  }
}

/** A listening socket. */
class UringListener implements SlotOwner, ListeningSocket {
  readonly #loop: UringLoop;
  readonly #accepted: (transport: UringTransport, room: DescriptorRoom) => void;
  readonly #failed: (error: Error) => void;
  #slot = -1;
  #closed = false;
  /** True if the socket is closed after the last completion of the accept. */
  #closesLate = false;
  #retry: NodeJS.Timeout | undefined;

  constructor(
    loop: UringLoop,
    accepted: (transport: UringTransport, room: DescriptorRoom) => void,
    failed: (error: Error) => void,
  ) {
    this.#loop = loop;
    this.#accepted = accepted;
    this.#failed = failed;
  }

  attach(slot: number): void {
    this.#slot = slot;
    if (slot >= 0) this.#loop.ring.accept(slot);
    else this.#closed = true;
  }

  accepted(descriptor: number, more: boolean): void {
    try {
      if (descriptor >= 0) this.#take(descriptor);
      else if (more) this.#tellLack();
    } finally {
      if (!more) this.#acceptAgain(descriptor);
    }
  }

  #take(descriptor: number): void {
    const transport = new UringTransport(this.#loop, NOTHING, true);
    transport.attach(this.#loop.ring.open(descriptor, transport));
    this.#accepted(transport, descriptorRoomOf(descriptor));
  }

  #acceptAgain(result: number): void {
    if (this.#closesLate) this.#loop.ring.retire(this.#slot);
    if (this.#closed) return;
    if (result >= 0 || !LACKS.has(-result)) {
      this.#loop.ring.accept(this.#slot);
      return;
    }
    this.#tellLack();
    this.#retry = setTimeout(() => this.#acceptAgain(0), RETRY_MS);
  }

  #tellLack(): void {
    this.#failed(new SwitchboardError("ERR_OUT_OF_DESCRIPTORS", "the system has no descriptor left to accept with"));
  }

  /** Closes the socket without a shutdown: another process may accept with the same socket. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#retry);
    const { ring } = this.#loop;
    if (ring.quiesce(this.#slot)) ring.retire(this.#slot);
    else {
      this.#closesLate = true;
      ring.cancelAccept(this.#slot);
    }
  }

  /** A connection that the kernel has accepted is accepted here. */
  toServer(): Server | undefined {
    if (this.#closed) return undefined;
    this.#closed = true;
    clearTimeout(this.#retry);
    const { ring } = this.#loop;
    const handle = this.#loop.newHandle("server");
    const result = ring.quiesce(this.#slot) ? ring.handOver(this.#slot, handle) : -errors.EBUSY;
    if (result === 0) return createServer().listen(handle);
    handle.close();
    ring.retire(this.#slot);
    const cause = systemError("open", -result);
    const message = "a listening socket can't move, and its queue is lost";
    this.#failed(new SwitchboardError("ERR_SOCKET_STAYED", message, { cause }));
    return undefined;
  }

  released(): void {}
  receivedBytes(): void {}
  receiveFailed(): void {}
  sendStopped(): void {}
  writable(): void {}
}

const NOTHING = Buffer.alloc(0);
/** Errors of an accept that the next attempt would meet, too. */
const LACKS: ReadonlySet<number> = new Set([errors.EMFILE, errors.ENFILE, errors.ENOMEM, errors.ENOBUFS]);
