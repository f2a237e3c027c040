/**
 * Property of a thread that Node doesn't know: descriptors, mapped memory and a ring. Nobody would close them when the
 * thread dies, so they are listed in memory that the main thread shares and settles.
 */
import { SwitchboardError } from "../../../errors.ts";
import { bind, systemError } from "../libc.ts";
import type { Mapping } from "../memory.ts";
import type { CompletionQueuePlace, RingOwner } from "../ring-setup.ts";
import { BITS_AT, isSealed, MAPPING_WORDS, MAPPINGS_AT, takeOff, words } from "./estate-memory.ts";

const EMFILE = 24;
const EFD_NONBLOCK = 0x800;
const EFD_CLOEXEC = 0x80000;

const F_DUPFD_CLOEXEC = 1030;

const ONE = { return: "int32", arguments: ["int32"] } as const;
const THREE = { return: "int32", arguments: ["int32", "int32", "int32"] } as const;

/** A handle of Node that has no descriptor yet. */
export interface EmptyHandle {
  /** Takes a descriptor over: a native function. Returns 0, or a negative error number. */
  open(descriptor: number): number;
}

/**
 * The owner's end: the thread with the ring, or one that gives descriptors away.
 *
 * V8 ends a thread where a function begins, be it of JavaScript or one such as `Atomics.or`, and in loops; not where
 * C++ or C begins, nor where a function returns. So a descriptor that has come into being, or that changes its owner,
 * is written to `hand` by a plain store, with no call between the store and what happens to the descriptor.
 */
export class Estate implements RingOwner {
  readonly memory: SharedArrayBuffer;
  readonly #words: Int32Array;
  /**
   * The descriptor, plus 1, that belongs to this thread whatever the lists say, or 0; and the number of the estate on
   * whose list the descriptor is already, or 0.
   */
  readonly hand: Int32Array;
  /** Number of descriptors that can be listed. */
  readonly #limit: number;
  readonly #close = bind("close", ONE);
  readonly #fcntl = bind("fcntl", THREE);

  constructor(memory: SharedArrayBuffer, threadId: number) {
    this.memory = memory;
    this.#words = new Int32Array(memory);
    this.hand = this.#words.subarray(words.hand, words.handTo + 1);
    this.#limit = (this.#words.length - BITS_AT) * 32;
    Atomics.store(this.#words, words.threadId, threadId);
    if (isSealed(this.#words)) throw new SwitchboardError("ERR_CLOSED", "the thread is to end");
  }

  /** Lists a ring, which is in hand and has nothing mapped yet. */
  ownRing(descriptor: number): void {
    // 0 stands for none, as in fresh memory.
    this.#words[words.ring] = descriptor + 1;
    this.hand[0] = 0;
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
   * Lists a descriptor that the kernel opened for an accept. Returns it, or a negative EMFILE if it can't be listed:
   * then it is closed.
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
    const { hand } = this;
    hand[0] = descriptor + 1;
    takeOff(this.#words, descriptor);
    const result = handle.open(descriptor);
    if (result === 0) hand[0] = 0;
    else this.#list(descriptor);
    return result;
  }

  /**
   * Gives a descriptor to another thread, which will be told so: from then on that thread closes it, or whoever settles
   * the thread's estate. The descriptor stays in hand until the caller has told the thread: within the same function,
   * the caller sets `hand[0]` to 0. Returns false if that thread has ended; then the descriptor stays here, out of
   * hand.
   */
  give(descriptor: number, to: SharedArrayBuffer): boolean {
    const { hand } = this;
    const theirs = new Int32Array(to);
    const at = BITS_AT + (descriptor >> 5);
    const bit = 1 << (descriptor & 31);
    hand[1] = 0;
    hand[0] = descriptor + 1;
    takeOff(this.#words, descriptor);
    Atomics.or(theirs, at, bit);
    hand[1] = theirs[words.number] as number;
    return !(isSealed(theirs) && this.takeBack(descriptor, theirs));
  }

  /**
   * Takes a descriptor back that is in hand and that another thread hasn't been told of. Returns false if the
   * settlement of that thread's estate has closed the descriptor.
   */
  takeBack(descriptor: number, theirs: Int32Array): boolean {
    const { hand } = this;
    const wasListed = takeOff(theirs, descriptor);
    hand[1] = 0;
    if (wasListed) this.#list(descriptor);
    else hand[0] = 0;
    return wasListed;
  }

  /**
   * Opens and lists a second descriptor of the same socket, which programs that this process starts don't inherit.
   * Throws `ERR_SYSTEM_CALL`, such as EMFILE.
   */
  duplicate(descriptor: number): number {
    const { hand } = this;
    const copy = this.#fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
    hand[0] = copy + 1;
    if (copy < 0) throw systemError("fcntl");
    if (copy < this.#limit) {
      this.#list(copy);
      return copy;
    }
    this.#close(copy);
    hand[0] = 0;
    throw systemError("fcntl", EMFILE);
  }

  /** Opens and lists an eventfd. Throws `ERR_SYSTEM_CALL`. */
  openEventfd(): number {
    const { hand } = this;
    const eventfd = bind("eventfd", { return: "int32", arguments: ["uint32", "int32"] });
    const descriptor = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    hand[0] = descriptor + 1;
    if (descriptor < 0) throw systemError("eventfd");
    this.#list(descriptor);
    return descriptor;
  }

  /** Closes a descriptor and takes it off the list. */
  close(descriptor: number): void {
    const { hand } = this;
    hand[0] = descriptor + 1;
    takeOff(this.#words, descriptor);
    this.#close(descriptor);
    hand[0] = 0;
  }

  /** Puts the descriptor in hand on the list. */
  #list(descriptor: number): void {
    this.own(descriptor);
    this.hand[0] = 0;
  }
}
