/** Splits a server's bytes into frames, much cheaper than the decoder. Every client of the load has one. */
import { EMPTY } from "../wire/protocol/empty.ts";

/**
 * Takes one whole frame, `bytes[start, end)`, with the payload from `payload` on. The bytes are borrowed for the call.
 * Returns false to stop the reader.
 */
export type FrameHandler = (bytes: Buffer, start: number, payload: number, end: number) => boolean;

/** Length of the longest header of a server, in bytes. */
const MAX_HEADER_BYTES = 10;

/**
 * Finds the frames in a server's bytes and passes each on whole, without a copy if it is in one chunk. The reader
 * checks nothing: its handler gives every unexpected frame to the decoder.
 */
export class FrameReader {
  readonly #maxFrameBytes: number;
  readonly #handle: FrameHandler;
  /** Memory for a frame that began in an earlier chunk. */
  #partial = EMPTY;
  /** Number of bytes of the partial frame that have arrived. */
  #partialBytes = 0;
  /** Length of the partial frame, in bytes; 0 while its header is incomplete. */
  #frameBytes = 0;

  constructor(maxFrameBytes: number, handle: FrameHandler) {
    this.#maxFrameBytes = maxFrameBytes;
    this.#handle = handle;
  }

  /** Reads `bytes[from, to)`. Returns false when a frame is too long or the handler stops the reader. */
  read(bytes: Buffer, from: number, to: number): boolean {
    let at = from;
    if (this.#partialBytes > 0) {
      at = this.#complete(bytes, from, to);
      if (at < 0) return false;
    }
    while (at < to) {
      const header = headerLength(bytes, at, to);
      if (header === 0) break;
      const end = at + header + payloadLength(bytes, at);
      if (end > to) break;
      if (!this.#handle(bytes, at, at + header, end)) return false;
      at = end;
    }
    return at >= to || this.#keep(bytes, at, to);
  }

  /** Completes the partial frame from `bytes[from, to)`. Returns the offset after it; -1 to stop. */
  #complete(bytes: Buffer, from: number, to: number): number {
    let at = from;
    while (this.#frameBytes === 0) {
      if (at === to) return at;
      this.#partial[this.#partialBytes++] = bytes[at++] as number;
      if (!this.#measure()) return -1;
    }
    const end = Math.min(to, at + this.#frameBytes - this.#partialBytes);
    bytes.copy(this.#partial, this.#partialBytes, at, end);
    this.#partialBytes += end - at;
    if (this.#partialBytes < this.#frameBytes) return end;
    const header = headerLength(this.#partial, 0, this.#partialBytes);
    const length = this.#frameBytes;
    this.#partialBytes = 0;
    this.#frameBytes = 0;
    return this.#handle(this.#partial, 0, header, length) ? end : -1;
  }

  /** Keeps the beginning of a frame until its other bytes arrive. Returns false when the frame is too long. */
  #keep(bytes: Buffer, from: number, to: number): boolean {
    const length = to - from;
    if (this.#partial.length < MAX_HEADER_BYTES) this.#partial = Buffer.allocUnsafeSlow(128);
    const head = Math.min(length, MAX_HEADER_BYTES);
    bytes.copy(this.#partial, 0, from, from + head);
    this.#partialBytes = head;
    if (!this.#measure()) return false;
    bytes.copy(this.#partial, head, from + head, to);
    this.#partialBytes = length;
    return true;
  }

  /** Allocates memory for the partial frame once its length is known. Returns false when the frame is too long. */
  #measure(): boolean {
    const header = headerLength(this.#partial, 0, this.#partialBytes);
    if (header === 0) return true;
    const length = header + payloadLength(this.#partial, 0);
    if (length > this.#maxFrameBytes) return false;
    this.#frameBytes = length;
    if (this.#partial.length < length) {
      const larger = Buffer.allocUnsafeSlow(length);
      this.#partial.copy(larger, 0, 0, this.#partialBytes);
      this.#partial = larger;
    }
    return true;
  }
}

/** Length of a header in bytes, masking key included; 0 when it is incomplete. Source: RFC 6455 section 5.2. */
function headerLength(bytes: Buffer, start: number, end: number): number {
  if (end - start < 2) return 0;
  const second = bytes[start + 1] as number;
  const length = second & 0x7f;
  const header = (length < 126 ? 2 : length === 126 ? 4 : 10) + ((second & 0x80) === 0 ? 0 : 4);
  return end - start < header ? 0 : header;
}

function payloadLength(bytes: Buffer, start: number): number {
  const length = (bytes[start + 1] as number) & 0x7f;
  if (length < 126) return length;
  if (length === 126) return ((bytes[start + 2] as number) << 8) | (bytes[start + 3] as number);
  return bytes.readUInt32BE(start + 2) * 0x1_0000_0000 + bytes.readUInt32BE(start + 6);
}
