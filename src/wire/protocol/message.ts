/** A received message, and the conversion of whatever an application sends to a frame. */
import { SwitchboardError } from "../../errors.ts";
import { allocate } from "./allocator.ts";
import { encodeFrame, encodeText, type Frame } from "./frame.ts";
import { Opcode } from "./opcode.ts";

/** A value that can be sent: text as a string, binary as bytes, or a received message unchanged. */
export type Sendable = string | ArrayBuffer | ArrayBufferView | Message;

/**
 * One received message. It owns its bytes for as long as it is kept. The message is also the frame that carries it to
 * another peer, so forwarding needs neither a copy nor encoding.
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
   * Copies the message to memory of its own. Small messages share blocks of 64 KiB, and each kept message keeps its
   * whole block alive: compact the messages that you keep for long.
   */
  compact(): Message {
    const size = this.end - this.start;
    if (size * 2 > this.block.length) return this;
    const block = Buffer.allocUnsafeSlow(size);
    this.block.copy(block, 0, this.start, this.end);
    return new Message(block, 0, this.#payloadStart - this.start, size);
  }

  /** True if the memory of the message is lent. */
  isLent(): this is LentMessage {
    return false;
  }

  /** The message in memory that stays as it is: this message, unless its memory is lent. */
  toOwned(): Message {
    return this;
  }

  /** The type that the sender gave the message. */
  get type(): "text" | "binary" {
    return ((this.block[this.start] as number) & 0xf) === Opcode.text ? "text" : "binary";
  }

  /** Payload length in bytes. */
  get byteLength(): number {
    return this.end - this.#payloadStart;
  }

  /** The payload: a view, not a copy. Don't write to it, because other connections may be sending the same bytes. */
  get bytes(): Buffer {
    return this.block.subarray(this.#payloadStart, this.end);
  }

  /**
   * The payload as a string, decoded at each use. Bytes that aren't UTF-8 (in a binary message) become U+FFFD.
   */
  get text(): string {
    return this.block.toString("utf8", this.#payloadStart, this.end);
  }
}

/** Memory of a transport that is lent for longer than the call that hands out its bytes. */
export interface LentMemory {
  /** The whole memory. */
  readonly block: Buffer<ArrayBuffer>;
  /** Keeps the memory as it is, until as many calls of `release`. */
  hold(): void;
  release(): void;
}

/**
 * A message whose bytes lie in lent memory, for an actor that keeps no message. The message holds the memory until
 * `giveBack`; from then on every use of the message throws `ERR_MESSAGE_RETURNED`.
 */
export class LentMessage extends Message {
  #memory: LentMemory | undefined;
  #isKept = false;

  constructor(memory: LentMemory, start: number, payloadStart: number, end: number) {
    super(memory.block, start, payloadStart, end);
    this.#memory = memory;
    memory.hold();
  }

  override isLent(): this is LentMessage {
    return true;
  }

  /** The memory, for a send that doesn't copy. Throws `ERR_MESSAGE_RETURNED`. */
  get memory(): LentMemory {
    return this.#check();
  }

  /** Keeps `handled` from giving the memory back: somebody calls `giveBack` later. */
  keep(): void {
    this.#isKept = true;
  }

  /** The call that got the message is over. */
  handled(): void {
    if (!this.#isKept) this.giveBack();
  }

  /** Gives the memory back. The second call does nothing. */
  giveBack(): void {
    const memory = this.#memory;
    this.#memory = undefined;
    memory?.release();
  }

  override compact(): Message {
    return this.toOwned();
  }

  override toOwned(): Message {
    this.#check();
    const { block, start, end } = this;
    const size = end - start;
    const own = allocate(size);
    block.copy(own.block, own.start, start, end);
    return new Message(own.block, own.start, own.start + size - super.byteLength, own.start + size);
  }

  override get type(): "text" | "binary" {
    this.#check();
    return super.type;
  }

  override get byteLength(): number {
    this.#check();
    return super.byteLength;
  }

  override get bytes(): Buffer {
    this.#check();
    return super.bytes;
  }

  override get text(): string {
    this.#check();
    return super.text;
  }

  #check(): LentMemory {
    if (this.#memory !== undefined) return this.#memory;
    const message =
      "a message was used after its handler: the actor class borrows its messages (static messages), so keep a copy (message.compact)";
    throw new SwitchboardError("ERR_MESSAGE_RETURNED", message);
  }
}

/** The name under which each copy of this package marks its `Message`, so that every other copy recognises it. */
const MESSAGE = Symbol.for("switchboard.message");
Object.defineProperty(Message.prototype, MESSAGE, { value: true });

/** The public properties of a message of another copy of this package, of whichever version; undefined for all else. */
function foreignMessage(value: unknown): Pick<Message, "type" | "bytes"> | undefined {
  const isMessage = typeof value === "object" && value !== null && MESSAGE in value;
  return isMessage ? (value as unknown as Message) : undefined;
}

/** Makes a message with a copy of `payload`. */
export function messageOf(opcode: Opcode, payload: Uint8Array): Message {
  const { block, start, end } = encodeFrame(opcode, payload);
  return new Message(block, start, end - payload.length, end);
}

/**
 * Encodes `data` as a frame. A `Message` is returned as it is, a lent one as a copy. Throws `ERR_DATA` for anything
 * that can't be sent.
 */
export function toFrame(data: Sendable): Frame {
  if (typeof data === "string") return encodeText(data);
  if (data instanceof Message) return data.toOwned();
  if (ArrayBuffer.isView(data)) {
    return encodeFrame(Opcode.binary, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }
  if (data instanceof ArrayBuffer) return encodeFrame(Opcode.binary, new Uint8Array(data));
  const foreign = foreignMessage(data);
  if (foreign !== undefined) return encodeFrame(Opcode[foreign.type], foreign.bytes);
  const got = data === null ? "null" : typeof data;
  throw new SwitchboardError("ERR_DATA", `expected a string, bytes or a message to send, got ${got}`);
}
