import { Socket } from "node:net";
import type { Transport, TransportReceiver } from "./transport.ts";

/** Reads of all sockets of a thread go here, one after the other: a receiver is done with the bytes when it returns. */
const READ_BUFFER_BYTES = 64 * 1024;
const NOTHING = Buffer.alloc(0);

let readBuffer: Buffer | undefined;

/** A `net.Socket` whose handle can be taken over. Node gives every socket one; its types don't show it. */
interface HandleOwner {
  _handle: object | null;
}

/**
 * A TCP socket that reads into one shared buffer, without the machinery of readable streams (the documented `onread`
 * option of `net.Socket`: a fifth less CPU per small echo than `data` events).
 */
export class TcpTransport implements Transport {
  readonly #socket: Socket;
  #receiver: TransportReceiver | undefined;
  /** Bytes that were read before this transport existed; delivered first. */
  #head: Buffer | undefined;
  #reading = true;
  #awaitsDrain = false;

  /**
   * Takes over the handle of `source`, which is of no use afterwards.
   *
   * @param head bytes of this stream that were already read
   */
  constructor(source: Socket, head: Buffer) {
    const owner = source as unknown as HandleOwner;
    const handle = owner._handle;
    owner._handle = null;
    this.#head = head;
    readBuffer ??= Buffer.allocUnsafeSlow(READ_BUFFER_BYTES);
    this.#socket = new Socket({
      handle,
      allowHalfOpen: true,
      // Reading begins with `start`.
      manualStart: true,
      onread: {
        buffer: readBuffer,
        callback: (length: number, buffer: Buffer): boolean => {
          this.#receiver?.received(length === buffer.length ? buffer : buffer.subarray(0, length));
          return this.#reading;
        },
      },
    } as ConstructorParameters<typeof Socket>[0]);
    // Node may be reading already for `source`, and nothing may arrive before there is a receiver.
    this.#socket.pause();
    this.#socket.setNoDelay(true);
    this.#socket.on("error", ignore);
    // It died on the way here.
    if (handle === null) this.#socket.destroy();
  }

  start(receiver: TransportReceiver): void {
    this.#receiver = receiver;
    if (this.#socket.closed) {
      queueMicrotask(() => receiver.closed());
      return;
    }
    this.#socket.on("end", () => receiver.ended());
    this.#socket.on("close", () => receiver.closed());
    if (this.#socket.destroyed) return;
    this.#deliverHead();
    if (this.#reading) this.#socket.resume();
  }

  get bufferedBytes(): number {
    return this.#socket.writableLength;
  }

  write(bytes: Buffer): void {
    const socket = this.#socket;
    if (!socket.writable) return;
    socket.write(bytes);
    if (socket.writableLength === 0 || this.#awaitsDrain) return;
    // The stream's own `drain` comes only from its high-water mark on. An empty write is done when all before it are.
    this.#awaitsDrain = true;
    socket.write(NOTHING, this.#drained);
  }

  readonly #drained = (error?: Error | null): void => {
    this.#awaitsDrain = false;
    if (error != null) return;
    if (this.#socket.writableLength === 0) this.#receiver?.drained();
    else this.write(NOTHING);
  };

  pause(): void {
    this.#reading = false;
    this.#socket.pause();
  }

  resume(): void {
    if (this.#reading) return;
    this.#reading = true;
    this.#deliverHead();
    if (this.#reading) this.#socket.resume();
  }

  end(): void {
    this.#socket.end();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #deliverHead(): void {
    const head = this.#head;
    this.#head = undefined;
    if (head !== undefined && head.length > 0) this.#receiver?.received(head);
  }
}

/** What an error means is told by `closed`, which always follows. */
function ignore(): void {}
