/** The buffers into which the kernel receives. All connections of a ring share them. */
import { markAsUntransferable } from "node:worker_threads";
import { bufferAt } from "./libc.ts";
import { type Mapping, mapMemory } from "./memory.ts";

/** Number of buffers: as many reads as a turn may bring without a pause. A power of two. */
export const BUFFERS = 256;
/**
 * Bytes of a buffer: a frame of 64 KiB fits. The additional 64 bytes keep buffers from beginning at the same place of
 * the CPU's cache: 512 buffers of exactly 64 KiB made an echo of 4 KiB 8 % dearer. Measured with 64 KiB: a read of a
 * whole frame in place of eight saves a quarter of the CPU of an echo.
 */
const BUFFER_BYTES = 64 * 1024 + 64;
/** Bytes of all buffers. */
export const RECEIVE_BYTES = BUFFERS * BUFFER_BYTES;
/**
 * Bytes that the reads of a turn may bring, about, and the smallest number of reads of a turn: received bytes are then
 * still in the CPU's cache when they are sent. The kernel gets fewer buffers if reads are long.
 */
const HOT_BYTES = 512 * 1024;
const MIN_PROVIDED = 8;
/** Number of reads of which the mean length is taken. */
const WINDOW = 64;
/** Number of buffers that may be lent at a time: handlers that never end must not take them all. */
const MAX_LENT = BUFFERS / 2;
/** Shortest read that is lent, in bytes. The decoder copies the messages of shorter reads anyway. */
const MIN_LENT_BYTES = 1024;
/**
 * Number of views that are kept of each buffer: the next read of the buffer often has the length of one of its last
 * reads. A power of two.
 */
const VIEWS = 4;
/** Bytes of an entry of the ring of buffers (`struct io_uring_buf`). */
const ENTRY_BYTES = 16;
const ENTRY_WORDS = ENTRY_BYTES / 4;
/** Word of the first entry whose upper half is the tail of the ring. */
const TAIL_WORD = 3;

/** True if a borrowed buffer is overwritten when it is given back: who kept bytes of it sees that at once. */
const OVERWRITES = ["development", "test"].includes(process.env["NODE_ENV"] ?? "");
const OVERWRITTEN = 0xdd;

/** A buffer that the kernel has filled, and that may be lent beyond the call that hands out its bytes. */
export class LentBuffer {
  /** The whole buffer, in an `ArrayBuffer` of its own. */
  readonly block: Buffer<ArrayBuffer>;
  /** Offset of the buffer in the memory of the ring. */
  readonly offset: number;
  readonly #buffers: ReceiveBuffers;
  readonly #id: number;
  /** Number of holders. The ring is the first. */
  #holders = 0;
  #wasBorrowed = false;

  constructor(buffers: ReceiveBuffers, id: number, offset: number, memory: ArrayBuffer) {
    this.#buffers = buffers;
    this.#id = id;
    this.offset = offset;
    this.block = Buffer.from(memory);
  }

  /** Keeps the kernel from writing to the buffer, until as many calls of `release`. */
  hold(): void {
    if (++this.#holders > 1) this.#wasBorrowed = true;
  }

  release(): void {
    if (--this.#holders > 0) return;
    if (OVERWRITES && this.#wasBorrowed) this.block.fill(OVERWRITTEN);
    this.#wasBorrowed = false;
    this.#buffers.giveBack(this.#id);
  }
}

export class ReceiveBuffers {
  /** The memory in which the kernel finds the buffers that are free. */
  readonly ring: Mapping;
  readonly #ring: Int32Array;
  readonly #memory: Mapping;
  readonly #start: number;
  /** The last views of each buffer, at places that depend on their lengths. */
  readonly #views: Buffer[];
  readonly #lent: (LentBuffer | undefined)[] = [];
  /** Number of buffers that the kernel has, and the number that it may have. */
  #provided = 0;
  #maxProvided = BUFFERS;
  /** Buffers that nobody has; the one that was used last comes first again. */
  readonly #free: number[] = [];
  /** Number of reads since the last mean, and their bytes. */
  #reads = 0;
  #readBytes = 0;
  #tail = 0;

  /**
   * @param memory memory of which `RECEIVE_BYTES` from `start` on are for the buffers
   */
  constructor(listed: { ownMapping(mapping: Mapping): void }, memory: Mapping, start: number) {
    this.ring = mapMemory(BUFFERS * ENTRY_BYTES);
    listed.ownMapping(this.ring);
    this.#memory = memory;
    this.#start = start;
    this.#ring = new Int32Array(this.ring.buffer);
    this.#views = Array.from({ length: BUFFERS * VIEWS }, (_, place) =>
      this.#view(Math.floor(place / VIEWS), BUFFER_BYTES),
    );
  }

  /** Gives the kernel all buffers, once it knows of the ring of buffers. */
  provideAll(): void {
    for (let id = 0; id < BUFFERS; id++) this.#provide(id);
  }

  /** Number of reads for which the kernel has buffers. */
  get provided(): number {
    return this.#provided;
  }

  /** Takes a buffer that the kernel has filled. Returns its first bytes, valid until `giveBack`. */
  take(id: number, length: number): Buffer {
    this.#provided--;
    this.#readBytes += length;
    if (++this.#reads === WINDOW) this.#adapt();
    const place = id * VIEWS + (length & (VIEWS - 1));
    let view = this.#views[place] as Buffer;
    if (view.length !== length) {
      view = this.#view(id, length);
      this.#views[place] = view;
    }
    return view;
  }

  /** Gives a buffer back that the kernel has filled for nobody. */
  drop(id: number): void {
    this.#provided--;
    this.giveBack(id);
  }

  /**
   * Lends a buffer, before it is taken. Returns undefined for a short read, and if too many buffers are lent already.
   *
   * @param length bytes of the read
   */
  lend(id: number, length: number): LentBuffer | undefined {
    if (length < MIN_LENT_BYTES || BUFFERS - this.#provided - this.#free.length > MAX_LENT) return undefined;
    this.#lent[id] ??= this.#createLent(id);
    return this.#lent[id];
  }

  #createLent(id: number): LentBuffer {
    const offset = this.#start + id * BUFFER_BYTES;
    // A view that is cloned or posted takes a copy of its whole `ArrayBuffer` along, which therefore is no larger than
    // the buffer.
    const memory = bufferAt(BigInt(this.#memory.address + offset), BUFFER_BYTES);
    markAsUntransferable(memory);
    return new LentBuffer(this, id, offset, memory);
  }

  /** Gives a buffer back. The kernel may write to it from now on. */
  giveBack(id: number): void {
    if (this.#provided < this.#maxProvided) this.#provide(id);
    else this.#free.push(id);
  }

  /** Gives the kernel as many buffers as it may have. */
  refill(): void {
    while (this.#provided < this.#maxProvided) {
      const id = this.#free.pop();
      if (id === undefined) return;
      this.#provide(id);
    }
  }

  #adapt(): void {
    const hot = Math.ceil((HOT_BYTES * WINDOW) / this.#readBytes);
    this.#maxProvided = Math.min(BUFFERS, Math.max(MIN_PROVIDED, hot));
    this.#reads = 0;
    this.#readBytes = 0;
  }

  #provide(id: number): void {
    const ring = this.#ring;
    const at = (this.#tail & (BUFFERS - 1)) * ENTRY_WORDS;
    const address = this.#memory.address + this.#start + id * BUFFER_BYTES;
    ring[at] = address;
    ring[at + 1] = address / 2 ** 32;
    ring[at + 2] = BUFFER_BYTES;
    this.#tail = (this.#tail + 1) & 0xffff;
    this.#provided++;
    // The upper half of this word is the tail if the entry is the first, and reserved otherwise.
    if (at !== 0) ring[at + TAIL_WORD] = id;
    const reserved = at === 0 ? id : (ring[TAIL_WORD] as number) & 0xffff;
    Atomics.store(ring, TAIL_WORD, reserved | (this.#tail << 16));
  }

  #view(id: number, length: number): Buffer {
    return Buffer.from(this.#memory.buffer, this.#start + id * BUFFER_BYTES, length);
  }
}
