/** Timers of one actor: `this.after` and `this.every`. The cell creates them with the first timer. */
import { SwitchboardError } from "../../errors.ts";
import { MAX_INT32 } from "../../wire/handshake/option-check.ts";

/** A call of a method of the actor by its name. It can move with the actor; a function can't. */
export interface MethodCall {
  readonly method: string;
  readonly argument: unknown;
}

/** The call of a timer: a function, or a method by its name. */
export type TimerCall = (() => unknown) | MethodCall;

/** One timer of an actor, and the handler call that it asks for. */
export interface ActorTimer {
  readonly kind: "timer";
  readonly call: TimerCall;
  /** Interval of a timer that repeats, in ms. */
  readonly repeatMs: number | undefined;
  /** Time of the next call by `performance.now()`; only of a method. */
  dueAt: number;
  /** True while the call waits in the mailbox. Another one isn't queued then. */
  waits: boolean;
  cancelled: boolean;
  /** Timer of Node; undefined once it has run or was cancelled. */
  handle: NodeJS.Timeout | undefined;
}

/** A timer that calls a method, as plain data. */
export interface TimerState extends MethodCall {
  readonly repeatMs: number | undefined;
  /** Time until the next call, in ms. */
  readonly dueInMs: number;
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

  /** All timers that haven't run. */
  get all(): readonly ActorTimer[] {
    return this.#first === undefined ? [...(this.#others ?? [])] : [this.#first, ...(this.#others ?? [])];
  }

  /** Starts a timer. Returns a function that cancels it. Throws `ERR_TIMER`. */
  add(delayMs: number, call: TimerCall, repeats: boolean): () => void {
    checkTimer(delayMs, call, repeats ? 1 : 0);
    const timer = this.#start(call, repeats ? delayMs : undefined, delayMs);
    return () => this.#cancel(timer);
  }

  #start(call: TimerCall, repeatMs: number | undefined, delayMs: number): ActorTimer {
    const dueAt = typeof call === "function" ? 0 : performance.now() + delayMs;
    const timer: ActorTimer = {
      kind: "timer",
      call,
      repeatMs,
      dueAt,
      waits: false,
      cancelled: false,
      handle: undefined,
    };
    const expired = (): void => {
      if (repeatMs === undefined) this.#forget(timer);
      else timer.dueAt += repeatMs;
      this.#due(timer);
    };
    const repeat = (): void => {
      timer.handle = setInterval(expired, repeatMs);
      expired();
    };
    if (repeatMs === delayMs) timer.handle = setInterval(expired, repeatMs);
    else timer.handle = setTimeout(repeatMs === undefined ? expired : repeat, delayMs);
    if (this.#first === undefined) this.#first = timer;
    else {
      this.#others ??= new Set();
      this.#others.add(timer);
    }
    return timer;
  }

  /** Takes the timers of methods out, for `load`. */
  save(timers: readonly ActorTimer[]): TimerState[] {
    const now = performance.now();
    return timers.flatMap(({ call, repeatMs, dueAt }) =>
      typeof call === "function" ? [] : [{ ...call, repeatMs, dueInMs: Math.max(0, dueAt - now) }],
    );
  }

  /** Starts timers that were saved, in their order. */
  load(states: readonly TimerState[]): void {
    for (const { method, argument, repeatMs, dueInMs } of states) this.#start({ method, argument }, repeatMs, dueInMs);
  }

  /** Returns a call that is due, of a timer that has run. */
  expired(call: MethodCall): ActorTimer {
    return {
      kind: "timer",
      call,
      repeatMs: undefined,
      dueAt: 0,
      waits: true,
      cancelled: false,
      handle: undefined,
    };
  }

  clear(): void {
    for (const timer of this.all) this.#cancel(timer);
  }

  /** Cancels all timers that call this method. Returns their number. */
  cancelCallsOf(method: string): number {
    const calls = this.all.filter(({ call }) => typeof call !== "function" && call.method === method);
    for (const timer of calls) this.#cancel(timer);
    return calls.length;
  }

  /** Cancels all timers that call a function. Returns their number. */
  clearFunctions(): number {
    const functions = this.all.filter(({ call }) => typeof call === "function");
    for (const timer of functions) this.#cancel(timer);
    return functions.length;
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

function checkTimer(delayMs: unknown, call: unknown, least: number): void {
  if (!(typeof delayMs === "number" && delayMs >= least && delayMs <= MAX_INT32)) {
    const message = `a timer takes from ${least} to ${MAX_INT32} milliseconds, got ${String(delayMs)}`;
    throw new SwitchboardError("ERR_TIMER", message);
  }
  if (typeof call === "function" || (typeof call === "object" && call !== null)) return;
  const message = `a timer takes a function, or the name of a method, to call, got ${typeof call}`;
  throw new SwitchboardError("ERR_TIMER", message);
}
