/**
 * The receiving half of the codec: turns a peer's bytes into messages, pings, pongs, a close or one violation. Used by
 * the connections of a shard, by the WebSockets of `switchboard/websocket` and by the load generator.
 */
import { isUtf8 } from "node:buffer";
import { allocate, ownCopy } from "../allocator.ts";
import type { Inflater } from "../deflate/inflater.ts";
import { EMPTY } from "../empty.ts";
import { headerBytes, MAX_SHORT_PAYLOAD_BYTES, writeHeader } from "../frame.ts";
import { NO_KEY, readKey, unmask, unmaskInPlace } from "../masking/mask.ts";
import { type LentMemory, LentMessage, Message, messageOf } from "../message.ts";
import { isControl, Opcode } from "../opcode.ts";
import type { Role } from "../role.ts";
import { type Violation, type ViolationCode, violation } from "../violation.ts";
import { Assembly, type AssemblyState } from "./assembly.ts";
import { type Close, type Ping, type Pong, readClose } from "./control-event.ts";
import { type FrameRun, MIN_RUN_FRAMES, readFrameRun } from "./frame-run.ts";

export interface DecoderOptions {
  /** Our end of the connection. Default: server. */
  readonly role?: Role;
  /** Longest message, in bytes of payload over all its fragments, after inflating. */
  readonly maxPayloadBytes: number;
  /** Largest number of frames in one message, empty ones included. */
  readonly maxFragments: number;
  /** Inflater of a connection that negotiated permessage-deflate. Default: none; compressed messages are refused. */
  readonly inflater?: Inflater | undefined;
  /**
   * Called before a message that may become long is inflated. When the callback returns false, `next` returns undefined
   * and `inflationWaits` is true; the next call of `next` asks again. Default: inflates at once.
   */
  readonly mayInflate?: (() => boolean) | undefined;
}

/** A decoder between two events, as plain data. The bytes may be views: the owner copies or serializes them at once. */
export interface DecoderState {
  /** Bytes that were fed and not decoded. */
  readonly rest: Uint8Array;
  /** The message in progress; undefined between messages. */
  readonly message: AssemblyState | undefined;
  /** The data frame in progress; undefined between frames. */
  readonly frame: FrameState | undefined;
  /** Window of the peer's earlier messages; undefined if none is kept. */
  readonly window: Uint8Array | undefined;
}

/** A data frame in progress. */
interface FrameState {
  /** Payload bytes that are still to come. */
  remaining: number;
  /** Payload bytes that were read. */
  phase: number;
  /** True for the last frame of its message. */
  readonly final: boolean;
  /** Masking key. */
  readonly key: number;
}

/** One thing that a peer sent. No event follows a `close` or a `violation`. */
export type DecoderEvent = Message | Ping | Pong | Close | Violation;

/**
 * The decoder's state.
 *
 * - `borrowing`: the chunk belongs to the caller.
 * - `owning`: the chunk is a copy.
 * - `ended`: a close or a violation came, and no more bytes are read.
 */
type State = "borrowing" | "owning" | "ended";

const MASKING_KEY_BYTES = 4;
const RESERVED_BITS = 0x70;
/**
 * Longest compressed payload, in bytes, that is inflated without asking `mayInflate`. Deflate makes at most 1032 bytes
 * of 1, so such a payload stays below 64 KiB.
 */
const MAX_SHORT_COMPRESSED_BYTES = 63;
/** Shortest payload, in bytes, that stays in lent memory. */
const MIN_LENT_BYTES = 1024;
/** Reserved bit that marks a compressed message on its first frame. Source: RFC 7692 section 6. */
const COMPRESSED = 0x40;
/** Bytes of the header of a masked frame with a short payload, key included. */
const SHORT_HEADER_BYTES = 2 + MASKING_KEY_BYTES;

/**
 * The receiving half of RFC 6455 as a pure state machine. Call `feed` with chunks of any size, then call `next` until
 * it returns undefined. The decoder never throws because of bytes that a peer sent.
 *
 * The decoder borrows a chunk until `next` returns undefined or `suspend` is called. Events own their bytes.
 */
export class Decoder {
  readonly #options: DecoderOptions;
  /** Length of the masking key in each frame, in bytes. Clients must mask, servers must not: 4 if we are the server. */
  readonly #keyBytes: number;
  #chunk: Buffer = EMPTY;
  /** Offset in `#chunk` of the first unread byte. */
  #at = 0;
  #state: State = "owning";
  /** Memory of the borrowed chunk, if messages may stay in it. */
  #memory: LentMemory | undefined;
  /** Messages that were read before `#at`, and that no call of `next` has returned. */
  #run: FrameRun | undefined;
  /** False once a short message of this chunk wasn't the first of a run. */
  #mayBeRun = false;
  /** Number of frames that the last call of `next` read and that made no event. */
  fragments = 0;

  /** The message in progress: a data frame began it, and payload or continuation frames are still to come. */
  #assembly: Assembly | undefined;
  /** The data frame in progress; undefined between frames, as in every idle connection. */
  #frame: FrameState | undefined;

  constructor(options: DecoderOptions) {
    this.#options = options;
    this.#keyBytes = options.role === "client" ? 0 : MASKING_KEY_BYTES;
  }

  /**
   * Takes the state out, for `load` of another decoder. Not within `next`, and not after a close or a violation. This
   * decoder reads nothing more.
   */
  save(): DecoderState {
    const unread = this.#chunk.subarray(this.#at);
    const rest = this.#run === undefined ? unread : Buffer.concat([this.#run.toMasked(), unread]);
    const state = { rest, message: this.#assembly?.save(), frame: this.#frame, window: this.#options.inflater?.save() };
    this.#end();
    return state;
  }

  /**
   * Goes on where another decoder with the same options was saved. Call `next` then: events may be left in its rest.
   */
  load({ rest, message, frame, window }: DecoderState): void {
    this.feed(ownCopy(rest));
    this.#state = "owning";
    this.#assembly = message && Assembly.load(message);
    this.#options.inflater?.load(window);
    this.#frame = frame && { ...frame };
  }

  /**
   * Adds the next bytes of the peer.
   *
   * @param memory memory that begins with the chunk, and in which long messages may stay (`LentMessage`)
   */
  feed(chunk: Buffer, memory?: LentMemory): void {
    if (this.#state === "ended") return;
    // An earlier chunk leaves a rest when it ends inside a header or a control frame, or when it was suspended.
    const rest = this.#chunk.length - this.#at;
    this.#state = rest === 0 ? "borrowing" : "owning";
    this.#chunk = rest === 0 ? chunk : ownCopy(this.#chunk.subarray(this.#at), chunk);
    this.#at = 0;
    this.#memory = rest === 0 ? memory : undefined;
    this.#mayBeRun = this.#options.maxPayloadBytes >= MAX_SHORT_PAYLOAD_BYTES;
  }

  /** True when unread bytes or an uninflated message are left. */
  get hasMore(): boolean {
    return this.#run !== undefined || this.#at < this.#chunk.length || this.inflationWaits;
  }

  /** True when `next` returned undefined because `mayInflate` denied inflating a complete message. */
  get inflationWaits(): boolean {
    return this.#frame?.final === true && this.#frame.remaining === 0;
  }

  /**
   * Returns the next event, or undefined when more bytes are needed.
   *
   * @param maxFragments number of frames without an event after which the call returns undefined, too; `hasMore` is
   * true then if bytes are left. Default: no limit.
   */
  next(maxFragments = Number.POSITIVE_INFINITY): DecoderEvent | undefined {
    this.fragments = 0;
    if (this.#run !== undefined) return this.#takeFromRun(this.#run);
    while (this.#state !== "ended") {
      if (this.fragments >= maxFragments) return undefined;
      if (this.#frame === undefined) {
        const event = this.#readFrame();
        if (event !== "payload follows") return event ?? this.suspend();
      }
      const event = this.#readPayload();
      if (event !== undefined) return event;
      if (this.#frame !== undefined) return this.suspend();
      this.fragments++;
    }
    return undefined;
  }

  /** Copies the unread rest of the borrowed chunk, so that `next` can go on at a later time. */
  suspend(): undefined {
    this.#run?.compact();
    // A suspended copy may be read in many small steps. It is copied again only when at least half of it has been read.
    if (this.#state === "owning" && (this.#chunk.length - this.#at) * 2 > this.#chunk.length) return;
    if (this.#state === "borrowing") this.#state = "owning";
    this.#memory = undefined;
    this.#chunk = this.#at < this.#chunk.length ? ownCopy(this.#chunk.subarray(this.#at)) : EMPTY;
    this.#at = 0;
  }

  /** Reads one frame header, and the whole frame if it is a control frame or a complete, uncompressed message. */
  #readFrame(): DecoderEvent | "payload follows" | undefined {
    const chunk = this.#chunk;
    const start = this.#at;
    const available = chunk.length - start;
    if (available < 2) return undefined;
    const first = chunk[start] as number;
    const second = chunk[start + 1] as number;
    const whole = this.#readShortMessage(first, second, available);
    if (whole !== undefined) return whole;
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
    this.#frame = { remaining: payloadBytes, phase: 0, final, key };
    return "payload follows";
  }

  /**
   * Reads the most common frame, for which most checks are one: a whole message of less than 126 bytes from a client.
   * Returns undefined, and reads nothing, for all other frames.
   */
  #readShortMessage(first: number, second: number, available: number): Message | Violation | undefined {
    const opcode = first & 0x7f;
    if (first < 0x80 || (opcode !== Opcode.text && opcode !== Opcode.binary)) return undefined;
    const payloadBytes = second - 0x80;
    if (
      payloadBytes < 0 ||
      payloadBytes > MAX_SHORT_PAYLOAD_BYTES ||
      this.#keyBytes === 0 ||
      this.#assembly !== undefined
    )
      return undefined;
    if (available < SHORT_HEADER_BYTES + payloadBytes || payloadBytes > this.#options.maxPayloadBytes) return undefined;
    if (this.#mayBeRun && available >= MIN_RUN_FRAMES * (SHORT_HEADER_BYTES + payloadBytes)) {
      const run = readFrameRun(this.#chunk, this.#at);
      if (run !== undefined) return this.#takeFromRun(run);
      this.#mayBeRun = false;
    }
    return this.#readWholeMessage(opcode, payloadBytes, this.#takeKey(SHORT_HEADER_BYTES));
  }

  #takeFromRun(run: FrameRun): Message {
    const message = run.take();
    if (this.#run === undefined) this.#at += run.readBytes;
    this.#run = run.isEmpty ? undefined : run;
    return message;
  }

  /** Makes the checks that need only a frame's first two bytes, in the order of RFC 6455 section 5.2. */
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

  /**
   * True when the reserved bits mark a compressed message as they may: on its first frame, and only if compression was
   * negotiated. Source: RFC 7692 sections 6 and 6.1.
   */
  #mayBeCompressed(first: number): boolean {
    const opcode = first & 0x0f;
    return (
      (first & RESERVED_BITS) === COMPRESSED &&
      (opcode === Opcode.text || opcode === Opcode.binary) &&
      this.#options.inflater !== undefined
    );
  }

  /** Steps over a header of `header` bytes and returns the masking key at its end. */
  #takeKey(header: number): number {
    this.#at += header;
    return this.#keyBytes === 0 ? NO_KEY : readKey(this.#chunk, this.#at - MASKING_KEY_BYTES);
  }

  /**
   * The hot path: one frame that is one message and has arrived completely. It makes one copy, no views, no closures.
   */
  #readWholeMessage(opcode: Opcode, payloadBytes: number, key: number): Message | Violation {
    if (this.#memory !== undefined && payloadBytes >= MIN_LENT_BYTES) {
      return this.#lendWholeMessage(this.#memory, opcode, payloadBytes, key);
    }
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

  /** Unmasks a message where it is. The header takes the place of the end of the longer one that came. */
  #lendWholeMessage(memory: LentMemory, opcode: Opcode, payloadBytes: number, key: number): Message | Violation {
    const { block } = memory;
    const payloadStart = this.#at;
    const end = payloadStart + payloadBytes;
    this.#at = end;
    const ascii = unmaskInPlace(this.#chunk, payloadStart, payloadBytes, key);
    if (opcode === Opcode.text && !ascii && !isUtf8(block.subarray(payloadStart, end))) {
      return this.#fail("ERR_INVALID_UTF8");
    }
    const start = payloadStart - headerBytes(payloadBytes);
    writeHeader(block, start, opcode, payloadBytes);
    return new LentMessage(memory, start, payloadStart, end);
  }

  /** Moves the available payload of a frame to the message in progress. Returns the message when it is complete. */
  #readPayload(): Message | Violation | undefined {
    const assembly = this.#assembly as Assembly;
    const frame = this.#frame as FrameState;
    const length = Math.min(frame.remaining, this.#chunk.length - this.#at);
    // While fragments may follow, the total is unknown and memory may double. With the length of this frame as a bound,
    // memory would grow by one small fragment at a time, and each would move all bytes before it.
    const toCome = frame.final ? frame.remaining : Number.POSITIVE_INFINITY;
    const valid = assembly.append(this.#chunk, this.#at, length, toCome, frame.key, frame.phase);
    this.#at += length;
    frame.phase += length;
    frame.remaining -= length;
    if (!valid) return this.#fail("ERR_INVALID_UTF8");
    if (frame.remaining > 0) return undefined;
    if (frame.final && assembly.compressed && !this.#mayInflate(assembly)) return undefined;
    this.#frame = undefined;
    if (!frame.final) return undefined;
    this.#assembly = undefined;
    if (assembly.compressed) return this.#inflate(assembly);
    return assembly.finish() ?? this.#fail("ERR_INVALID_UTF8");
  }

  #mayInflate({ payloadBytes }: Assembly): boolean {
    return payloadBytes <= MAX_SHORT_COMPRESSED_BYTES || (this.#options.mayInflate?.() ?? true);
  }

  #inflate({ opcode, payload }: Assembly): Message | Violation {
    const { inflater, maxPayloadBytes } = this.#options;
    const inflated = (inflater as Inflater).inflate(payload, maxPayloadBytes);
    if (typeof inflated === "string") return this.#fail(inflated);
    if (opcode === Opcode.text && !isUtf8(inflated)) return this.#fail("ERR_INVALID_UTF8");
    return messageOf(opcode, inflated);
  }

  #readControl(opcode: number, payloadBytes: number, key: number): Ping | Pong | Close | Violation {
    if (opcode === Opcode.close) return this.#readClose(payloadBytes, key);
    const payload = payloadBytes === 0 ? EMPTY : Buffer.allocUnsafeSlow(payloadBytes);
    unmask(this.#chunk, this.#at, payload, 0, payloadBytes, key, 0);
    this.#at += payloadBytes;
    return { kind: opcode === Opcode.ping ? "ping" : "pong", payload };
  }

  #readClose(payloadBytes: number, key: number): Close | Violation {
    // Nobody keeps the payload, so it needs no memory of its own.
    const { block, start } = allocate(payloadBytes);
    unmask(this.#chunk, this.#at, block, start, payloadBytes, key, 0);
    const close = readClose(block, start, payloadBytes);
    if (typeof close === "string") return this.#fail(close);
    this.#end();
    return close;
  }

  #fail(code: ViolationCode): Violation {
    this.#end();
    return violation(code);
  }

  #end(): void {
    this.#state = "ended";
    this.#chunk = EMPTY;
    this.#at = 0;
    this.#frame = undefined;
    this.#assembly = undefined;
    this.#run = undefined;
  }
}
