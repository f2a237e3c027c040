/**
 * Layout of the memory of an estate, which a thread and the main thread share. `estate.ts` and `settlement.ts` use it.
 */

/** Number of descriptors that can be listed. Linux allows a process 2^20 descriptors unless told otherwise. */
const MAX_DESCRIPTORS = 2 ** 22;
const MAX_MAPPINGS = 8;

/** Names of the first words of the memory. The list of descriptors, a bit for each, follows the mappings. */
export const words = {
  threadId: 0,
  ring: 1,
  mappings: 2,
  cqMapping: 3,
  cqHead: 4,
  cqTail: 5,
  cqMask: 6,
  cqEntries: 7,
  /** 1 from the beginning of the estate's end. */
  sealed: 8,
  /**
   * The descriptor, plus 1, that the thread has in hand: it belongs to the thread, listed or not. 0 stands for none, as
   * in fresh memory.
   */
  hand: 9,
  /** Number of the estate whose list the descriptor in hand is on already; 0 if it is on none but this one. */
  handTo: 10,
  /** Number of the estate among those of the thread that created its memory. */
  number: 11,
};

/** Words of one mapping: its address in two parts, and its length. */
export const MAPPING_WORDS = 3;
export const MAPPINGS_AT = 16;
export const BITS_AT = MAPPINGS_AT + MAX_MAPPINGS * MAPPING_WORDS;

/** Memories by their numbers, for the settlement. */
const memories = new Map<number, WeakRef<SharedArrayBuffer>>();
let created = 0;

/**
 * Creates the memory for one thread. Pages that are never written take no memory.
 *
 * @param descriptors number of descriptors that can be listed: a multiple of 32. Higher ones are never opened. Default:
 * 2^22
 */
export function createEstateMemory(descriptors = MAX_DESCRIPTORS): SharedArrayBuffer {
  const memory = new SharedArrayBuffer((BITS_AT + descriptors / 32) * 4);
  for (const [number, reference] of memories) if (reference.deref() === undefined) memories.delete(number);
  memories.set(++created, new WeakRef(memory));
  new Int32Array(memory)[words.number] = created;
  return memory;
}

/** Returns the memory of an estate that this thread has created; undefined if nobody uses it any more. */
export function memoryOf(number: number): SharedArrayBuffer | undefined {
  return memories.get(number)?.deref();
}

export function isSealed(all: Int32Array): boolean {
  return Atomics.load(all, words.sealed) !== 0;
}

/** Takes a descriptor off a list. Returns false if it isn't on the list. Of all who try at a time, one gets true. */
export function takeOff(all: Int32Array, descriptor: number): boolean {
  const bit = 1 << (descriptor & 31);
  return (Atomics.and(all, BITS_AT + (descriptor >> 5), ~bit) & bit) !== 0;
}
