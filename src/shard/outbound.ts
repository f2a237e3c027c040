import { encodeFrame, type Frame } from "../protocol/frame.ts";
import { Opcode } from "../protocol/opcode.ts";
import type { Transport } from "../transport/transport.ts";

const NO_PAYLOAD = Buffer.alloc(0);
/** A tick's bytes leave early from here on, so that what waits is known by what the peer has taken. */
const EARLY_FLUSH_BYTES = 64 * 1024;
/** With less than this waiting every ping is answered: over TLS something waits in each tick, however fast the peer reads. */
const PONG_ROOM_BYTES = 4 * 1024;

/**
 * Frames queued one after the other, as a path in a tree: connections that get the same frames in the same order share the path, so
 * that their bytes are joined once for all of them. That is the case in a fan-out.
 */
class Rope {
  readonly #before: Rope | undefined;
  readonly #frame: Frame | undefined;
  readonly bytes: number;
  #next: Rope | undefined;
  #joined: Buffer | undefined;

  constructor(before?: Rope, frame?: Frame) {
    this.#before = before;
    this.#frame = frame;
    this.bytes = before === undefined || frame === undefined ? 0 : before.bytes + frame.end - frame.start;
  }

  /** This and one more frame. */
  append(frame: Frame): Rope {
    if (this.#next === undefined || this.#next.#frame !== frame) this.#next = new Rope(this, frame);
    return this.#next;
  }

  /** The bytes in one piece: those of the frames themselves where they lie side by side, else a copy. */
  join(): Buffer {
    this.#joined ??= this.#inPlace() ?? this.#copy();
    return this.#joined;
  }

  /** Like `join`, in memory that holds little else: for bytes that have to wait. */
  joinCompact(): Buffer {
    const joined = this.join();
    if (joined.length * 2 < joined.buffer.byteLength) this.#joined = this.#copy();
    return this.#joined as Buffer;
  }

  #inPlace(): Buffer | undefined {
    const last = this.#frame as Frame;
    let { start } = last;
    for (let rope = this.#before as Rope; rope.#frame !== undefined; rope = rope.#before as Rope) {
      if (rope.#frame.block !== last.block || rope.#frame.end !== start) return undefined;
      start = rope.#frame.start;
    }
    return last.block.subarray(start, last.end);
  }

  #copy(): Buffer {
    const joined = Buffer.allocUnsafeSlow(this.bytes);
    let at = this.bytes;
    for (let rope: Rope = this; rope.#frame !== undefined; rope = rope.#before as Rope) {
      const { block, start, end } = rope.#frame;
      at -= end - start;
      block.copy(joined, at, start, end);
    }
    return joined;
  }
}

/** The connections of a shard that have something to write, flushed together at the end of the tick: one write each. */
export class FlushQueue {
  #outbounds: Outbound[] = [];
  /** Where the paths of this tick begin. */
  root = new Rope();

  add(outbound: Outbound): void {
    if (this.#outbounds.length === 0) setImmediate(this.#flush);
    this.#outbounds.push(outbound);
  }

  readonly #flush = (): void => {
    const outbounds = this.#outbounds;
    this.#outbounds = [];
    for (const outbound of outbounds) outbound.flushQueued();
    this.root = new Rope();
  };
}

/**
 * What one connection has to write. Bounded: a frame that would make more than `maxBufferedBytes` wait for the peer is
 * refused. (What the operating system takes doesn't wait; a single frame always fits when nothing else does.)
 */
export class Outbound {
  readonly #transport: Transport;
  readonly #queue: FlushQueue;
  readonly #maxBufferedBytes: number;
  #pending: Rope | undefined;
  /** The newest ping that hasn't been answered because many earlier bytes wait: older ones need no answer (RFC 6455 section 5.5.3). */
  #owedPong: Buffer | undefined;
  #queued = false;

  constructor(transport: Transport, queue: FlushQueue, maxBufferedBytes: number) {
    this.#transport = transport;
    this.#queue = queue;
    this.#maxBufferedBytes = maxBufferedBytes;
  }

  /** Queues a frame for the end of the tick. */
  push(frame: Frame): "sent" | "buffered" | "refused" {
    const waiting = this.#transport.bufferedBytes;
    if (waiting > 0) {
      const bytes = waiting + (this.#pending?.bytes ?? 0) + frame.end - frame.start;
      if (bytes > this.#maxBufferedBytes) return "refused";
    }
    this.pushControl(frame);
    return waiting > 0 ? "buffered" : "sent";
  }

  /** Queues a frame whatever waits: for the few that a connection itself sends. */
  pushControl(frame: Frame): void {
    this.#pending = (this.#pending ?? this.#queue.root).append(frame);
    if (!this.#queued) {
      this.#queued = true;
      this.#queue.add(this);
    }
    if (this.#pending.bytes >= EARLY_FLUSH_BYTES) this.flush();
  }

  /** Answers a ping, at once or, when many earlier bytes wait, as soon as they are gone. */
  pong(payload: Buffer): void {
    if (this.#transport.bufferedBytes >= PONG_ROOM_BYTES || this.#owedPong !== undefined) this.#owedPong = payload;
    else this.pushControl(encodeFrame(Opcode.pong, payload));
  }

  /** Asks for a sign of life, unless bytes wait already: taking them is one. */
  ping(): void {
    if (this.#transport.bufferedBytes === 0) this.pushControl(encodeFrame(Opcode.ping, NO_PAYLOAD));
  }

  /** The peer has taken all that waited. */
  drained(): void {
    const payload = this.#owedPong;
    if (payload === undefined) return;
    this.#owedPong = undefined;
    this.pushControl(encodeFrame(Opcode.pong, payload));
  }

  flushQueued(): void {
    this.#queued = false;
    this.flush();
  }

  /** Writes what is queued now, not at the end of the tick. */
  flush(): void {
    const pending = this.#pending;
    if (pending === undefined) return;
    this.#pending = undefined;
    this.#transport.write(this.#transport.bufferedBytes > 0 ? pending.joinCompact() : pending.join());
  }
}
