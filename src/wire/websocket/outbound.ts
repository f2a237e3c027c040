/**
 * The sending half of a `WebSocket` over a stream.
 */
import type { Duplex } from "node:stream";
import type { Deflater } from "../protocol/deflate/deflater.ts";
import type { Frame } from "../protocol/frame.ts";
import { maskFrame } from "../protocol/masking/mask-frame.ts";
import type { Role } from "../protocol/role.ts";
import type { SendResult } from "../protocol/send-result.ts";

/** Bytes that may wait before `send` makes its caller wait. */
const ROOM_BYTES = 64 * 1024;
/** Least number of bytes that a queued frame counts for. */
const MIN_FRAME_BYTES = 128;
/** Number of control frames that may wait. Of more pings only the newest is answered (RFC 6455 section 5.5.3). */
const MAX_CONTROL_FRAMES = 64;

const SENT = Promise.resolve("sent" as const);
const DROPPED = Promise.resolve("dropped" as const);

export interface OutboundOptions {
  readonly role: Role;
  readonly maxBufferedBytes: number;
  /** Compresses data frames. Default: no compression. */
  readonly deflater?: Deflater | undefined;
}

/**
 * Frames of one tick leave in one write, control frames first. Frames that the stream doesn't take wait here.
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

  /** Bytes that the operating system hasn't taken yet. A frame counts for at least 128. */
  get bufferedBytes(): number {
    return this.#framesBytes + this.#stream.writableLength;
  }

  /** Sends a data frame. Resolves when there is room for more. */
  send(frame: Frame): Promise<SendResult> {
    if (this.bufferedBytes >= this.#maxBufferedBytes) return DROPPED;
    this.#enqueue(this.#toWire(this.#deflater?.compress(frame) ?? frame));
    if (this.bufferedBytes <= ROOM_BYTES) return SENT;
    return new Promise((resolve) => this.#waiters.push(resolve));
  }

  /** Sends a ping or a pong, ahead of data. */
  sendControl(frame: Frame): void {
    if (this.#control.length === MAX_CONTROL_FRAMES) this.#control.pop();
    this.#control.push(this.#toWire(frame));
    this.#schedule();
  }

  /** Sends a close frame, after all data. */
  sendClose(frame: Frame): void {
    this.#enqueue(this.#toWire(frame));
  }

  /** Ends the stream after what is queued. */
  end(): void {
    this.#ending = true;
    this.#flush();
  }

  /** The stream is gone, and everything queued with it. */
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
    // Runs after the microtasks, in which readers answer the messages of one read.
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
    // Not in this tick: a loop of `await send(…)` to a peer that takes everything at once would keep the event loop
    // busy.
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
