/** The transport over any byte stream: TLS and Unix sockets, HTTP/2 streams, pairs in memory. */
import type { Http2Stream } from "node:http2";
import { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { builtins } from "../node-internals/builtins.ts";
import type { Transport, TransportReceiver } from "./transport.ts";

/**
 * Reads and writes a stream of Node. The stream has no further use for its chunks: unlike those of other transports
 * they may be kept.
 */
export class DuplexTransport implements Transport {
  readonly #stream: Duplex;
  #receiver: TransportReceiver | undefined;
  /** Bytes that were read before this transport existed. */
  #head: Buffer | undefined;
  #reading = true;
  /** True if the peer ended its direction and the receiver doesn't know yet. */
  #endWaits: boolean;
  #awaitsDrain = false;

  /** @param head bytes of this stream that were already read */
  constructor(stream: Duplex, head: Buffer) {
    this.#stream = stream;
    this.#head = head;
    this.#endWaits = stream.readableEnded && !isReset(stream);
    stream.allowHalfOpen = true;
    stream.pause();
    if (stream instanceof Socket) stream.setNoDelay(true).setTimeout(0);
    // `close`, which always follows, tells what the error means.
    stream.on("error", () => stream.destroy());
    stream.on("end", this.#ended);
    // A stream may be configured not to close by itself.
    stream.on("finish", this.#closeWhenOver);
  }

  start(receiver: TransportReceiver): void {
    this.#receiver = receiver;
    if (this.#stream.closed) {
      queueMicrotask(() => receiver.closed());
      return;
    }
    this.#stream.on("close", () => receiver.closed());
    this.#stream.on("data", (chunk: Buffer) => receiver.received(chunk));
    // A `data` listener starts the flow, unless `pause` was called. Somebody may have called it, which the stream
    // doesn't tell.
    this.#stream.pause();
    if (this.#reading) this.#read();
  }

  get bufferedBytes(): number {
    return this.#stream.destroyed ? 0 : this.#stream.writableLength;
  }

  get remoteAddress(): string | undefined {
    return remoteAddressOf(this.#stream);
  }

  write(bytes: Buffer): void {
    if (!this.#stream.writable) return;
    this.#stream.write(bytes, this.#written);
    if (this.#stream.writableLength > 0) this.#awaitsDrain = true;
  }

  pause(): void {
    this.#reading = false;
    this.#stream.pause();
  }

  resume(): void {
    if (this.#reading) return;
    this.#reading = true;
    if (this.#receiver !== undefined) this.#read();
  }

  end(): void {
    this.#stream.end();
  }

  destroy(): void {
    if (!isOver(this.#stream) && isHttp2Stream(this.#stream))
      this.#stream.close(builtins.http2.constants.NGHTTP2_CANCEL);
    this.#stream.destroy();
  }

  /** Continues to read. */
  #read(): void {
    const head = this.#head;
    this.#head = undefined;
    if (head !== undefined && head.length > 0 && !this.#stream.destroyed) this.#receiver?.received(head);
    if (!this.#reading || this.#stream.destroyed) return;
    if (this.#endWaits) this.#tellEnd();
    else this.#stream.resume();
  }

  readonly #written = (): void => {
    if (!this.#awaitsDrain || this.#stream.destroyed || this.#stream.writableLength > 0) return;
    this.#awaitsDrain = false;
    this.#receiver?.drained();
  };

  readonly #ended = (): void => {
    if (isReset(this.#stream) || (this.#stream.destroyed && !this.#stream.writableFinished)) return;
    if (this.#receiver !== undefined && this.#reading) this.#tellEnd();
    else this.#endWaits = true;
  };

  #tellEnd(): void {
    this.#endWaits = false;
    this.#receiver?.ended();
    this.#closeWhenOver();
  }

  readonly #closeWhenOver = (): void => {
    if (this.#stream.readableEnded && this.#stream.writableFinished && !this.#endWaits) this.#stream.destroy();
  };
}

/**
 * Returns the address of the other end of a stream: for HTTP/2 that of its session, else the stream's own
 * `remoteAddress`. Undefined if there is none.
 */
export function remoteAddressOf(stream: Duplex & { readonly remoteAddress?: unknown }): string | undefined {
  if (isHttp2Stream(stream)) return stream.session?.socket?.remoteAddress;
  return typeof stream.remoteAddress === "string" ? stream.remoteAddress : undefined;
}

function isOver(stream: Duplex): boolean {
  return stream.destroyed || (stream.readableEnded && stream.writableFinished);
}

/** True for a reset HTTP/2 stream: it ends and then closes as if nothing were missing. */
function isReset(stream: Duplex): boolean {
  return isHttp2Stream(stream) && Boolean(stream.rstCode);
}

/**
 * True for an HTTP/2 stream. It is closed with CANCEL, as a TCP socket with RST: destroyed alone it would look complete
 * to its peer (RFC 8441 section 5).
 */
function isHttp2Stream(stream: Duplex): stream is Http2Stream {
  return "rstCode" in stream && "close" in stream;
}
