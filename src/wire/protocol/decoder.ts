import { isUtf8 } from "node:buffer";
import { Assembly } from "./assembly.ts";
import { CloseCode, isWireCloseCode } from "./close-code.ts";
import type { Inflater } from "./deflate/inflater.ts";
import { headerBytes, writeHeader } from "./frame.ts";
import { NO_KEY, readKey, unmask } from "./masking/mask.ts";
import { allocate } from "./memory.ts";
import { Message, messageOf } from "./message.ts";
import { isControl, Opcode } from "./opcode.ts";
import type { Role } from "./role.ts";
import { type Violation, type ViolationCode, violation } from "./violation.ts";

export interface DecoderOptions {
  /** Our end. Default: server. */
  readonly role?: Role;
  /** Longest message, in bytes of payload over all its fragments. */
  readonly maxPayloadBytes: number;
  /** Most frames in one message, empty ones counted. */
  readonly maxFragments: number;
  /** For connections on which permessage-deflate was agreed. Default: none, and compressed messages are refused. */
  readonly inflater?: Inflater | undefined;
  /**
   * Asked before a message is inflated that may become long. False: `next` gives undefined, as `inflationWaits` says, and asks again when it
   * is called again. Default: always at once.
   */
  readonly mayInflate?: (() => boolean) | undefined;
}

export interface Ping {
  readonly kind: "ping";
  readonly payload: Buffer;
}

export interface Pong {
  readonly kind: "pong";
  readonly payload: Buffer;
}

export interface Close {
  readonly kind: "close";
  /** 1005 when the frame had no code. */
  readonly code: number;
  readonly reason: string;
}

/** What a peer's bytes amount to. Nothing follows a `close` or a `violation`. */
export type DecoderEvent = Message | Ping | Pong | Close | Violation;

/**
 * - `borrowing`: the chunk is somebody else's.
 * - `owning`: it is a copy.
 * - `ended`: nothing more is read.
 */
type State = "borrowing" | "owning" | "ended";

const MASKING_KEY_BYTES = 4;
const NOTHING = Buffer.alloc(0);
const RESERVED_BITS = 0x70;
/** Deflate makes at most 1032 bytes of one: what is no longer than this stays below 64 KiB. */
const SHORT_COMPRESSED_BYTES = 63;
/** The reserved bit that marks a compressed message, on its first frame. Source: RFC 7692 section 6. */
const COMPRESSED = 0x40;

/**
 * The receiving half of RFC 6455, as a pure state machine: `feed` it chunks of any size
 * and take events with `next` until there are none. It never throws for what a peer sent.
 *
 * A chunk is borrowed until `next` returns undefined or `suspend` is called; events own their bytes.
 */
export class Decoder {
  readonly #options: DecoderOptions;
  /** Bytes of masking key in each frame: our peers mask when we are the server, and mustn't when we are the client. */
  readonly #keyBytes: number;
  #chunk: Buffer = NOTHING;
  #at = 0;
  #state: State = "owning";
  /** Frames that the last call of `next` took and that made no event yet. */
  fragments = 0;

  /** The message in progress: begun by a data frame whose payload or whose continuation is still to come. */
  #assembly: Assembly | undefined;
  /** The data frame in progress: payload bytes still to come, bytes that came, whether it is the last of its message. */
  #remaining = 0;
  #phase = 0;
  #final = false;
  #inPayload = false;
  /** Of the frame in progress. */
  #key = NO_KEY;

  constructor(options: DecoderOptions) {
    this.#options = options;
    this.#keyBytes = options.role === "client" ? 0 : MASKING_KEY_BYTES;
  }

  feed(chunk: Buffer): void {
    if (this.#state === "ended") return;
    // What an earlier chunk left over is a part of a header or of a control frame, or a suspended rest.
    const rest = this.#chunk.length - this.#at;
    this.#state = rest === 0 ? "borrowing" : "owning";
    this.#chunk = rest === 0 ? chunk : Buffer.concat([this.#chunk.subarray(this.#at), chunk]);
    this.#at = 0;
  }

  /** Whether bytes are left that `next` hasn't looked at, or not seen enough of. */
  get hasMore(): boolean {
    return this.#at < this.#chunk.length || this.inflationWaits;
  }

  /** Whether `next` gave undefined because it might not inflate a message that has come. */
  get inflationWaits(): boolean {
    return this.#inPayload && this.#final && this.#remaining === 0;
  }

  /**
   * The next event in what was fed, or undefined when more bytes are needed.
   *
   * @param maxFragments after so many frames that make no event yet it gives undefined, too, and `hasMore` says so. Default: no limit.
   */
  next(maxFragments = Number.POSITIVE_INFINITY): DecoderEvent | undefined {
    this.fragments = 0;
    while (this.#state !== "ended") {
      if (this.fragments >= maxFragments) return undefined;
      if (!this.#inPayload) {
        const event = this.#readFrame();
        if (event !== "payload follows") return event ?? this.suspend();
      }
      const event = this.#readPayload();
      if (event !== undefined) return event;
      if (this.#inPayload) return this.suspend();
      this.fragments++;
    }
    return undefined;
  }

  /** Copies what is left of the borrowed chunk, for going on with `next` at some later time. */
  suspend(): undefined {
    // A copy is taken up many times, a little of it each time, and isn't copied each time, unless most of it isn't needed any more.
    if (this.#state === "owning" && (this.#chunk.length - this.#at) * 2 > this.#chunk.length) return;
    if (this.#state === "borrowing") this.#state = "owning";
    this.#chunk = this.#at < this.#chunk.length ? Buffer.from(this.#chunk.subarray(this.#at)) : NOTHING;
    this.#at = 0;
  }

  /** Reads one frame's header, and the frame whole where that is possible. */
  #readFrame(): DecoderEvent | "payload follows" | undefined {
    const chunk = this.#chunk;
    const start = this.#at;
    const available = chunk.length - start;
    if (available < 2) return undefined;
    const first = chunk[start] as number;
    const second = chunk[start + 1] as number;
    const opcode = first & 0x0f;
    const final = (first & 0x80) !== 0;

    const wrong = this.#checkHeader(first, second);
    if (wrong !== undefined) return this.#fail(wrong);

    let payloadBytes = second & 0x7f;
    let header = 2 + this.#keyBytes;
    if (payloadBytes === 126) {
      if (available < 4) return undefined;
      payloadBytes = ((chunk[start + 2] as number) << 8) | (chunk[start + 3] as number);
      if (payloadBytes < 126) return this.#fail("ERR_LENGTH_NOT_MINIMAL");
      header = 4 + this.#keyBytes;
    } else if (payloadBytes === 127) {
      if (available < 10) return undefined;
      const view = Buffer.from(chunk.buffer, chunk.byteOffset + start + 2, 8);
      const high = view.readUInt32BE(0);
      payloadBytes = high * 0x1_0000_0000 + view.readUInt32BE(4);
      if (high > 0x7fff_ffff) return this.#fail("ERR_LENGTH_TOP_BIT");
      if (payloadBytes < 65_536) return this.#fail("ERR_LENGTH_NOT_MINIMAL");
      header = 10 + this.#keyBytes;
    }

    if (isControl(opcode)) {
      if (available < header + payloadBytes) return undefined;
      return this.#readControl(opcode, payloadBytes, this.#takeKey(header));
    }

    if ((this.#assembly?.payloadBytes ?? 0) + payloadBytes > this.#options.maxPayloadBytes) {
      return this.#fail("ERR_MESSAGE_TOO_BIG");
    }
    if (this.#assembly !== undefined && ++this.#assembly.fragments > this.#options.maxFragments) {
      return this.#fail("ERR_TOO_MANY_FRAGMENTS");
    }
    if (available < header) {
      if (this.#assembly !== undefined) this.#assembly.fragments--;
      return undefined;
    }
    const key = this.#takeKey(header);
    const compressed = (first & COMPRESSED) !== 0;
    if (final && this.#assembly === undefined && !compressed && available >= header + payloadBytes) {
      return this.#readWholeMessage(opcode as Opcode, payloadBytes, key);
    }
    this.#assembly ??= new Assembly(opcode as Opcode, compressed);
    this.#remaining = payloadBytes;
    this.#key = key;
    this.#phase = 0;
    this.#final = final;
    this.#inPayload = true;
    return "payload follows";
  }

  /** The checks that need only a frame's first two bytes, in the order of RFC 6455 section 5.2. */
  #checkHeader(first: number, second: number): ViolationCode | undefined {
    const opcode = first & 0x0f;
    if ((first & RESERVED_BITS) !== 0 && !this.#mayBeCompressed(first)) return "ERR_RESERVED_BITS";
    if ((opcode & 0x7) > 2) return "ERR_RESERVED_OPCODE";
    if ((second & 0x80) === 0 && this.#keyBytes > 0) return "ERR_UNMASKED_FRAME";
    if ((second & 0x80) !== 0 && this.#keyBytes === 0) return "ERR_MASKED_FRAME";
    if (isControl(opcode)) {
      if ((first & 0x80) === 0) return "ERR_FRAGMENTED_CONTROL";
      if ((second & 0x7f) > 125) return "ERR_CONTROL_TOO_LONG";
    } else if (opcode === Opcode.continuation) {
      if (this.#assembly === undefined) return "ERR_UNEXPECTED_CONTINUATION";
    } else if (this.#assembly !== undefined) {
      return "ERR_EXPECTED_CONTINUATION";
    }
    return undefined;
  }

  /** Only data can be compressed, and only a message's first frame says so. Source: RFC 7692 sections 6 and 6.1. */
  #mayBeCompressed(first: number): boolean {
    const opcode = first & 0x0f;
    return (
      (first & RESERVED_BITS) === COMPRESSED &&
      (opcode === Opcode.text || opcode === Opcode.binary) &&
      this.#options.inflater !== undefined
    );
  }

  /** The masking key at the end of the header, which has been read. */
  #takeKey(header: number): number {
    this.#at += header;
    return this.#keyBytes === 0 ? NO_KEY : readKey(this.#chunk, this.#at - MASKING_KEY_BYTES);
  }

  /** The common case, and the hot path: one frame, one message, all of it here. One copy, no views, no closures. */
  #readWholeMessage(opcode: Opcode, payloadBytes: number, key: number): Message | Violation {
    const { block, start } = allocate(headerBytes(payloadBytes) + payloadBytes);
    const payloadStart = writeHeader(block, start, opcode, payloadBytes);
    const ascii = unmask(this.#chunk, this.#at, block, payloadStart, payloadBytes, key, 0);
    this.#at += payloadBytes;
    const end = payloadStart + payloadBytes;
    if (opcode === Opcode.text && !ascii && !isUtf8(block.subarray(payloadStart, end))) {
      return this.#fail("ERR_INVALID_UTF8");
    }
    return new Message(block, start, payloadStart, end);
  }

  /** Moves what is here of a frame's payload to the message in progress, and ends that message if this was its end. */
  #readPayload(): Message | Violation | undefined {
    const assembly = this.#assembly as Assembly;
    const length = Math.min(this.#remaining, this.#chunk.length - this.#at);
    // Where fragments may follow, memory must be free to double: else each of many small ones would move all before it.
    const toCome = this.#final ? this.#remaining : Number.POSITIVE_INFINITY;
    const valid = assembly.append(this.#chunk, this.#at, length, toCome, this.#key, this.#phase);
    this.#at += length;
    this.#phase += length;
    this.#remaining -= length;
    if (!valid) return this.#fail("ERR_INVALID_UTF8");
    if (this.#remaining > 0) return undefined;
    if (this.#final && assembly.compressed && !this.#mayInflate(assembly)) return undefined;
    this.#inPayload = false;
    if (!this.#final) return undefined;
    this.#assembly = undefined;
    if (assembly.compressed) return this.#inflate(assembly);
    return assembly.finish() ?? this.#fail("ERR_INVALID_UTF8");
  }

  #mayInflate({ payloadBytes }: Assembly): boolean {
    return payloadBytes <= SHORT_COMPRESSED_BYTES || (this.#options.mayInflate?.() ?? true);
  }

  #inflate({ opcode, payload }: Assembly): Message | Violation {
    const { inflater, maxPayloadBytes } = this.#options;
    const inflated = (inflater as Inflater).inflate(payload, maxPayloadBytes);
    if (typeof inflated === "string") return this.#fail(inflated);
    if (opcode === Opcode.text && !isUtf8(inflated)) return this.#fail("ERR_INVALID_UTF8");
    return messageOf(opcode, inflated);
  }

  #readControl(opcode: number, payloadBytes: number, key: number): Ping | Pong | Close | Violation {
    const payload = Buffer.allocUnsafeSlow(payloadBytes);
    unmask(this.#chunk, this.#at, payload, 0, payloadBytes, key, 0);
    this.#at += payloadBytes;
    if (opcode === Opcode.ping) return { kind: "ping", payload };
    if (opcode === Opcode.pong) return { kind: "pong", payload };
    return this.#readClose(payload);
  }

  /** Source: RFC 6455 sections 5.5.1 and 7.4. */
  #readClose(payload: Buffer): Close | Violation {
    if (payload.length === 1) return this.#fail("ERR_CLOSE_PAYLOAD");
    if (payload.length === 0) {
      this.#end();
      return { kind: "close", code: CloseCode.noStatus, reason: "" };
    }
    const code = payload.readUInt16BE();
    if (!isWireCloseCode(code)) return this.#fail("ERR_INVALID_CLOSE_CODE");
    const reason = payload.subarray(2);
    if (!isUtf8(reason)) return this.#fail("ERR_INVALID_UTF8");
    this.#end();
    return { kind: "close", code, reason: reason.toString() };
  }

  #fail(code: ViolationCode): Violation {
    this.#end();
    return violation(code);
  }

  #end(): void {
    this.#state = "ended";
    this.#chunk = NOTHING;
    this.#at = 0;
    this.#inPayload = false;
    this.#assembly = undefined;
  }
}
