/** The byte stream behind an HTTP upgrade or CONNECT. `onUpgrade` and the client calls hand it out. */
import { Duplex } from "node:stream";
import { SwitchboardError } from "../../errors.ts";
import { EMPTY, noop } from "./empty.ts";

/** The parts of an `Upgraded`, for callers that go on with the socket itself. */
export interface Downcast {
  /** The original socket. It is not paused and has no `error` listener. */
  readonly socket: Duplex;
  /** Bytes of the new protocol that were already read. They come before all bytes that the socket still gives. */
  readonly readBuffer: Buffer;
}

type Done = (error?: Error | null) => void;

/**
 * The byte stream that an HTTP upgrade or CONNECT leaves behind: first the bytes that came with the exchange, then the
 * socket's. `Duplex.toWeb` makes a pair of web streams of it.
 *
 * The two directions end separately. After the peer's end the stream still takes writes, and after `end()` it can still
 * be read. When both directions have ended, or after `destroy()`, the stream closes the socket and then emits `close`.
 * An error of the socket destroys the stream; readers, write callbacks and `error` listeners get that error. Without
 * any of them the error is dropped, because a peer that vanishes must not end the process.
 *
 * As with all of Node's streams, `for await` destroys the stream at the end of input. To write after that, iterate over
 * `upgraded.iterator({ destroyOnReturn: false })`.
 */
export class Upgraded extends Duplex {
  /** The socket; undefined after `downcast()`. */
  #socket: Duplex | undefined;
  /** Bytes to give before the socket's. */
  #head: Buffer;
  /** True when a reader asked for bytes and there were none. */
  #wanted = false;
  /** Callback of the write that the socket has not finished. */
  #writing: Done | undefined;
  /** True while `downcast` passes pending writes to the socket. */
  #flushing = false;
  /** The socket's own setting, which `downcast` restores. */
  readonly #allowHalfOpen: boolean;

  /**
   * @param socket any stream of bytes; owned by this stream until `downcast()`
   * @param head bytes that were read with the exchange
   */
  constructor(socket: Duplex, head: Buffer) {
    super({ allowHalfOpen: true });
    this.#socket = socket;
    this.#head = head;
    this.#allowHalfOpen = socket.allowHalfOpen;
    socket.allowHalfOpen = true;
    this.on("error", noop);
    socket.on("readable", this.#pull).on("end", this.#onEnd).on("error", this.#onError).on("close", this.#onClose);
    if (socket.destroyed) this.destroy(socket.errored ?? undefined);
  }

  /**
   * Takes the stream apart, at any time. Pending writes go to the socket first. Bytes that were read from the socket
   * but not from this stream are returned as `readBuffer`. Stop reading before the call: `data` listeners get no more
   * bytes, and an iterator that still waits rejects with `ERR_DOWNCAST`.
   *
   * Afterwards the stream is detached from the socket. Reading or writing it destroys it with `ERR_DOWNCAST`.
   *
   * Throws `ERR_DOWNCAST` when it is called twice. Throws `ERR_DOWNCAST_ENCODING` after `setEncoding`, because its
   * decoder may hold a part of a character.
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
    // Only a mistake of the caller can cause an error after this point, so the error must be visible.
    this.off("error", noop);
    process.nextTick(this.#failReaders);
    return { socket, readBuffer };
  }

  override read(size?: number): ReturnType<Duplex["read"]> {
    if (this.#socket !== undefined) return super.read(size);
    // Node's streams themselves sometimes call `read(0)`, which only fills their buffer.
    if (size !== 0) this.destroy(downcastError());
    return null;
  }

  override _read(): void {
    if (this.#socket === undefined) return;
    const head = this.#head;
    this.#head = EMPTY;
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

  /** Passes all chunks that gathered during a write to the operating system in one call. */
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
    // A socket that ended before it closed has given all its bytes. This stream may still hold unread ones.
    if (this.#socket?.readableEnded && !this.readableEnded) this.once("end", () => this.destroy());
    else this.destroy();
  };

  /** Fails readers that still wait after `downcast`, because no more bytes will come here. */
  readonly #failReaders = (): void => {
    if (this.listenerCount("readable") > 0) this.on("error", noop).destroy(downcastError());
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
    for (const [i, chunk] of chunks.entries()) socket.write(chunk, i === chunks.length - 1 ? written : noop);
    socket.uncork();
    if (this.#flushing) done();
  }

  /** Passes every write that waits for an earlier one to the socket. */
  #flush(socket: Duplex): void {
    this.#flushing = true;
    while (this.writableCorked > 0) this.uncork();
    const done = this.#writing;
    this.#writing = undefined;
    done?.();
    if (this.writableEnded && !socket.writableEnded) socket.end();
  }

  /** Takes the bytes that were read from the socket and that no reader got. */
  #takeBuffered(): Buffer {
    this.pause();
    // `read` emits `data`, too, and no byte may be delivered twice.
    this.removeAllListeners("data");
    const buffered: Buffer | null = this.readableLength > 0 ? super.read() : null;
    const readBuffer = buffered === null ? this.#head : Buffer.concat([buffered, this.#head]);
    this.#head = EMPTY;
    return readBuffer;
  }
}

function downcastError(): SwitchboardError {
  const message = "this Upgraded was taken apart by downcast(): use the socket and the readBuffer that it returned";
  return new SwitchboardError("ERR_DOWNCAST", message);
}

function encodingError(): SwitchboardError {
  const message =
    "downcast() doesn't work after setEncoding(): decode the bytes of the stream yourself instead of calling setEncoding()";
  return new SwitchboardError("ERR_DOWNCAST_ENCODING", message);
}
