/** The buffers into which the kernel receives. All connections of a ring share them. */
import { type Mapping, mapMemory } from "./memory.ts";

/**
 * Number of buffers: as many reads as a turn may bring without a pause. A power of two. More buffers would fall out of
 * the CPU's cache between two uses: with 256 an echo of 4 KiB costs 2 to 4 % less than with 512.
 */
export const BUFFERS = 256;
/**
 * Bytes of a buffer: a frame of 64 KiB fits. The additional 64 bytes keep buffers from beginning at the same place of the
 * CPU's cache: 512 buffers of exactly 64 KiB made an echo of 4 KiB 8 % dearer. Measured with 64 KiB: a read of a whole frame in place of
 * eight saves a quarter of the CPU of an echo.
 */
const BUFFER_BYTES = 64 * 1024 + 64;
/** Bytes of an entry of the ring of buffers (`struct io_uring_buf`). */
const ENTRY_BYTES = 16;
const ENTRY_WORDS = ENTRY_BYTES / 4;
/** Word of the first entry whose upper half is the tail of the ring. */
const TAIL_WORD = 3;

export class ReceiveBuffers {
  /** The memory in which the kernel finds the buffers that are free. */
  readonly ring: Mapping;
  readonly #ring: Int32Array;
  readonly #memory: Mapping;
  /** The last view of each buffer: the next read often has the same length. */
  readonly #views: Buffer[];
  #tail = 0;

  constructor(listed: { ownMapping(mapping: Mapping): void }) {
    this.ring = mapMemory(BUFFERS * ENTRY_BYTES);
    listed.ownMapping(this.ring);
    this.#memory = mapMemory(BUFFERS * BUFFER_BYTES);
    listed.ownMapping(this.#memory);
    this.#ring = new Int32Array(this.ring.buffer);
    this.#views = Array.from({ length: BUFFERS }, (_, id) => this.#view(id, BUFFER_BYTES));
  }

  /** The memory of all buffers. */
  get buffer(): ArrayBuffer {
    return this.#memory.buffer;
  }

  /** Gives the kernel all buffers, once it knows of the ring of buffers. */
  provideAll(): void {
    for (let id = 0; id < BUFFERS; id++) this.giveBack(id);
  }

  /** Returns the first bytes of a buffer, valid until `giveBack`. */
  bytes(id: number, length: number): Buffer {
    let view = this.#views[id] as Buffer;
    if (view.length !== length) {
      view = this.#view(id, length);
      this.#views[id] = view;
    }
    return view;
  }

  /** Gives a buffer back to the kernel, which may write to it from now on. */
  giveBack(id: number): void {
    const ring = this.#ring;
    const at = (this.#tail & (BUFFERS - 1)) * ENTRY_WORDS;
    const address = this.#memory.address + id * BUFFER_BYTES;
    ring[at] = address;
    ring[at + 1] = address / 2 ** 32;
    ring[at + 2] = BUFFER_BYTES;
    this.#tail = (this.#tail + 1) & 0xffff;
    // The upper half of this word is the tail if the entry is the first, and reserved otherwise.
    if (at !== 0) ring[at + TAIL_WORD] = id;
    const reserved = at === 0 ? id : (ring[TAIL_WORD] as number) & 0xffff;
    Atomics.store(ring, TAIL_WORD, reserved | (this.#tail << 16));
  }

  #view(id: number, length: number): Buffer {
    return Buffer.from(this.#memory.buffer, id * BUFFER_BYTES, length);
  }
}
