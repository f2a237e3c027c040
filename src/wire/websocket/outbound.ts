import type { Duplex } from "node:stream";
import type { Deflater } from "../protocol/deflate/deflater.ts";
import type { Frame } from "../protocol/frame.ts";
import { maskFrame } from "../protocol/masking/mask-frame.ts";
import type { Role } from "../protocol/role.ts";
import type { SendResult } from "../protocol/send-result.ts";

/** Bytes that may wait before `send` makes its caller wait. */
const ROOM_BYTES = 64 * 1024;
/** What a queued frame costs at least, whatever its payload. */
const MIN_FRAME_BYTES = 128;
/** Control frames that wait: of more pings than this, the newest is answered (RFC 6455 section 5.5.3). */
const MAX_CONTROL_FRAMES = 64;

const SENT = Promise.resolve("sent" as const);
const DROPPED = Promise.resolve("dropped" as const);

export interface OutboundOptions {
  readonly role: Role;
  readonly maxBufferedBytes: number;
  /** Compresses data frames. Default: they leave as they are. */
  readonly deflater?: Deflater | undefined;
}

/**
 * The sending half over a stream. Frames of one tick leave in one write, control frames first; what the stream doesn't
 * take waits here.
 */
export class Outbound {
  readonly #stream: Duplex;
  readonly #masks: boolean;
  readonly #maxBufferedBytes: number;
  readonly #deflater: Deflater | undefined;
  #frames: Frame[] = [];
  #framesBytes = 0;
  readonly #control: Frame[] = [];
  #waiters: ((result: SendResult) => void)[] = [];
  #scheduled = false;
  #ending = false;

  constructor(stream: Duplex, { role, maxBufferedBytes, deflater }: OutboundOptions) {
    this.#stream = stream;
    this.#masks = role === "client";
    this.#maxBufferedBytes = maxBufferedBytes;
    this.#deflater = deflater;
    stream.on("drain", this.#flush);
  }

  /** Bytes that the operating system hasn't taken yet; a small frame counts for 128. */
  get bufferedBytes(): number {
    return this.#framesBytes + this.#stream.writableLength;
  }

  /** Every data frame passes here. Resolves when there is room for more. */
  send(frame: Frame): Promise<SendResult> {
    if (this.bufferedBytes >= this.#maxBufferedBytes) return DROPPED;
    this.#enqueue(this.#toWire(this.#deflater?.compress(frame) ?? frame));
    if (this.bufferedBytes <= ROOM_BYTES) return SENT;
    return new Promise((resolve) => this.#waiters.push(resolve));
  }

  /** A ping or a pong: it overtakes data. */
  sendControl(frame: Frame): void {
    if (this.#control.length === MAX_CONTROL_FRAMES) this.#control.pop();
    this.#control.push(this.#toWire(frame));
    this.#schedule();
  }

  /** A close frame: it comes after all data. */
  sendClose(frame: Frame): void {
    this.#enqueue(this.#toWire(frame));
  }

  /** Ends the stream after what is queued. */
  end(): void {
    this.#ending = true;
    this.#flush();
  }

  /** The stream is gone, and what is queued with it. */
  closed(): void {
    this.#frames = [];
    this.#framesBytes = 0;
    this.#settle("closed");
  }

  #toWire(frame: Frame): Frame {
    return this.#masks ? maskFrame(frame) : frame;
  }

  #enqueue(frame: Frame): void {
    this.#frames.push(frame);
    this.#framesBytes += cost(frame);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    // Runs when the microtasks are done, and with them whoever answers the messages of one read.
    process.nextTick(this.#flush);
  }

  readonly #flush = (): void => {
    this.#scheduled = false;
    const stream = this.#stream;
    if (!stream.writable || stream.writableNeedDrain) return;
    stream.cork();
    for (const frame of this.#control.splice(0)) stream.write(bytesOf(frame));
    let taken = 0;
    for (const frame of this.#frames) {
      if (stream.writableNeedDrain) break;
      stream.write(bytesOf(frame));
      this.#framesBytes -= cost(frame);
      taken++;
    }
    this.#frames.splice(0, taken);
    stream.uncork();
    if (this.#frames.length > 0) return;
    if (this.#ending) stream.end();
    // Not in this tick: who sends in a loop to a peer that takes all at once would keep everybody else waiting.
    if (this.#waiters.length > 0 && !stream.writableNeedDrain) setImmediate(this.#tellRoom);
  };

  readonly #tellRoom = (): void => this.#settle("sent");

  #settle(result: SendResult): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const resolve of waiters) resolve(result);
  }
}

function bytesOf({ block, start, end }: Frame): Buffer {
  return block.subarray(start, end);
}

function cost({ start, end }: Frame): number {
  return Math.max(MIN_FRAME_BYTES, end - start);
}
