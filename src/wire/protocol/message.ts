import { encodeFrame, encodeText, type Frame } from "./frame.ts";
import { Opcode } from "./opcode.ts";

/** What can be sent: text as a string, binary as bytes, or a received message as it came. */
export type Sendable = string | ArrayBuffer | ArrayBufferView | Message;

/**
 * One received message. It owns its bytes for as long as it is kept, and it is at the same time the frame that
 * would carry it to another peer: forwarding costs neither a copy nor a decoding.
 */
export class Message implements Frame {
  readonly kind = "message";
  /** The frame: header and payload. */
  readonly block: Buffer;
  readonly start: number;
  readonly end: number;
  readonly #payloadStart: number;

  constructor(block: Buffer, start: number, payloadStart: number, end: number) {
    this.block = block;
    this.start = start;
    this.#payloadStart = payloadStart;
    this.end = end;
  }

  /**
   * The same message in memory of its own. Small messages share blocks of 64 KiB, and one that is kept keeps its block: for
   * keeping many for long, keep these.
   */
  compact(): Message {
    const size = this.end - this.start;
    if (size * 2 > this.block.length) return this;
    const block = Buffer.allocUnsafeSlow(size);
    this.block.copy(block, 0, this.start, this.end);
    return new Message(block, 0, this.#payloadStart - this.start, size);
  }

  /** The type that its sender gave it. */
  get type(): "text" | "binary" {
    return ((this.block[this.start] as number) & 0xf) === Opcode.text ? "text" : "binary";
  }

  /** Payload length in bytes. */
  get byteLength(): number {
    return this.end - this.#payloadStart;
  }

  /** The payload, not a copy: don't write to it, others may be sending the same bytes. */
  get bytes(): Buffer {
    return this.block.subarray(this.#payloadStart, this.end);
  }

  /** The payload as a string, decoded anew at each use. Bytes that aren't UTF-8 (in a binary message) become U+FFFD. */
  get text(): string {
    return this.block.toString("utf8", this.#payloadStart, this.end);
  }
}

/** A message with a copy of this payload. */
export function messageOf(opcode: Opcode, payload: Uint8Array): Message {
  const { block, start, end } = encodeFrame(opcode, payload);
  return new Message(block, start, end - payload.length, end);
}

/** The frame that carries `data`; for a message that is its own. */
export function toFrame(data: Sendable): Frame {
  if (typeof data === "string") return encodeText(data);
  if (data instanceof Message) return data;
  if (ArrayBuffer.isView(data)) {
    return encodeFrame(Opcode.binary, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }
  if (data instanceof ArrayBuffer) return encodeFrame(Opcode.binary, new Uint8Array(data));
  throw new TypeError(`expected a string, bytes or a message to send, got ${typeof data}`);
}
