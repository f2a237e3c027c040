import { Duplex } from "node:stream";
import { SwitchboardError } from "../../errors.ts";

/** The parts of an `Upgraded`, for those who go on with the socket itself. */
export interface Downcast {
  /** The original socket object, paused by nobody; it has no `error` listener. */
  readonly socket: Duplex;
  /** Bytes of the new protocol that were already read, and come before all that the socket still gives. */
  readonly readBuffer: Buffer;
}

type Done = (error?: Error | null) => void;

const NOTHING = Buffer.alloc(0);

/**
 * The byte stream that an HTTP upgrade or CONNECT leaves behind: first the bytes that came with the exchange, then the socket's. `Duplex.toWeb`
 * makes it a pair of web streams.
 *
 * The two directions end apart: after the peer's end one may go on writing, and `end()` leaves the reading as it is. When both have ended, or
 * after `destroy()`, the socket is closed, and `close` is emitted when it is. What breaks the socket destroys the stream with that error, which
 * readers, callbacks of writes and `error` listeners get; without any of them it is dropped, as a peer that vanishes must end no process.
 *
 * As with all of Node's streams, `for await` destroys it at the end of what is read: to write on after that, iterate over
 * `upgraded.iterator({ destroyOnReturn: false })`.
 */
export class Upgraded extends Duplex {
  #socket: Duplex | undefined;
  #head: Buffer;
  /** Somebody wants bytes, and there were none. */
  #wanted = false;
  /** Of the write that the socket has not done yet. */
  #writing: Done | undefined;
  #flushing = false;
  readonly #allowHalfOpen: boolean;

  /**
   * @param socket anything that carries bytes; owned by this stream until `downcast()`
   * @param head bytes that were read with the exchange
   */
  constructor(socket: Duplex, head: Buffer) {
    super({ allowHalfOpen: true });
    this.#socket = socket;
    this.#head = head;
    this.#allowHalfOpen = socket.allowHalfOpen;
    socket.allowHalfOpen = true;
    this.on("error", ignore);
    socket.on("readable", this.#pull).on("end", this.#onEnd).on("error", this.#onError).on("close", this.#onClose);
    if (socket.destroyed) this.destroy(socket.errored ?? undefined);
  }

  /**
   * Takes the stream apart, at any moment: what was read from the socket and not from this stream comes back, and what was written to this
   * stream goes to the socket first. Whoever reads should have stopped: `data` listeners are given nothing more, and an iterator that still waits
   * rejects with `ERR_DOWNCAST`.
   *
   * The wrapper is of no use afterwards, and its end is no longer the socket's. Reading and writing destroy it with `ERR_DOWNCAST`.
   * Throws `ERR_DOWNCAST` at the second call, and `ERR_DOWNCAST_ENCODING` after `setEncoding`, whose decoder may hold a part of a character.
   */
  downcast(): Downcast {
    const socket = this.#socket;
    if (socket === undefined) throw downcastError();
    if (this.readableEncoding !== null) throw encodingError();
    this.#flush(socket);
    this.#socket = undefined;
    socket.off("readable", this.#pull).off("end", this.#onEnd).off("error", this.#onError).off("close", this.#onClose);
    socket.allowHalfOpen = this.#allowHalfOpen;
    const readBuffer = this.#takeBuffered();
    // From here on an error is the caller's mistake, and nobody should miss it.
    this.off("error", ignore);
    process.nextTick(this.#failReaders);
    return { socket, readBuffer };
  }

  override read(size?: number): ReturnType<Duplex["read"]> {
    if (this.#socket !== undefined) return super.read(size);
    // Node's streams themselves read 0 bytes now and then, to look ahead.
    if (size !== 0) this.destroy(downcastError());
    return null;
  }

  override _read(): void {
    if (this.#socket === undefined) return;
    const head = this.#head;
    this.#head = NOTHING;
    if (head.length > 0) {
      this.push(head);
    } else {
      this.#wanted = true;
      this.#pull();
    }
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: Done): void {
    this.#send([chunk], done);
  }

  /** All that has gathered during a write goes to the operating system in one call. */
  override _writev(chunks: { chunk: Buffer }[], done: Done): void {
    this.#send(
      chunks.map(({ chunk }) => chunk),
      done,
    );
  }

  override _final(done: Done): void {
    const socket = this.#socket;
    if (socket === undefined || socket.destroyed || socket.writableFinished) done();
    else socket.end(done);
  }

  override _destroy(error: Error | null, done: Done): void {
    const socket = this.#socket;
    if (socket === undefined || socket.closed) {
      done(error);
    } else {
      socket.once("close", () => done(error));
      socket.destroy();
    }
  }

  readonly #pull = (): void => {
    const socket = this.#socket;
    if (!this.#wanted || socket === undefined) return;
    const chunk: Buffer | null = socket.read();
    if (chunk !== null) {
      this.#wanted = false;
      this.push(chunk);
    } else if (socket.readableEnded) {
      this.#onEnd();
    }
  };

  readonly #onEnd = (): void => {
    if (!this.#wanted) return;
    this.#wanted = false;
    this.push(null);
  };

  readonly #onError = (error: Error): void => {
    this.destroy(error);
  };

  readonly #onClose = (): void => {
    // A socket that ended before it closed has given everything, and what was not read here yet still can be.
    if (this.#socket?.readableEnded && !this.readableEnded) this.once("end", () => this.destroy());
    else this.destroy();
  };

  /** Nobody shall wait for ever for bytes that go elsewhere. */
  readonly #failReaders = (): void => {
    if (this.listenerCount("readable") > 0) this.on("error", ignore).destroy(downcastError());
  };

  #send(chunks: readonly Buffer[], done: Done): void {
    const socket = this.#socket;
    if (socket === undefined) {
      done(downcastError());
      return;
    }
    const written = (error?: Error | null): void => {
      if (this.#writing !== done) return;
      this.#writing = undefined;
      done(error);
    };
    if (!this.#flushing) this.#writing = done;
    socket.cork();
    for (const [i, chunk] of chunks.entries()) socket.write(chunk, i === chunks.length - 1 ? written : ignore);
    socket.uncork();
    if (this.#flushing) done();
  }

  /** Gives the socket all that waits for an earlier write. */
  #flush(socket: Duplex): void {
    this.#flushing = true;
    while (this.writableCorked > 0) this.uncork();
    const done = this.#writing;
    this.#writing = undefined;
    done?.();
    if (this.writableEnded && !socket.writableEnded) socket.end();
  }

  /** All that was read and not given to anybody. */
  #takeBuffered(): Buffer {
    this.pause();
    // Reading emits `data` too, and no byte may come twice.
    this.removeAllListeners("data");
    const buffered: Buffer | null = this.readableLength > 0 ? super.read() : null;
    const readBuffer = buffered === null ? this.#head : Buffer.concat([buffered, this.#head]);
    this.#head = NOTHING;
    return readBuffer;
  }
}

function ignore(): void {}

function downcastError(): SwitchboardError {
  const message = "this Upgraded was taken apart by downcast(): use the socket and the readBuffer that it gave";
  return new SwitchboardError("ERR_DOWNCAST", message);
}

function encodingError(): SwitchboardError {
  const message =
    "an Upgraded with an encoding can't be taken apart: decode its bytes instead of calling setEncoding()";
  return new SwitchboardError("ERR_DOWNCAST_ENCODING", message);
}
