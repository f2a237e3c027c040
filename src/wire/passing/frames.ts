/** Messages of a channel as bytes: eight bytes of lengths, then a value in the format of `node:v8`. */
import { deserialize, serialize } from "node:v8";
import { SwitchboardError } from "../../errors.ts";

/** A message, and the number of descriptors that belong to it. */
export interface Frame {
  readonly message: unknown;
  readonly descriptors: number;
}

const HEADER_BYTES = 8;

/** Longest message. More is a sign that the other end isn't one of ours. */
const MAX_MESSAGE_BYTES = 512 * 1024 * 1024;

/** Throws a `DataCloneError` for a message that can't be cloned. */
export function encodeFrame(message: unknown, descriptors: number): Buffer[] {
  const body = serialize(message);
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt32LE(body.length);
  header.writeUInt32LE(descriptors, 4);
  return [header, body];
}

/** Finds the frames in a stream of bytes. */
export class FrameReader {
  #chunks: Buffer[] = [];
  #bytes = 0;
  /** Bytes of the next frame, or of its header until that is complete. */
  #wanted = HEADER_BYTES;

  push(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
  }

  /** Returns the next frame; undefined until all of its bytes are there. Throws for bytes that are no frame. */
  next(): Frame | undefined {
    if (this.#bytes < this.#wanted) return undefined;
    const all = this.#chunks.length === 1 ? (this.#chunks[0] as Buffer) : Buffer.concat(this.#chunks);
    this.#chunks = [all];
    const length = all.readUInt32LE();
    if (length > MAX_MESSAGE_BYTES) {
      throw new SwitchboardError("ERR_TAKEOVER_LOST", `the other process sent a message of ${length} bytes`);
    }
    this.#wanted = HEADER_BYTES + length;
    if (all.length < this.#wanted) return undefined;
    const message: unknown = deserialize(all.subarray(HEADER_BYTES, this.#wanted));
    const descriptors = all.readUInt32LE(4);
    this.#chunks = [all.subarray(this.#wanted)];
    this.#bytes -= this.#wanted;
    this.#wanted = HEADER_BYTES;
    return { message, descriptors };
  }
}
