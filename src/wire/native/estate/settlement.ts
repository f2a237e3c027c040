/**
 * The main thread's end of an estate: takes descriptors from it and gives some to it, and closes all after the thread's
 * end.
 */
import { readFileSync } from "node:fs";
import { bufferAt } from "../libc.ts";
import { unmap } from "../memory.ts";
import { closeDescriptor, READ_AND_WRITE, shutDown } from "../sockets.ts";
import { BITS_AT, isSealed, MAPPING_WORDS, MAPPINGS_AT, memoryOf, takeOff, words } from "./estate-memory.ts";

/**
 * Takes a descriptor off the list of a thread that has said so. The descriptor belongs to the caller then. Returns
 * false if the estate was settled before, which has closed the descriptor.
 */
export function claimDescriptor(memory: SharedArrayBuffer, descriptor: number): boolean {
  return takeOff(new Int32Array(memory), descriptor);
}

/**
 * Gives a descriptor of the caller to a thread, which will be told so: the thread, or the settlement, closes it.
 * Returns false if the thread is at its end; then the descriptor stays the caller's.
 */
export function entrustDescriptor(memory: SharedArrayBuffer, descriptor: number): boolean {
  const all = new Int32Array(memory);
  Atomics.or(all, BITS_AT + (descriptor >> 5), 1 << (descriptor & 31));
  return !(isSealed(all) && takeOff(all, descriptor));
}

/**
 * Begins the end of an estate: no thread takes it, and nobody gives it a descriptor, from now on. Returns the thread
 * that uses the estate; 0 if none has taken it, or if the thread left it.
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
  const descriptors = [...accepted, ...takeHand(all), ...takenFrom(all)];
  for (const descriptor of descriptors) {
    // The kernel may hold the socket for a moment longer: the end must not wait for that.
    shutDown(descriptor, READ_AND_WRITE);
    closeDescriptor(descriptor);
  }
  for (let index = 0; index < (all[words.mappings] as number); index++) unmap(mappingAt(all, index));
  all.fill(0, 0, words.sealed);
  return descriptors.length;
}

/** Takes what the thread had in hand off all lists. Empty if its estate, or another one's settlement, has closed it. */
function takeHand(all: Int32Array): readonly number[] {
  const descriptor = (all[words.hand] as number) - 1;
  const to = all[words.handTo] as number;
  all.fill(0, words.hand, words.handTo + 1);
  if (descriptor < 0) return [];
  takeOff(all, descriptor);
  if (to === 0) return [descriptor];
  const theirs = memoryOf(to);
  return theirs !== undefined && takeOff(new Int32Array(theirs), descriptor) ? [descriptor] : [];
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
