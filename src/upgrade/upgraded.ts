import { Duplex } from "node:stream";
import { SwitchboardError } from "../errors.ts";

/** The parts of an `Upgraded`, for those who go on with the socket itself. */
export interface Downcast {
  /** The original socket object. */
  readonly socket: Duplex;
  /** Bytes of the new protocol that were already read, and come before all that the socket still gives. */
  readonly readBuffer: Buffer;
}

/**
 * The byte stream that an HTTP upgrade or CONNECT leaves behind: first the bytes that came with the exchange, then the socket's. Ending and
 * destroying it ends and destroys the socket; `Duplex.toWeb` makes it a pair of web streams.
 */
export class Upgraded extends Duplex {
  #socket: Duplex | undefined;
  #head: Buffer;

  /** @param head bytes that were read with the exchange */
  constructor(socket: Duplex, head: Buffer) {
    super({ allowHalfOpen: true });
    this.#socket = socket;
    this.#head = head;
    socket.on("data", this.#onData).on("end", this.#onEnd).on("error", this.#onError).on("close", this.#onClose);
    // Nothing is taken from the socket before somebody reads.
    socket.pause();
  }

  /**
   * Takes the stream apart. The wrapper is of no use afterwards: reading, writing and a second downcast fail with `ERR_DOWNCAST`.
   */
  downcast(): Downcast {
    const socket = this.#socket;
    if (socket === undefined) throw downcastError();
    socket.pause();
    socket.off("data", this.#onData).off("end", this.#onEnd).off("error", this.#onError).off("close", this.#onClose);
    const chunks: Buffer[] = [];
    while (this.readableLength > 0) chunks.push(this.read());
    const readBuffer = Buffer.concat([...chunks, this.#head]);
    this.#socket = undefined;
    this.#head = Buffer.alloc(0);
    return { socket, readBuffer };
  }

  readonly #onData = (chunk: Buffer): void => {
    if (!this.push(chunk)) this.#socket?.pause();
  };
  readonly #onEnd = (): void => {
    this.push(null);
  };
  readonly #onError = (error: Error): void => {
    this.destroy(error);
  };
  readonly #onClose = (): void => {
    this.destroy();
  };

  override _read(): void {
    const socket = this.#socket;
    if (socket === undefined) {
      this.destroy(downcastError());
      return;
    }
    const head = this.#head;
    this.#head = Buffer.alloc(0);
    if (head.length > 0) this.push(head);
    else socket.resume();
  }

  override _write(chunk: Buffer, encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    if (this.#socket === undefined) done(downcastError());
    else this.#socket.write(chunk, encoding, done);
  }

  override _final(done: (error?: Error | null) => void): void {
    if (this.#socket === undefined) done();
    else this.#socket.end(done);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#socket?.destroy();
    done(error);
  }
}

function downcastError(): SwitchboardError {
  return new SwitchboardError(
    "misuse",
    "ERR_DOWNCAST",
    "this Upgraded was taken apart by downcast(): use the socket and the readBuffer that it gave",
  );
}
