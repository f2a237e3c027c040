/** Drives the ring of a thread: one turn of the ring for each turn of the event loop. */
import { AsyncResource } from "node:async_hooks";
import { RING_BYTES, Ring, type RingOptions } from "../../native/ring.ts";
import { type EmptyTcpHandle, handleKinds, type TcpHandleClass } from "../../node-internals/net.ts";
import { createVectorMemory, keepInput } from "../../protocol/masking/vectors.ts";

/**
 * Number of completions in a turn from which on the next turn gathers, that is, waits for more: the thread is under
 * load, and a message of a large batch takes less CPU. Few connections never wait.
 */
const GATHER_FROM = 3;
/** Number of completions that a turn waits for at most. Linux makes 20 in one call. */
const MAX_GATHERED = 16;
/**
 * Number of connections for each completion that a turn waits for. If it waited for half of all clients, the clients
 * would stand still while the thread works, and the thread while they do.
 */
const CONNECTIONS_PER_GATHERED = 4;
/**
 * Largest number of turns that don't gather after one that got less than half of what it waited for. The first is 1,
 * each of the next in a row twice the one before. After a connection has opened, it is the largest.
 */
const MAX_TURNS_IN_VAIN = 32;

/** A sender that must know that a batch of sends is done. */
export interface Unsettled {
  /** Batch of the newest send. */
  readonly sentBatch: number;
  /** The kernel has completed the batch, and `sendStopped` was called if it took too little. */
  settled(): void;
}

/** A transport that receives nothing because the kernel had no buffer. */
export interface Starved {
  /** There is a buffer: the next receive may begin. */
  fed(): void;
}

/**
 * The turns of a ring. Each turn is an immediate, after the I/O of Node in every turn of the event loop. While the ring
 * has something to do, the immediate keeps the event loop from sleeping. When it has nothing to do, the ring wakes the
 * event loop as a socket of Node would (`LoopAlarm`), and the immediate doesn't count (`unref`). So timers, other I/O
 * and messages run at their time, an idle thread sleeps in Node's own wait, and `eventLoopUtilization` is right.
 */
export class UringLoop {
  readonly ring: Ring;
  /** Class of Node's TCP handles; undefined until a socket of Node was taken. */
  handleClass: TcpHandleClass | undefined;
  /** Async context in which the loop was created: turns run in it, so that no connection's context leaks into them. */
  readonly #root = new AsyncResource("UringLoop");
  #immediate: NodeJS.Immediate | undefined;
  /** True while the next turn keeps the event loop from sleeping. */
  #awake = false;
  #inTurn = false;
  /** Number of completions of the last turn. */
  #completions = 0;
  /** Number of slots that were taken until the last turn. */
  #slotsTaken = 0;
  /** Number of turns until the next that may gather, and the same for the next that gathers in vain. */
  #turnsToGather = 0;
  #turnsInVain = 1;
  #closed = false;
  #unsettled: Unsettled[] = [];
  /** Receivers for which the kernel had no buffer, the one that has waited longest first. */
  #starved: Starved[] = [];

  /** @param memory the estate of this thread */
  constructor(memory: SharedArrayBuffer, options?: RingOptions) {
    const vectors = createVectorMemory(RING_BYTES);
    this.ring = new Ring(memory, () => this.#wake(), { shown: vectors?.buffer, ...options });
    const { receiveMemory } = this.ring;
    keepInput(receiveMemory, receiveMemory === vectors?.buffer ? vectors : undefined);
  }

  /** Returns a handle of Node without a descriptor, for a socket that goes back to Node. */
  newHandle(kind: keyof typeof handleKinds): EmptyTcpHandle {
    if (this.handleClass === undefined)
      throw new Error("every socket that goes back to Node, or its server, came from there");
    return new this.handleClass(handleKinds[kind]);
  }

  /** Calls `settled` once, after the batch of the newest send. */
  settle(unsettled: Unsettled): void {
    this.#unsettled.push(unsettled);
    this.#wake();
  }

  /** Calls `fed` once, in a turn with a buffer for it. */
  starve(starved: Starved): void {
    this.#starved.push(starved);
    this.#wake();
  }

  /** Closes all sockets of the ring at once. Their owners are told nothing. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    clearImmediate(this.#immediate);
    this.ring.close();
  }

  #wake(): void {
    if (this.#awake || this.#inTurn || this.#closed) return;
    this.#awake = true;
    if (this.#immediate === undefined) this.#root.runInAsyncScope(this.#schedule);
    else this.#immediate.ref();
  }

  readonly #schedule = (): void => {
    this.#immediate = setImmediate(this.#turn);
  };

  readonly #turn = (): void => {
    this.#immediate = undefined;
    this.#awake = false;
    this.#inTurn = true;
    // An error that is thrown must not end the turns.
    let isBusy = true;
    try {
      this.ring.sendLent();
      this.#feed();
      isBusy = this.#turnRing() > 0;
      this.#settleAll();
    } finally {
      this.#inTurn = false;
      this.#next(isBusy);
    }
  };

  /** Returns the number of completions. */
  #turnRing(): number {
    const most = Math.min(Math.floor(this.ring.slots / CONNECTIONS_PER_GATHERED), MAX_GATHERED);
    const gather = this.#mayGather() ? most : 0;
    this.#completions = this.ring.turn(gather);
    if (gather > 0) this.#judge(this.#completions >= gather / 2);
    return this.#completions;
  }

  /** Decides when to gather again. */
  #judge(wasWorthIt: boolean): void {
    if (wasWorthIt) {
      this.#turnsInVain = 1;
      return;
    }
    this.#turnsToGather = this.#turnsInVain;
    this.#turnsInVain = Math.min(this.#turnsInVain * 2, MAX_TURNS_IN_VAIN);
  }

  /** True if the last turn had several completions, and nothing waits for this one. */
  #mayGather(): boolean {
    const { slotsTaken } = this.ring;
    if (slotsTaken !== this.#slotsTaken) {
      this.#slotsTaken = slotsTaken;
      this.#turnsToGather = MAX_TURNS_IN_VAIN;
    }
    if (this.#turnsToGather > 0) {
      this.#turnsToGather--;
      return false;
    }
    return this.#completions >= GATHER_FROM && this.#unsettled.length === 0 && this.#starved.length === 0;
  }

  #next(isBusy: boolean): void {
    if (this.#closed) return;
    const { ring } = this;
    const mustGoOn = isBusy || ring.hasWork || this.#unsettled.length > 0 || this.#starved.length > 0;
    if (!mustGoOn && ring.slots === 0) return;
    this.#root.runInAsyncScope(this.#schedule);
    if (mustGoOn || !ring.arm()) this.#awake = true;
    else this.#immediate?.unref();
  }

  #feed(): void {
    if (this.#starved.length === 0) return;
    for (const starved of this.#starved.splice(0, this.ring.receiveRoom)) starved.fed();
  }

  #settleAll(): void {
    const all = this.#unsettled;
    if (all.length === 0) return;
    this.#unsettled = [];
    let handled = 0;
    try {
      while (handled < all.length) {
        const one = all[handled++] as Unsettled;
        if (one.sentBatch < this.ring.batch) one.settled();
        else this.#unsettled.push(one);
      }
    } finally {
      // An error that is thrown must not keep the others from being told.
      if (handled < all.length) this.#unsettled.push(...all.slice(handled));
    }
  }
}
