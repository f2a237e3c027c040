/**
 * An io_uring with slots: one slot for each descriptor, with the operations of the descriptor that the kernel works on.
 * `src/wire/transport/uring` has one ring for each thread.
 */
import { threadId } from "node:worker_threads";
import { CompletionQueue } from "./completion-queue.ts";
import { WAIT_BYTES, writeWait } from "./enter-wait.ts";
import { type EmptyHandle, Estate } from "./estate/estate.ts";
import { createEstateMemory } from "./estate/estate-memory.ts";
import { hangUpEstate, sealEstate, settleEstate } from "./estate/settlement.ts";
import { LoopAlarm, whyNoAlarm } from "./event-loop.ts";
import { mapMemory, showIn } from "./memory.ts";
import {
  ACCEPT_MULTISHOT,
  errors,
  KIND_BITS,
  KIND_MASK,
  kinds,
  OP_ACCEPT,
  OP_ASYNC_CANCEL,
  OP_POLL_ADD,
  OP_RECV,
  OP_SEND,
  POLLOUT,
  RECV_MULTISHOT,
  RECV_POLL_FIRST,
  SOCK_CLOEXEC,
  SQE_BUFFER_SELECT,
  SQE_SKIP_SUCCESS,
} from "./operations.ts";
import { BUFFERS, RECEIVE_BYTES, ReceiveBuffers } from "./receive-buffers.ts";
import {
  cancelOperations,
  type RingParts,
  registerBufferRing,
  registerEventfd,
  setUpRing,
  whyNoRing,
} from "./ring-setup.ts";
import { SEND_BYTES, SendArena } from "./send-arena.ts";
import { Sends } from "./sends.ts";
import { type SlotOwner, Slots } from "./slots.ts";
import { READ_AND_WRITE, shutDown } from "./sockets.ts";
import { SubmissionQueue } from "./submission-queue.ts";

/** Entries of the submission queue: operations that a turn may begin. The completion queue has twice as many. */
const ENTRIES = 8192;
/** Nanoseconds for which a turn that gathers waits at most. The kernel's timers may be 50 µs late. */
const GATHER_NS = 25_000;
/** Bytes of the memory from which the kernel sends, and into which it receives. */
export const RING_BYTES = SEND_BYTES + RECEIVE_BYTES + WAIT_BYTES;
const BUFFER_GROUP = 0;
/** Words of an entry: the flags of an operation, and the group of buffers. */
const FLAGS_AT = 7;
const BUFFER_GROUP_AT = 10;
/** Number of times that the kernel is entered in vain until the last completions of a slot are there. */
const MAX_CANCEL_TRIES = 8;
/** The same, if the kernel completes something each time: it completes 20 operations of any slots, in their order. */
const MAX_CANCEL_STEPS = 1_000;

/** Tells in one sentence why there can be no ring here. Undefined if there can. */
export function whyNoUring(): string | undefined {
  return whyNoRing([OP_POLL_ADD, OP_ACCEPT, OP_ASYNC_CANCEL, OP_SEND, OP_RECV]) ?? whyNoAlarm();
}

/** Closes everything that a thread owned, after its end. Returns the number of sockets that were closed. */
export function settle(memory: SharedArrayBuffer): number {
  return settleEstate(memory, (name) => (name & KIND_MASK) === kinds.accept);
}

export interface RingOptions {
  /** Memory of WebAssembly, `RING_BYTES` or more, in which the memory of the ring is shown, too, if the system can. */
  readonly shown?: ArrayBuffer | undefined;
  /** Entries of the submission queue: a power of two; default 8192. Fewer are for tests. */
  readonly entries?: number;
  /** Longest wait of a turn that gathers, in nanoseconds; default 25,000. Others are for tests. */
  readonly gatherNs?: number;
}

export class Ring {
  readonly #estate: Estate;
  /** Number of completions that may wait when a second batch of a turn begins: both fit into their queue. */
  readonly #maxUnhandled: number;
  readonly #parts: RingParts;
  readonly #queue: SubmissionQueue;
  readonly #slots = new Slots();
  readonly #buffers: ReceiveBuffers;
  readonly #arena: SendArena;
  /** The sends of the present batch. */
  readonly sends: Sends;
  readonly #eventfd: number;
  readonly #alarm: LoopAlarm;
  readonly #wanted: () => void;
  readonly #completions: CompletionQueue;

  /**
   * @param memory the estate of this thread, which the main thread settles when the thread has ended
   * @param wanted called when there is something for `turn` to do
   */
  constructor(memory: SharedArrayBuffer, wanted: () => void, options: RingOptions = {}) {
    const { shown, entries = ENTRIES, gatherNs = GATHER_NS } = options;
    this.#wanted = wanted;
    this.#maxUnhandled = entries / 2;
    this.#estate = new Estate(memory, threadId);
    const parts = setUpRing(entries, this.#estate);
    this.#parts = parts;
    const mapped = mapMemory(RING_BYTES);
    this.#estate.ownMapping(mapped);
    const mapping = shown === undefined ? mapped : showIn(mapped, shown);
    this.#queue = new SubmissionQueue(parts, wanted, writeWait(mapping, SEND_BYTES + RECEIVE_BYTES, gatherNs));
    this.#buffers = new ReceiveBuffers(this.#estate, mapping, SEND_BYTES);
    registerBufferRing(parts.descriptor, this.#buffers.ring, BUFFERS, BUFFER_GROUP);
    this.#buffers.provideAll();
    this.#arena = new SendArena(mapping);
    this.sends = new Sends(this.#queue, this.#slots, this.#arena);
    this.#eventfd = this.#estate.openEventfd();
    registerEventfd(parts.descriptor, this.#eventfd);
    this.#alarm = new LoopAlarm(this.#eventfd);
    this.#completions = new CompletionQueue(parts, {
      estate: this.#estate,
      slots: this.#slots,
      buffers: this.#buffers,
      sends: this.sends,
    });
    this.#completions.setSignals(false);
  }

  /** Number of the batch of operations that is being written. `turn` hands the batch to the kernel. */
  get batch(): number {
    return this.#queue.batch;
  }

  /** The memory of which all received bytes are views. */
  get receiveMemory(): ArrayBuffer {
    return this.#arena.mapping.buffer;
  }

  /** Number of slots in use. */
  get slots(): number {
    return this.#slots.count;
  }

  /** Number of slots that were taken so far. */
  get slotsTaken(): number {
    return this.#slots.taken;
  }

  // ── slots ──────────────────────────────────────────────────────────────────────────────────────────────

  /** Takes a second descriptor of a socket. Throws `ERR_SYSTEM_CALL`. Returns the slot's number. */
  openCopy(descriptor: number, owner: SlotOwner): number {
    return this.#slots.take(this.#estate.duplicate(descriptor), owner);
  }

  /** Takes a descriptor over: accepted by this ring, or from elsewhere. The descriptor is closed with its slot. */
  open(descriptor: number, owner: SlotOwner): number {
    this.#estate.own(descriptor);
    return this.#slots.take(descriptor, owner);
  }

  descriptorOf(slot: number): number {
    return this.#slots.descriptors[slot] as number;
  }

  /**
   * Gives a slot up. Its descriptor is closed, and `released` called, at the end of a turn, when the kernel has
   * completed the last operation. Both directions end at once if an operation is in flight.
   */
  retire(slot: number): void {
    const { retired, inFlight } = this.#slots;
    if (retired[slot]) return;
    retired[slot] = true;
    if (inFlight[slot] !== 0) {
      shutDown(this.descriptorOf(slot), READ_AND_WRITE);
      return;
    }
    this.#slots.releasing.push(slot);
    this.#wanted();
  }

  /**
   * Gives a slot up, and its descriptor to a handle of Node that has none. The slot has no operation in flight and
   * nothing to send. `released` isn't called. Returns 0, or a negative error number: then nothing has changed.
   */
  handOver(slot: number, handle: EmptyHandle): number {
    const result = this.#estate.handOver(this.descriptorOf(slot), handle);
    if (result === 0) this.#slots.free(slot);
    return result;
  }

  /**
   * Gives a slot up as `handOver` does, but the descriptor belongs to this thread still, and is on the list of its
   * estate: until `open`, `give`, `closeDetached`, or `claimDescriptor` in the main thread.
   */
  detach(slot: number): number {
    const descriptor = this.descriptorOf(slot);
    this.#slots.free(slot);
    return descriptor;
  }

  /** Gives a detached descriptor to another thread: see `Estate.give`, with `hand`. */
  give(descriptor: number, to: SharedArrayBuffer): boolean {
    return this.#estate.give(descriptor, to);
  }

  /** See `Estate`. */
  get hand(): Int32Array {
    return this.#estate.hand;
  }

  /** Takes a descriptor back that was given to another thread, which wasn't told. */
  takeBack(descriptor: number, from: SharedArrayBuffer): void {
    this.#estate.takeBack(descriptor, new Int32Array(from));
  }

  closeDetached(descriptor: number): void {
    this.#estate.close(descriptor);
  }

  #releaseAll(): void {
    if (this.#slots.releasing.length === 0) return;
    for (const slot of this.#slots.takeReleasing()) {
      this.#estate.close(this.descriptorOf(slot));
      const owner = this.#slots.owners[slot];
      this.#slots.free(slot);
      owner?.released();
    }
  }

  // ── operations ─────────────────────────────────────────────────────────────────────────────────────────

  /** Number of receives that would find a buffer now. */
  get receiveRoom(): number {
    return this.#buffers.provided;
  }

  /**
   * Receives once, or until the receive is cancelled.
   *
   * @param isReady true if bytes wait in the socket for certain
   */
  receive(slot: number, many: boolean, isReady: boolean): void {
    const how = (many ? RECV_MULTISHOT : 0) | (isReady ? 0 : RECV_POLL_FIRST);
    const first = OP_RECV | (SQE_BUFFER_SELECT << 8) | (how << 16);
    this.#begin(slot, first, kinds.receive, BUFFER_GROUP_AT, BUFFER_GROUP);
  }

  /** Ends the receive of a slot. Its last completion follows. */
  cancelReceive(slot: number): void {
    this.#cancel(slot, kinds.receive);
  }

  /** Ends the accept of a slot. What it has accepted, and its last completion, follow. */
  cancelAccept(slot: number): void {
    this.#cancel(slot, kinds.accept);
  }

  #cancel(slot: number, kind: number): void {
    const generation = this.#slots.generations[slot] as number;
    this.#queue.queue(() => {
      if (this.#slots.generations[slot] !== generation) return;
      const { words } = this.#queue;
      const at = this.#write(OP_ASYNC_CANCEL | (SQE_SKIP_SUCCESS << 8), slot, kinds.cancel);
      words[at + 1] = -1;
      words[at + 4] = (slot << KIND_BITS) | kind;
      words[at + 5] = generation;
    });
  }

  /** Waits until the socket's buffer has room. */
  pollWritable(slot: number): void {
    this.#begin(slot, OP_POLL_ADD, kinds.poll, FLAGS_AT, POLLOUT);
  }

  /** Accepts connections until the slot is retired. */
  accept(slot: number): void {
    this.#begin(slot, OP_ACCEPT | (ACCEPT_MULTISHOT << 16), kinds.accept, FLAGS_AT, SOCK_CLOEXEC);
  }

  /**
   * Begins an operation with one parameter, the word `at` of its entry: in this batch, or in the next if this one is
   * full.
   */
  #begin(slot: number, first: number, kind: number, at: number, parameter: number): void {
    const { inFlight } = this.#slots;
    inFlight[slot] = (inFlight[slot] as number) + 1;
    if (this.#queue.hasRoom) this.#writeWith(slot, first, kind, at, parameter);
    else this.#queue.queue(() => this.#writeWith(slot, first, kind, at, parameter));
  }

  #writeWith(slot: number, first: number, kind: number, at: number, parameter: number): void {
    this.#queue.words[this.#write(first, slot, kind) + at] = parameter;
  }

  #write(first: number, slot: number, kind: number): number {
    const { descriptors, generations } = this.#slots;
    const name = (slot << KIND_BITS) | kind;
    return this.#queue.write(first, descriptors[slot] as number, name, generations[slot] as number);
  }

  // ── turns ──────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * Hands the batch to the kernel, and tells the owners of slots what the kernel has completed. Returns the number of
   * completions. What an owner throws is thrown on; the other completions follow in the next turn.
   *
   * @param gather number of completions for which the thread waits, for 25 µs at most
   */
  turn(gather = 0): number {
    this.#completions.setSignals(false);
    // Completions that a throwing owner left come first: the kernel may not reuse the arena's half before.
    const left = this.#completions.dispatch();
    if (this.#queue.isOverflown) this.#queue.complete();
    else {
      if (this.#queue.submit(true, left === 0 ? gather : 0)) this.#arena.flip();
      this.#releaseAll();
    }
    const count = left + this.#completions.dispatch();
    if (!this.#queue.isOverflown) this.#arena.releaseLent();
    // Without another batch no operation names a descriptor: the end of a connection alone takes no further turn.
    if (this.#queue.isEmpty && !this.#queue.isOverflown) this.#releaseAll();
    return count;
  }

  /** Sends what leaves in lent buffers, so that the receives of this turn find them. */
  sendLent(): void {
    if (this.#arena.hasLent) this.flush(false);
    this.#buffers.refill();
  }

  /**
   * Hands the batch to the kernel now, so that another batch can follow in this turn, and tells the owners of sends
   * that stopped. Returns false, and does nothing, if too many completions wait for `turn`.
   *
   * @param completes false if the kernel shall begin the batch, but complete nothing of earlier ones
   */
  flush(completes = true): boolean {
    // Operations that complete at once must find room. After a send that stopped, the next send of its slot must not
    // overtake the rest.
    if (this.#queue.isOverflown || this.#completions.length > this.#maxUnhandled) return false;
    // As in `turn`: the half of the arena that comes next may have sends that stopped.
    this.#completions.dispatchStoppedSends();
    if (this.#queue.submit(completes)) this.#arena.flip();
    this.#completions.dispatchStoppedSends();
    if (!this.#queue.isOverflown) this.#arena.releaseLent();
    return true;
  }

  /**
   * Ends all operations of a slot within this call. Its owner is told what they still brought, and of a poll as if
   * there were room. Returns false if one goes on, which is rare: too many completions wait for `turn`.
   */
  quiesce(slot: number): boolean {
    const { inFlight } = this.#slots;
    // The kernel must know an operation to cancel it.
    if (!this.flush()) return false;
    if (inFlight[slot] !== 0) cancelOperations(this.#parts.descriptor, this.descriptorOf(slot));
    let vain = 0;
    for (let step = 0; inFlight[slot] !== 0 && vain < MAX_CANCEL_TRIES && step < MAX_CANCEL_STEPS; step++) {
      if (this.#queue.isOverflown) break;
      if (!this.#queue.hasCompletions) vain++;
      this.#queue.complete();
      this.#completions.dispatchSlot(slot);
    }
    // Completions of other slots may have come, without a signal.
    this.#wanted();
    return inFlight[slot] === 0;
  }

  /** True if the next turn has something to do for certain. */
  get hasWork(): boolean {
    return this.#slots.releasing.length > 0 || !this.#queue.isEmpty;
  }

  /**
   * Wakes the event loop when there is a completion, until the next turn. Returns false if there is one already, or if
   * the loop can't be woken yet.
   */
  arm(): boolean {
    if (!this.#alarm.watch()) return false;
    this.#completions.setSignals(true);
    // A completion from before these signals has left a sign. One that comes from now on signals.
    return this.#queue.completeWaiting() && this.#completions.length === 0;
  }

  /** Closes all descriptors. Whoever settles the estate closes the ring. Nothing of the ring may be used afterwards. */
  close(): void {
    this.#alarm.close();
    this.#estate.close(this.#eventfd);
    for (const [slot, owner] of this.#slots.owners.entries()) {
      if (owner === undefined) continue;
      const descriptor = this.descriptorOf(slot);
      shutDown(descriptor, READ_AND_WRITE);
      this.#estate.close(descriptor);
    }
    this.#estate.leave();
  }
}

export { createEstateMemory, errors, hangUpEstate as hangUp, sealEstate as seal };
