/** The transport over a TCP socket. Almost all connections of a shard use it. */
import { Socket } from "node:net";
import { type Loan, lend } from "../node-internals/loan.ts";
import {
  checkHandle,
  endBelowQueue,
  type HandleOwner,
  handleOf,
  optionsOver,
  takeHandle,
  unsentBytesOf,
  writeBelowQueue,
} from "../node-internals/net.ts";
import { ownCopy } from "../protocol/allocator.ts";
import type { DetachedSocket, HandshakeTransport, MovableTransport, TransportReceiver } from "./transport.ts";

/**
 * Size of the buffer for the reads of all sockets of a thread, one after the other. The receiver is done with the bytes
 * when it returns.
 */
const READ_BUFFER_BYTES = 64 * 1024;
const NOTHING = Buffer.alloc(0);

let readBuffer: Buffer | undefined;

/**
 * Views of the read buffer by length: short reads are the most frequent, and creating a view costs as much as decoding
 * a short frame.
 */
const views: Buffer[] = [];
const LONGEST_KEPT_VIEW = 512;

/**
 * View of the last longer read: the next read often has the same length, if only because it filled the buffer as well.
 */
let longView: Buffer = NOTHING;

function firstBytes(buffer: Buffer, length: number): Buffer {
  if (length > LONGEST_KEPT_VIEW) {
    if (longView.length !== length) longView = buffer.subarray(0, length);
    return longView;
  }
  views[length] ??= buffer.subarray(0, length);
  return views[length];
}

/** The socket of a transport, with the transport: all sockets share their listeners, which would take 64 bytes each. */
class TransportSocket extends Socket {
  transport: TcpTransport | undefined;
}

/**
 * Reads a TCP socket into one shared buffer, without the machinery of readable streams (the documented `onread` option
 * of `net.Socket`: a fifth less CPU per small echo than `data` events).
 */
export class TcpTransport implements HandshakeTransport, MovableTransport {
  // Fields that every write needs come first, next to each other in memory.
  /** Bytes of the write that Node hasn't finished. Later bytes wait in `#waiting`. */
  #writing = 0;
  #waitingBytes = 0;
  /** True if nothing follows the queued bytes. */
  #ending = false;
  readonly #socket: TransportSocket;
  #receiver: TransportReceiver | undefined;
  /** The last write that the system didn't take at once. */
  #inHand: Buffer | undefined;
  /** Bytes that were read before this transport existed, or after it was paused; delivered before all others. */
  #head: Buffer | undefined;
  #reading = true;
  /** True while Node reads; undefined before the first time. */
  #flowing: boolean | undefined;
  /** True once the socket belongs to somebody who reads it as a stream. */
  #isStream = false;
  /** True if the peer ended its direction while the transport was paused. */
  #endWaits = false;
  /** Undefined until a write first had to wait. */
  #waiting: Buffer[] | undefined;
  /** True if the peer didn't take everything at once, so that `drained` follows. */
  #behind = false;
  /** Directions that have ended: ours, and the peer's if the receiver knows. */
  #ended = 0;

  /**
   * Takes over the handle of `source`, which is unusable afterwards.
   *
   * @param head bytes of this stream that were already read
   * @param undelayed true if TCP_NODELAY is already set
   */
  constructor(source: Socket | HandleOwner, head: Buffer, undelayed = false) {
    const handle = takeHandle(source);
    this.#head = head;
    readBuffer ??= Buffer.allocUnsafeSlow(READ_BUFFER_BYTES);
    const onread = {
      buffer: readBuffer,
      callback: (length: number, buffer: Buffer): boolean => {
        const chunk = firstBytes(buffer, length);
        if (this.#isStream) return this.#socket.push(Buffer.from(chunk));
        // Node may read once more after a pause.
        if (this.#reading) this.#receiver?.received(chunk);
        else this.#head = ownCopy(this.#head ?? NOTHING, chunk);
        return this.#reading;
      },
    };
    // Reading begins with `start`.
    this.#socket = new TransportSocket(optionsOver(handle, { allowHalfOpen: true, onread }));
    this.#socket.transport = this;
    checkHandle(this.#socket, handle);
    // Node may be reading for `source` already, and nothing may arrive before there is a receiver.
    if (source instanceof Socket) this.#socket.pause();
    if (!undelayed) this.#socket.setNoDelay(true);
    this.#socket.on("error", ignore);
    this.#socket.on("end", peerEnded);
    this.#socket.on("close", socketClosed);
    // The socket died on its way here.
    if (handle === null) this.#socket.destroy();
  }

  /** Called by the socket. */
  peerEnded(): void {
    if (this.#reading) this.#tellEnd();
    else this.#endWaits = true;
  }

  /** Called by the socket. */
  socketClosed(): void {
    const receiver = this.#receiver;
    // Node's closed sockets outlive scavenges, and would keep the whole connection in memory.
    this.#receiver = undefined;
    receiver?.closed();
  }

  start(receiver: TransportReceiver): void {
    this.#receiver = receiver;
    if (this.#socket.closed) queueMicrotask(() => receiver.closed());
    else if (this.#reading) this.#read();
  }

  handOver(rest: Buffer): void {
    this.#receiver = undefined;
    if (rest.length > 0) this.#head = ownCopy(rest, this.#head);
  }

  toStream(rest: Buffer): Socket {
    this.#receiver = undefined;
    this.#isStream = true;
    this.#socket.pause();
    this.#socket.unshift(Buffer.concat([rest, this.#head ?? NOTHING]));
    return this.#socket;
  }

  /** A write under way is cut: the system has taken some of it, and `unsent` begins with the rest. */
  detach(): DetachedSocket | undefined {
    if (this.#socket.destroyed || this.#ending || this.#ended > 0) return undefined;
    const handle = handleOf(this.#socket);
    if (handle === null) return undefined;
    this.pause();
    const unread = this.#head ?? NOTHING;
    const unsent = [...this.#restInHand(handle), ...(this.#waiting ?? [])];
    this.#receiver = undefined;
    this.#head = undefined;
    this.#inHand = undefined;
    this.#writing = 0;
    this.#waiting = undefined;
    this.#waitingBytes = 0;
    takeHandle(this.#socket);
    return { socket: { handle }, unread, unsent };
  }

  lend(): Loan | undefined {
    const handle = handleOf(this.#socket);
    return handle === null ? undefined : lend(handle);
  }

  #restInHand(handle: object): Buffer[] {
    const bytes = this.#inHand;
    const rest = bytes === undefined ? 0 : unsentBytesOf(handle);
    return bytes === undefined || rest === 0 ? [] : [bytes.subarray(bytes.length - rest)];
  }

  get bufferedBytes(): number {
    return this.#writing + this.#waitingBytes;
  }

  get remoteAddress(): string | undefined {
    return this.#socket.remoteAddress;
  }

  /**
   * Writes below the stream's own queue, and keeps that queue here: reports `drained` when everything is gone (a
   * stream's `drain` comes only after its high-water mark was reached).
   */
  write(bytes: Buffer): void {
    if (this.#ending || bytes.length === 0) return;
    if (this.#writing === 0) {
      this.#writeNow(bytes);
    } else {
      this.#waiting ??= [];
      this.#waiting.push(bytes);
      this.#waitingBytes += bytes.length;
    }
  }

  /** Called within `writeBelowQueue` if the operating system took everything at once, as usual. */
  readonly #written = (error?: Error | null): void => {
    this.#writing = 0;
    this.#inHand = undefined;
    if (error != null) {
      this.#socket.destroy();
      return;
    }
    const waiting = this.#waiting;
    if (waiting !== undefined) {
      const bytes = waiting.length === 1 ? (waiting[0] as Buffer) : Buffer.concat(waiting);
      this.#waiting = undefined;
      this.#waitingBytes = 0;
      this.#writeNow(bytes);
      return;
    }
    if (this.#ending) this.#shutDown();
    if (!this.#behind) return;
    this.#behind = false;
    this.#receiver?.drained();
  };

  #writeNow(bytes: Buffer): void {
    this.#writing = bytes.length;
    writeBelowQueue(this.#socket, bytes, this.#written);
    if (this.#writing === 0) return;
    this.#behind = true;
    this.#inHand = bytes;
  }

  pause(): void {
    this.#reading = false;
    if (this.#flowing) this.#flowing = false;
    this.#socket.pause();
  }

  resume(): void {
    if (this.#reading) return;
    this.#reading = true;
    if (this.#receiver !== undefined) this.#read();
  }

  end(): void {
    if (this.#ending) return;
    this.#ending = true;
    if (this.#writing === 0) this.#shutDown();
  }

  /** Ends our direction. */
  #shutDown(): void {
    if (!this.#socket.destroyed) endBelowQueue(this.#socket, (error) => this.#halfEnded(error));
  }

  #halfEnded(error?: Error | null): void {
    if (++this.#ended === 2 || error != null) this.#socket.destroy();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /** Continues to read. */
  #read(): void {
    const head = this.#head;
    this.#head = undefined;
    if (head !== undefined && head.length > 0) this.#receiver?.received(head);
    if (!this.#reading) return;
    if (this.#endWaits) this.#tellEnd();
    else if (this.#flowing === undefined) {
      // Enough for bytes that don't go through the stream's queue, and a microsecond less than `resume`.
      this.#flowing = true;
      this.#socket.read(0);
    } else if (!this.#flowing) {
      this.#flowing = true;
      this.#socket.resume();
    }
  }

  #tellEnd(): void {
    this.#endWaits = false;
    this.#receiver?.ended();
    this.#halfEnded();
  }
}

function peerEnded(this: TransportSocket): void {
  this.transport?.peerEnded();
}

function socketClosed(this: TransportSocket): void {
  this.transport?.socketClosed();
}

/** Does nothing: `closed`, which always follows, tells what an error means. */
function ignore(): void {}
