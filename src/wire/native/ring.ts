/**
 * An io_uring with slots: one slot for each descriptor, with the operations of the descriptor that the kernel works on.
 * `src/wire/transport/uring` has one ring for each thread.
 */
import { threadId } from "node:worker_threads";
import { createEstateMemory, Estate, hangUpEstate, sealEstate, settleEstate } from "./estate.ts";
import { LoopAlarm } from "./event-loop.ts";
import {
  ACCEPT_MULTISHOT,
  CQ_EVENTFD_DISABLED,
  CQE_BUFFER,
  CQE_MORE,
  errors,
  KIND_BITS,
  KIND_MASK,
  kinds,
  MSG_DONTWAIT,
  MSG_MORE,
  MSG_NOSIGNAL,
  MSG_WAITALL,
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
import { BUFFERS, ReceiveBuffers } from "./receive-buffers.ts";
import {
  CQE_WORDS,
  cancelOperations,
  type RingParts,
  registerBufferRing,
  registerEventfd,
  setUpRing,
  whyNoRing,
} from "./ring-setup.ts";
import { SendArena } from "./send-arena.ts";
import { type SlotOwner, Slots } from "./slots.ts";
import { READ_AND_WRITE, shutDown } from "./sockets.ts";
import { SubmissionQueue } from "./submission-queue.ts";

/** Entries of the submission queue: operations that a turn may begin. The completion queue has twice as many. */
const ENTRIES = 8192;
const BUFFER_GROUP = 0;
/** Completions that may wait when a second batch of a turn begins: both fit into their queue. */
const MAX_UNHANDLED = ENTRIES / 2;
/** Number of times that the kernel is entered until the last completions of a slot are there. */
const MAX_CANCEL_TRIES = 8;
const EMPTY = Buffer.alloc(0);

/** Tells in one sentence why there can be no ring here. Undefined if there can. */
export function whyNoUring(): string | undefined {
  return whyNoRing([OP_POLL_ADD, OP_ACCEPT, OP_ASYNC_CANCEL, OP_SEND, OP_RECV]);
}

/** Closes everything that a thread owned, after its end. Returns the number of sockets that were closed. */
export function settle(memory: SharedArrayBuffer): number {
  return settleEstate(memory, (name) => (name & KIND_MASK) === kinds.accept);
}

export class Ring {
  readonly #estate: Estate;
  readonly #parts: RingParts;
  readonly #queue: SubmissionQueue;
  readonly #slots = new Slots();
  readonly #buffers: ReceiveBuffers;
  readonly #arena: SendArena;
  readonly #eventfd: number;
  readonly #alarm: LoopAlarm;
  readonly #wanted: () => void;
  #cqHead = 0;
  /** Head of the completions whose sends were looked at. */
  #sendsSeen = 0;
  /**
   * Retired slots without an operation in flight. They are closed after the next batch, which may still name their
   * descriptors: a descriptor that was closed before could be another connection's by then.
   */
  #releasing: number[] = [];

  /**
   * @param memory the estate of this thread, which the main thread settles when the thread has ended
   * @param wanted called when there is something for `turn` to do
   */
  constructor(memory: SharedArrayBuffer, wanted: () => void) {
    this.#wanted = wanted;
    this.#estate = new Estate(memory, threadId);
    const parts = setUpRing(ENTRIES, this.#estate);
    this.#parts = parts;
    this.#queue = new SubmissionQueue(parts, wanted);
    this.#buffers = new ReceiveBuffers(this.#estate);
    registerBufferRing(parts.descriptor, this.#buffers.ring, BUFFERS, BUFFER_GROUP);
    this.#buffers.provideAll();
    this.#arena = new SendArena(this.#estate);
    this.#eventfd = this.#estate.openEventfd();
    registerEventfd(parts.descriptor, this.#eventfd);
    this.#alarm = new LoopAlarm(this.#eventfd);
    this.#setSignals(false);
  }

  /** Number of the batch of operations that is being written. `turn` hands the batch to the kernel. */
  get batch(): number {
    return this.#queue.batch;
  }

  /** The memory of which all received bytes are views. */
  get receiveMemory(): ArrayBuffer {
    return this.#buffers.buffer;
  }

  /** Number of slots in use. */
  get slots(): number {
    return this.#slots.count;
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
   * Gives a slot up. Its descriptor is closed, and `released` called, in a later turn, when the kernel has completed
   * the last operation. Both directions end at once if an operation is in flight.
   */
  retire(slot: number): void {
    const { retired, inFlight } = this.#slots;
    if (retired[slot]) return;
    retired[slot] = true;
    if (inFlight[slot] !== 0) {
      shutDown(this.descriptorOf(slot), READ_AND_WRITE);
      return;
    }
    this.#releasing.push(slot);
    this.#wanted();
  }

  /**
   * Gives the descriptor of a slot to the caller, who closes it. The slot has no operation in flight and nothing to
   * send. `released` isn't called.
   */
  surrender(slot: number): number {
    return this.disown(this.detach(slot));
  }

  /**
   * Gives a slot up as `surrender` does, but the descriptor belongs to this thread still: until `open`, `give` or
   * `disown`.
   */
  detach(slot: number): number {
    const descriptor = this.descriptorOf(slot);
    this.#slots.free(slot);
    return descriptor;
  }

  /** Gives a detached descriptor to another thread. Returns false, and changes nothing, if that thread has ended. */
  give(descriptor: number, to: SharedArrayBuffer): boolean {
    return this.#estate.give(descriptor, to);
  }

  /** Gives a detached descriptor to the caller, who closes it. */
  disown(descriptor: number): number {
    this.#estate.disown(descriptor);
    return descriptor;
  }

  #releaseAll(): void {
    const slots = this.#releasing;
    this.#releasing = [];
    for (const slot of slots) {
      this.#estate.close(this.descriptorOf(slot));
      const owner = this.#slots.owners[slot];
      this.#slots.free(slot);
      owner?.released();
    }
  }

  // ── operations ─────────────────────────────────────────────────────────────────────────────────────────

  /** Receives once, or until the receive is cancelled. */
  receive(slot: number, many: boolean): void {
    const first = OP_RECV | (SQE_BUFFER_SELECT << 8) | (((many ? RECV_MULTISHOT : 0) | RECV_POLL_FIRST) << 16);
    this.#begin(slot, () => {
      this.#queue.words[this.#write(first, slot, kinds.receive) + 10] = BUFFER_GROUP;
    });
  }

  /** Ends the receive of a slot. Its last completion follows. */
  cancelReceive(slot: number): void {
    const generation = this.#slots.generations[slot] as number;
    this.#queue.queue(() => {
      if (this.#slots.generations[slot] !== generation) return;
      const { words } = this.#queue;
      const at = this.#write(OP_ASYNC_CANCEL | (SQE_SKIP_SUCCESS << 8), slot, kinds.cancel);
      words[at + 1] = -1;
      words[at + 4] = (slot << KIND_BITS) | kinds.receive;
      words[at + 5] = generation;
    });
  }

  /** Waits until the socket's buffer has room. */
  pollWritable(slot: number): void {
    this.#begin(slot, () => {
      this.#queue.words[this.#write(OP_POLL_ADD, slot, kinds.poll) + 7] = POLLOUT;
    });
  }

  /** Accepts connections until the slot is retired. */
  accept(slot: number): void {
    this.#begin(slot, () => {
      this.#queue.words[this.#write(OP_ACCEPT | (ACCEPT_MULTISHOT << 16), slot, kinds.accept) + 7] = SOCK_CLOEXEC;
    });
  }

  /**
   * Sends bytes at the end of the turn. Returns the place of the operation, for `sendMore`; -1 if this turn has no room
   * for the bytes. A slot has one send in a batch.
   */
  send(slot: number, bytes: Buffer): number {
    if (bytes.length > this.#arena.room || !this.#queue.hasRoom) return -1;
    const at = this.#write(OP_SEND | (SQE_SKIP_SUCCESS << 8), slot, kinds.send);
    this.#queue.words[at + 7] = MSG_DONTWAIT | MSG_WAITALL | MSG_NOSIGNAL;
    this.#setBytes(at, slot, this.#arena.place(bytes), bytes.length);
    return at;
  }

  /**
   * Adds bytes to the slot's send in the present batch: of two sends the second could succeed where the first failed.
   * Returns false if this turn has no room for the bytes.
   */
  sendMore(slot: number, at: number, bytes: Buffer): boolean {
    const length = this.#slots.sentLengths[slot] as number;
    if (length + bytes.length > this.#arena.room) return false;
    const place = this.#arena.placeBehind(this.#slots.sentPlaces[slot] as number, length, bytes);
    this.#setBytes(at, slot, place, length + bytes.length);
    return true;
  }

  /** Tells that `shutDown` follows the slot's send in the present batch: one packet then carries the bytes and the end. */
  sendLast(at: number): void {
    (this.#queue.words[at + 7] as number) |= MSG_MORE;
  }

  #setBytes(at: number, slot: number, place: number, length: number): void {
    const address = this.#arena.mapping.address + place;
    const { words } = this.#queue;
    words[at + 4] = address;
    words[at + 5] = address / 2 ** 32;
    words[at + 6] = length;
    this.#slots.sentPlaces[slot] = place;
    this.#slots.sentLengths[slot] = length;
  }

  #begin(slot: number, write: () => void): void {
    const { inFlight } = this.#slots;
    inFlight[slot] = (inFlight[slot] as number) + 1;
    this.#queue.queue(write);
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
   */
  turn(): number {
    this.#setSignals(false);
    // What a throwing owner left comes first: the kernel may not reuse the arena's half before.
    const left = this.#dispatch();
    if (this.#queue.isOverflown) this.#queue.complete();
    else {
      if (this.#queue.submit()) this.#arena.flip();
      this.#releaseAll();
    }
    return left + this.#dispatch();
  }

  /**
   * Hands the batch to the kernel now, so that another batch can follow in this turn, and tells the owners of sends that
   * stopped. Returns false, and does nothing, if too many completions wait for `turn`.
   */
  flush(): boolean {
    // What completes at once must find room: of a send that stopped, the next one of its slot must not overtake the rest.
    if (this.#queue.isOverflown || ((this.#tail - this.#cqHead) | 0) > MAX_UNHANDLED) return false;
    // As in `turn`: the half of the arena that comes next may have sends that stopped.
    this.#dispatchSends(this.#tail);
    if (this.#queue.submit()) this.#arena.flip();
    this.#dispatchSends(this.#tail);
    return true;
  }

  /**
   * Ends all operations of a slot within this call. Its owner is told what they still brought, and of a poll as if there
   * were room. Returns false if one goes on, which is rare: too many completions wait for `turn`.
   */
  quiesce(slot: number): boolean {
    const { inFlight } = this.#slots;
    // The kernel must know an operation to cancel it.
    if (!this.flush()) return false;
    if (inFlight[slot] !== 0) cancelOperations(this.#parts.descriptor, this.descriptorOf(slot));
    for (let tries = 0; inFlight[slot] !== 0 && tries < MAX_CANCEL_TRIES; tries++) {
      this.#queue.complete();
      this.#completeSlot(slot);
    }
    // Completions of other slots may have come, without a signal.
    this.#wanted();
    return inFlight[slot] === 0;
  }

  /** Handles the completions of one slot, out of turn. */
  #completeSlot(slot: number): void {
    const { words, cqMask, cqEntries } = this.#parts;
    const tail = this.#tail;
    this.#dispatchSends(tail);
    for (let head = this.#cqHead; head !== tail; head = (head + 1) | 0) {
      const at = cqEntries + (head & cqMask) * CQE_WORDS;
      const name = words[at] as number;
      const kind = name & KIND_MASK;
      if (name >>> KIND_BITS !== slot || kind === kinds.send || kind === kinds.cancel) continue;
      let result = words[at + 2] as number;
      if (kind === kinds.accept && result >= 0) result = this.#estate.ownAccepted(result);
      // In its turn it means nothing any more.
      words[at] = kinds.cancel;
      this.#complete(slot, kind, result, words[at + 3] as number);
    }
  }

  get #tail(): number {
    return Atomics.load(this.#parts.words, this.#parts.cqTail);
  }

  /** True if the next turn has something to do for certain. */
  get hasWork(): boolean {
    return this.#releasing.length > 0 || !this.#queue.isEmpty;
  }

  /**
   * Wakes the event loop when there is a completion, until the next turn. Returns false if there is one already, or if
   * the loop can't be woken yet.
   */
  arm(): boolean {
    if (!this.#alarm.watch()) return false;
    this.#setSignals(true);
    // A completion from before these signals has left a sign.
    return !this.#queue.hasCompletions && this.#tail === this.#cqHead;
  }

  /** While the ring has something to do, a signal would only cost. */
  #setSignals(on: boolean): void {
    Atomics.store(this.#parts.words, this.#parts.cqFlags, on ? 0 : CQ_EVENTFD_DISABLED);
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

  #dispatch(): number {
    const { words, cqHead, cqMask, cqEntries } = this.#parts;
    const tail = this.#tail;
    this.#dispatchSends(tail);
    let count = 0;
    while (this.#cqHead !== tail) {
      const at = cqEntries + (this.#cqHead & cqMask) * CQE_WORDS;
      const name = words[at] as number;
      let result = words[at + 2] as number;
      const flags = words[at + 3] as number;
      // Listed before the completion counts as seen: between the two the main thread finds the descriptor twice.
      if ((name & KIND_MASK) === kinds.accept && result >= 0) result = this.#estate.ownAccepted(result);
      this.#cqHead = (this.#cqHead + 1) | 0;
      Atomics.store(words, cqHead, this.#cqHead);
      count++;
      this.#complete(name >>> KIND_BITS, name & KIND_MASK, result, flags);
    }
    return count;
  }

  /** Handles sends that stopped before all else: an owner that is told of received bytes may send more. */
  #dispatchSends(tail: number): void {
    const { words, cqMask, cqEntries } = this.#parts;
    for (; this.#sendsSeen !== tail; this.#sendsSeen = (this.#sendsSeen + 1) | 0) {
      const at = cqEntries + (this.#sendsSeen & cqMask) * CQE_WORDS;
      const name = words[at] as number;
      const slot = name >>> KIND_BITS;
      if ((name & KIND_MASK) !== kinds.send || this.#slots.generations[slot] !== words[at + 1]) continue;
      this.#sendStopped(slot, words[at + 2] as number);
    }
  }

  #complete(slot: number, kind: number, result: number, flags: number): void {
    if (kind === kinds.send || kind === kinds.cancel) return;
    const more = (flags & CQE_MORE) !== 0;
    const { inFlight } = this.#slots;
    if (!more) inFlight[slot] = (inFlight[slot] as number) - 1;
    if (this.#slots.retired[slot]) this.#drop(slot, kind, result, flags);
    else if (kind === kinds.receive) this.#received(slot, result, flags);
    else if (kind === kinds.poll) this.#slots.owners[slot]?.writable();
    else this.#slots.owners[slot]?.accepted(result, more);
  }

  #received(slot: number, result: number, flags: number): void {
    const owner = this.#slots.owners[slot] as SlotOwner;
    const more = (flags & CQE_MORE) !== 0;
    if ((flags & CQE_BUFFER) === 0) {
      if (result === 0) owner.receivedBytes(EMPTY, more);
      else owner.receiveFailed(-result);
      return;
    }
    const id = flags >>> 16;
    try {
      owner.receivedBytes(this.#buffers.bytes(id, result), more);
    } finally {
      this.#buffers.giveBack(id);
    }
  }

  #sendStopped(slot: number, result: number): void {
    if (this.#slots.retired[slot]) return;
    const sent = Math.max(0, result);
    const rest = this.#arena.bytesAt(
      (this.#slots.sentPlaces[slot] as number) + sent,
      (this.#slots.sentLengths[slot] as number) - sent,
    );
    this.#slots.owners[slot]?.sendStopped(rest, result < 0 ? -result : errors.EAGAIN);
  }

  /** Handles a completion of a slot that was given up. */
  #drop(slot: number, kind: number, result: number, flags: number): void {
    if (kind === kinds.receive && (flags & CQE_BUFFER) !== 0) this.#buffers.giveBack(flags >>> 16);
    if (kind === kinds.accept && result >= 0) this.#estate.close(result);
    if (this.#slots.inFlight[slot] === 0) this.#releasing.push(slot);
  }
}

export { createEstateMemory, errors, hangUpEstate as hangUp, sealEstate as seal };
