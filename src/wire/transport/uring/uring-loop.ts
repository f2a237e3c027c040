/** Drives the ring of a thread: one turn of the ring for each turn of the event loop. */
import { AsyncLocalStorage } from "node:async_hooks";
import { Ring } from "../../native/ring.ts";
import { type EmptyTcpHandle, handleKinds, type TcpHandleClass } from "../../node-internals/net.ts";
import { keepInputView } from "../../protocol/masking/mask.ts";

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
  /** Runs a function in the async context in which the loop was created: no connection's context may leak into it. */
  readonly #inRoot = AsyncLocalStorage.snapshot();
  #immediate: NodeJS.Immediate | undefined;
  /** True while the next turn keeps the event loop from sleeping. */
  #awake = false;
  #inTurn = false;
  #closed = false;
  #unsettled: Unsettled[] = [];
  /** Receivers for which the kernel had no buffer, the one that has waited longest first. */
  #starved: Starved[] = [];

  /**
   * @param memory the estate of this thread
   * @param entries see `Ring`
   */
  constructor(memory: SharedArrayBuffer, entries?: number) {
    this.ring = new Ring(memory, () => this.#wake(), entries);
    keepInputView(this.ring.receiveMemory);
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
    if (this.#immediate === undefined) this.#inRoot(this.#schedule);
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
      isBusy = this.ring.turn() > 0;
      this.#settleAll();
    } finally {
      this.#inTurn = false;
      this.#next(isBusy);
    }
  };

  #next(isBusy: boolean): void {
    if (this.#closed) return;
    const { ring } = this;
    const mustGoOn = isBusy || ring.hasWork || this.#unsettled.length > 0 || this.#starved.length > 0;
    if (!mustGoOn && ring.slots === 0) return;
    this.#inRoot(this.#schedule);
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
