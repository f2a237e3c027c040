/** Timers of one actor: `this.after` and `this.every`. The cell creates them with the first timer. */
import { SwitchboardError } from "../../errors.ts";
import { MAX_INT32 } from "../../wire/handshake/option-check.ts";

/** One timer of an actor, and the handler call that it asks for. */
export interface ActorTimer {
  readonly kind: "timer";
  readonly callback: () => unknown;
  /** True while the call waits in the mailbox. Another one isn't queued then. */
  waits: boolean;
  cancelled: boolean;
  /** Timer of Node; undefined once it has run or was cancelled. */
  handle: NodeJS.Timeout | undefined;
}

/**
 * The timers of one actor. They are timers of Node: the wheel of the connections is too coarse, and an actor without
 * timers pays for none. Most actors with timers have one at a time, and pay for no set.
 */
export class ActorTimers {
  #first: ActorTimer | undefined;
  #others: Set<ActorTimer> | undefined;
  readonly #due: (timer: ActorTimer) => void;

  constructor(due: (timer: ActorTimer) => void) {
    this.#due = due;
  }

  /** Starts a timer. Returns a function that cancels it. Throws `ERR_TIMER`. */
  add(delayMs: number, callback: () => unknown, repeats: boolean): () => void {
    checkTimer(delayMs, callback, repeats ? 1 : 0);
    const timer: ActorTimer = { kind: "timer", callback, waits: false, cancelled: false, handle: undefined };
    const expired = (): void => {
      if (!repeats) this.#forget(timer);
      this.#due(timer);
    };
    timer.handle = repeats ? setInterval(expired, delayMs) : setTimeout(expired, delayMs);
    if (this.#first === undefined) this.#first = timer;
    else {
      this.#others ??= new Set();
      this.#others.add(timer);
    }
    return () => this.#cancel(timer);
  }

  clear(): void {
    if (this.#first !== undefined) this.#cancel(this.#first);
    for (const timer of this.#others ?? []) this.#cancel(timer);
  }

  #cancel(timer: ActorTimer): void {
    timer.cancelled = true;
    clearTimeout(timer.handle);
    this.#forget(timer);
  }

  #forget(timer: ActorTimer): void {
    timer.handle = undefined;
    if (this.#first === timer) this.#first = undefined;
    else this.#others?.delete(timer);
  }
}

function checkTimer(delayMs: unknown, callback: unknown, least: number): void {
  if (!(typeof delayMs === "number" && delayMs >= least && delayMs <= MAX_INT32)) {
    const message = `a timer takes from ${least} to ${MAX_INT32} milliseconds, got ${String(delayMs)}`;
    throw new SwitchboardError("ERR_TIMER", message);
  }
  if (typeof callback !== "function") {
    throw new SwitchboardError("ERR_TIMER", `a timer takes a function to call, got ${typeof callback}`);
  }
}
