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
  /** Bytes that were read before this transport existed, or after it was paused; delivered before all others. */
  #head: Buffer | undefined;
  #reading = true;
  /** The peer ended its direction while we were paused. */
  #endWaits = false;
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
          const chunk = length === buffer.length ? buffer : buffer.subarray(0, length);
          // Node may read once more after a pause.
          if (this.#reading) this.#receiver?.received(chunk);
          else this.#head = Buffer.concat([this.#head ?? NOTHING, chunk]);
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
    this.#socket.on("end", () => {
      if (this.#reading) receiver.ended();
      else this.#endWaits = true;
    });
    this.#socket.on("close", () => receiver.closed());
    if (this.#reading) this.#read();
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
    if (this.#receiver !== undefined) this.#read();
  }

  end(): void {
    this.#socket.end();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /** Goes on reading where it stopped. */
  #read(): void {
    const head = this.#head;
    this.#head = undefined;
    if (head !== undefined && head.length > 0) this.#receiver?.received(head);
    if (!this.#reading) return;
    if (this.#endWaits) this.#receiver?.ended();
    else this.#socket.resume();
  }
}

/** What an error means is told by `closed`, which always follows. */
function ignore(): void {}
