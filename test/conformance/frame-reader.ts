/** A received frame, unmasked. */
export interface ReadFrame {
  readonly fin: boolean;
  readonly rsv: number;
  readonly opcode: number;
  readonly payload: Buffer;
}

const MAX_HEADER_BYTES = 14;

/** Reads frames from a stream of bytes, in time linear in the bytes. Independent of the code under test. */
export class FrameReader {
  readonly #masked: boolean;
  #chunks: Buffer[] = [];
  #available = 0;

  /** @param masked whether frames must be masked (a client's) or mustn't (a server's) */
  constructor(masked: boolean) {
    this.#masked = masked;
  }

  /** Takes the next bytes. Throws for anything that the protocol forbids. */
  push(chunk: Buffer): ReadFrame[] {
    this.#chunks.push(chunk);
    this.#available += chunk.length;
    const frames: ReadFrame[] = [];
    for (let frame = this.#next(); frame !== undefined; frame = this.#next()) frames.push(frame);
    return frames;
  }

  /** Bytes of a frame that isn't complete. */
  get rest(): number {
    return this.#available;
  }

  #next(): ReadFrame | undefined {
    const head = this.#peek(Math.min(MAX_HEADER_BYTES, this.#available));
    if (head.length < 2) return undefined;
    const second = head.readUInt8(1);
    if (second >= 0x80 !== this.#masked) throw new Error(this.#masked ? "a frame isn't masked" : "a frame is masked");
    const short = second & 0x7f;
    const keyAt = short === 126 ? 4 : short === 127 ? 10 : 2;
    const headerBytes = keyAt + (this.#masked ? 4 : 0);
    if (head.length < headerBytes) return undefined;
    const length = short === 126 ? head.readUInt16BE(2) : short === 127 ? Number(head.readBigUInt64BE(2)) : short;
    if (length < (short === 126 ? 126 : short === 127 ? 65_536 : 0)) throw new Error("a length isn't minimal");
    if (this.#available < headerBytes + length) return undefined;
    this.#take(headerBytes);
    let payload = this.#take(length);
    if (this.#masked) payload = unmasked(payload, head.subarray(keyAt, headerBytes));
    const first = head.readUInt8(0);
    return { fin: first >= 0x80, rsv: (first >> 4) & 0x7, opcode: first & 0xf, payload };
  }

  #peek(length: number): Buffer {
    const [first] = this.#chunks;
    if (first === undefined || first.length >= length) return first?.subarray(0, length) ?? Buffer.alloc(0);
    const few: Buffer[] = [];
    let bytes = 0;
    for (const chunk of this.#chunks) {
      few.push(chunk);
      bytes += chunk.length;
      if (bytes >= length) break;
    }
    return Buffer.concat(few, length);
  }

  #take(length: number): Buffer {
    this.#available -= length;
    const parts: Buffer[] = [];
    let missing = length;
    let used = 0;
    while (missing > 0) {
      const chunk = this.#chunks[used] as Buffer;
      const part = chunk.subarray(0, missing);
      parts.push(part);
      missing -= part.length;
      if (part.length === chunk.length) used++;
      else this.#chunks[used] = chunk.subarray(part.length);
    }
    this.#chunks.splice(0, used);
    return parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts, length);
  }
}

function unmasked(payload: Buffer, key: Buffer): Buffer {
  const plain = Buffer.allocUnsafe(payload.length);
  for (let i = 0; i < payload.length; i++) plain[i] = (payload[i] as number) ^ (key[i & 3] as number);
  return plain;
}
