/**
 * What a thread owns past Node: descriptors, mapped memory and a ring. Nobody would close them when the thread dies, so
 * they are listed in memory that the main thread shares and settles.
 */
import { readFileSync } from "node:fs";
import { SwitchboardError } from "../../errors.ts";
import { bind, bufferAt, systemError } from "./libc.ts";
import { type Mapping, unmap } from "./memory.ts";
import type { CompletionQueuePlace, RingOwner } from "./ring-setup.ts";
import { closeDescriptor, READ_AND_WRITE, shutDown } from "./sockets.ts";

/** Number of descriptors that can be listed. Linux allows a process 2^20 descriptors unless told otherwise. */
const MAX_DESCRIPTORS = 2 ** 22;
const MAX_MAPPINGS = 8;

/** Names of the first words of the memory. The list of descriptors, a bit for each, follows the mappings. */
const words = {
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
};
const EMFILE = 24;
const EFD_NONBLOCK = 0x800;
const EFD_CLOEXEC = 0x80000;

const ONE = { return: "int32", arguments: ["int32"] } as const;

/** Words of one mapping: its address in two parts, and its length. */
const MAPPING_WORDS = 3;
const MAPPINGS_AT = 16;
const BITS_AT = MAPPINGS_AT + MAX_MAPPINGS * MAPPING_WORDS;

/**
 * Creates the memory for one thread. Pages that are never written take no memory.
 *
 * @param descriptors number of descriptors that can be listed: a multiple of 32. Higher ones are never opened. Default: 2^22
 */
export function createEstateMemory(descriptors = MAX_DESCRIPTORS): SharedArrayBuffer {
  return new SharedArrayBuffer((BITS_AT + descriptors / 32) * 4);
}

/** A handle of Node that has no descriptor yet. */
export interface EmptyHandle {
  /** Takes a descriptor over: a native function. Returns 0, or a negative error number. */
  open(descriptor: number): number;
}

/** The owner's end: the thread with the ring. */
export class Estate implements RingOwner {
  readonly #words: Int32Array;
  /** Number of descriptors that can be listed. */
  readonly #limit: number;
  readonly #close = bind("close", ONE);
  readonly #dup = bind("dup", ONE);

  constructor(memory: SharedArrayBuffer, threadId: number) {
    this.#words = new Int32Array(memory);
    this.#limit = (this.#words.length - BITS_AT) * 32;
    Atomics.store(this.#words, words.threadId, threadId);
    if (isSealed(this.#words)) throw new SwitchboardError("ERR_CLOSED", "the thread is to end");
  }

  /** Lists a ring, which has nothing mapped yet. */
  ownRing(descriptor: number): void {
    // 0 stands for none, as in fresh memory.
    this.#words[words.ring] = descriptor + 1;
  }

  ownMapping({ address, byteLength }: Mapping): void {
    const index = this.#words[words.mappings] as number;
    const at = MAPPINGS_AT + index * MAPPING_WORDS;
    this.#words[at] = address;
    this.#words[at + 1] = address / 2 ** 32;
    this.#words[at + 2] = byteLength;
    this.#words[words.mappings] = index + 1;
  }

  /** Says where the completion queue lies in the mapping that was listed last. */
  ownCompletions({ cqHead, cqTail, cqMask, cqEntries }: CompletionQueuePlace): void {
    this.#words[words.cqHead] = cqHead;
    this.#words[words.cqTail] = cqTail;
    this.#words[words.cqMask] = cqMask;
    this.#words[words.cqEntries] = cqEntries;
    this.#words[words.cqMapping] = this.#words[words.mappings] as number;
  }

  /** Tells that this thread uses nothing of its estate any more, and runs on. */
  leave(): void {
    Atomics.store(this.#words, words.threadId, 0);
  }

  /**
   * Lists a descriptor that the kernel opened for an accept. Returns it, or a negative EMFILE if it can't be listed: then it
   * is closed.
   */
  ownAccepted(descriptor: number): number {
    if (descriptor < this.#limit) {
      this.own(descriptor);
      return descriptor;
    }
    this.#close(descriptor);
    return -EMFILE;
  }

  /** Lists a descriptor that the kernel opened, or that came from elsewhere. */
  own(descriptor: number): void {
    Atomics.or(this.#words, BITS_AT + (descriptor >> 5), 1 << (descriptor & 31));
  }

  /**
   * Gives a descriptor to a handle of Node, which closes it from then on. Returns 0, or a negative error number: then
   * the descriptor is still here.
   */
  handOver(descriptor: number, handle: EmptyHandle): number {
    const at = BITS_AT + (descriptor >> 5);
    const bit = 1 << (descriptor & 31);
    Atomics.and(this.#words, at, ~bit);
    // As in `duplicate`: no thread may end between the two.
    const result = handle.open(descriptor);
    if (result !== 0) Atomics.or(this.#words, at, bit);
    return result;
  }

  /** Takes a descriptor off the list that is given to another process. */
  disown(descriptor: number): void {
    Atomics.and(this.#words, BITS_AT + (descriptor >> 5), ~(1 << (descriptor & 31)));
  }

  /**
   * Gives a descriptor to another thread. From then on that thread closes it, or whoever settles the thread's estate.
   * Returns false if that thread has ended; then the descriptor stays here.
   */
  give(descriptor: number, to: SharedArrayBuffer): boolean {
    const theirs = new Int32Array(to);
    const at = BITS_AT + (descriptor >> 5);
    const bit = 1 << (descriptor & 31);
    // As in `duplicate`: no thread may end between the two.
    Atomics.and(this.#words, at, ~bit);
    Atomics.or(theirs, at, bit);
    if (!isSealed(theirs)) return true;
    // Whoever clears the bit has the descriptor: this thread, or the one that settles.
    const wasListed = (Atomics.and(theirs, at, ~bit) & bit) !== 0;
    if (wasListed) Atomics.or(this.#words, at, bit);
    return !wasListed;
  }

  /** Opens and lists a second descriptor of the same socket. Throws `ERR_SYSTEM_CALL`, such as EMFILE. */
  duplicate(descriptor: number): number {
    const copy = this.#dup(descriptor);
    if (copy < 0) throw systemError("dup");
    if (copy >= this.#limit) {
      this.#close(copy);
      throw systemError("dup", EMFILE);
    }
    // V8 ends a thread at the beginning of functions of JavaScript and in loops: neither may stand between the two.
    Atomics.or(this.#words, BITS_AT + (copy >> 5), 1 << (copy & 31));
    return copy;
  }

  /** Opens and lists an eventfd. Throws `ERR_SYSTEM_CALL`. */
  openEventfd(): number {
    const eventfd = bind("eventfd", { return: "int32", arguments: ["uint32", "int32"] });
    const descriptor = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (descriptor < 0) throw systemError("eventfd");
    this.own(descriptor);
    return descriptor;
  }

  /** Closes a descriptor and takes it off the list. */
  close(descriptor: number): void {
    this.#close(descriptor);
    // As in `duplicate`. A descriptor that is listed but closed may be somebody else's by the time it is settled.
    Atomics.and(this.#words, BITS_AT + (descriptor >> 5), ~(1 << (descriptor & 31)));
  }
}

function isSealed(all: Int32Array): boolean {
  return Atomics.load(all, words.sealed) !== 0;
}

/**
 * Begins the end of an estate: no thread takes it, and nobody gives it a descriptor, from now on. Returns the thread that
 * uses the estate; 0 if none has taken it, or if the thread left it.
 */
export function sealEstate(memory: SharedArrayBuffer): number {
  const all = new Int32Array(memory);
  Atomics.store(all, words.sealed, 1);
  return Atomics.load(all, words.threadId);
}

/**
 * Closes and unmaps everything of a thread that has ended, or has closed its ring. Peers see their connection end, and
 * ports are free. A second call does nothing.
 *
 * @param isAccepted tells whether a completion, by the first word of its name, has a descriptor that was just accepted
 * @returns the number of sockets that were closed
 */
export function settleEstate(memory: SharedArrayBuffer, isAccepted: (name: number) => boolean): number {
  const all = new Int32Array(memory);
  sealEstate(memory);
  const ring = (all[words.ring] as number) - 1;
  const accepted = acceptedUnseen(all, isAccepted);
  if (ring >= 0) accepted.push(...acceptedBeyond(ring, isAccepted).filter((descriptor) => !isListed(all, descriptor)));
  if (ring >= 0) closeDescriptor(ring);
  let closed = 0;
  const close = (descriptor: number): void => {
    // The kernel may hold the socket for a moment longer: the end must not wait for that.
    shutDown(descriptor, READ_AND_WRITE);
    closeDescriptor(descriptor);
    closed++;
  };
  for (const descriptor of accepted) close(descriptor);
  for (const descriptor of takenFrom(all)) close(descriptor);
  for (let index = 0; index < (all[words.mappings] as number); index++) unmap(mappingAt(all, index));
  all.fill(0, 0, words.sealed);
  return closed;
}

/**
 * Shuts down all sockets of a thread that doesn't end. Their descriptors, and the memory, are left to the thread: a
 * descriptor that is closed under a thread may be somebody else's in its next call.
 */
export function hangUpEstate(memory: SharedArrayBuffer): void {
  for (const descriptor of listedIn(new Int32Array(memory))) shutDown(descriptor, READ_AND_WRITE);
}

function* listedIn(all: Int32Array): Generator<number, void> {
  for (let at = BITS_AT; at < all.length; at++) if (all[at] !== 0) yield* descriptorsOf(at, all[at] as number);
}

/** Takes all descriptors off a list. Another thread may give one to the list meanwhile: then one of the two gets it. */
function* takenFrom(all: Int32Array): Generator<number, void> {
  for (let at = BITS_AT; at < all.length; at++) {
    if (all[at] !== 0) yield* descriptorsOf(at, Atomics.exchange(all, at, 0));
  }
}

function* descriptorsOf(at: number, word: number): Generator<number, void> {
  for (let bits = word; bits !== 0; bits &= bits - 1) yield ((at - BITS_AT) << 5) + 31 - Math.clz32(bits & -bits);
}

/** Returns the descriptors that the kernel accepted and the thread didn't live to see. */
function acceptedUnseen(all: Int32Array, isAccepted: (name: number) => boolean): number[] {
  const index = (all[words.cqMapping] as number) - 1;
  if (index < 0) return [];
  const { address, byteLength } = mappingAt(all, index);
  const queue = new Int32Array(bufferAt(BigInt(address), byteLength));
  const tail = Atomics.load(queue, all[words.cqTail] as number);
  const found: number[] = [];
  for (let head = queue[all[words.cqHead] as number] as number; head !== tail; head = (head + 1) | 0) {
    const at = (all[words.cqEntries] as number) + (head & (all[words.cqMask] as number)) * 4;
    const result = queue[at + 2] as number;
    if (result >= 0 && isAccepted(queue[at] as number) && !isListed(all, result)) found.push(result);
  }
  return found;
}

/**
 * Returns the descriptors of accepts for whose completions the queue had no room. The kernel keeps such completions
 * (IORING_FEAT_NODROP), and gives them to the ring's thread alone; to others it shows them in `/proc`.
 */
function acceptedBeyond(ring: number, isAccepted: (name: number) => boolean): number[] {
  const shown = readFileSync(`/proc/self/fdinfo/${ring}`, "latin1");
  const found: number[] = [];
  for (const [, userData = "", result] of shown.matchAll(/^\s*user_data=(\d+), res=(-?\d+), flags=/gm)) {
    const name = Number(BigInt.asUintN(32, BigInt(userData)));
    if (Number(result) >= 0 && isAccepted(name)) found.push(Number(result));
  }
  return found;
}

function isListed(all: Int32Array, descriptor: number): boolean {
  return ((all[BITS_AT + (descriptor >> 5)] as number) & (1 << (descriptor & 31))) !== 0;
}

function mappingAt(all: Int32Array, index: number): { readonly address: number; readonly byteLength: number } {
  const at = MAPPINGS_AT + index * MAPPING_WORDS;
  const [low = 0, high = 0, byteLength = 0] = all.subarray(at, at + MAPPING_WORDS);
  return { address: (low >>> 0) + high * 2 ** 32, byteLength };
}
