/** Supervision: the decision about an actor whose handler fails. `ActorCell` asks a `Supervisor`. */
import { SwitchboardError } from "../../errors.ts";
import { MAX_INT32 } from "../../wire/handshake/option-check.ts";

/**
 * Decision about a handler that throws or rejects, or a promise that a handler left alone and that rejects: see
 * `Actor.supervision`.
 */
export interface Supervision {
  /**
   * - `stop`: the connection is closed with 1011.
   * - `resume`: the actor continues with its next message.
   * - `restart`: a new actor object takes over the connection, its subscriptions and its mailbox. Its `restarted` is
   *   called instead of `opened`; timers of the old object end.
   * - `escalate`: the connection is closed with 1011, and the whole shard ends with the error.
   */
  readonly strategy: "stop" | "resume" | "restart" | "escalate";
  /**
   * With `resume` and `restart`: number of failures within `withinMs` that the actor survives; one more stops it. 0 to
   * 10,000. Default: 10.
   */
  readonly maxFailures?: number;
  /** Milliseconds for which a failure counts. Default: 60,000. */
  readonly withinMs?: number;
}

/** Outcome for an actor whose handler failed. */
export type FailureOutcome = "stopped" | "resumed" | "restarted" | "escalated";

const MAX_FAILURES = 10_000;

/** Returns the supervision of an actor class, with defaults. Throws `ERR_SUPERVISION`. */
export function supervisionOf(actorClass: object): Required<Supervision> {
  const given: unknown = "supervision" in actorClass ? actorClass.supervision : {};
  if (typeof given !== "object" || given === null) throw misfit("takes an object", given);
  const { strategy = "stop", maxFailures = 10, withinMs = 60_000, ...others } = given as Partial<Supervision>;
  if (strategy !== "stop" && strategy !== "resume" && strategy !== "restart" && strategy !== "escalate") {
    throw misfit('strategy takes "stop", "resume", "restart" or "escalate"', strategy);
  }
  if (!isInteger(maxFailures, 0, MAX_FAILURES)) {
    throw misfit(`maxFailures takes an integer from 0 to ${MAX_FAILURES}`, maxFailures);
  }
  if (!isInteger(withinMs, 1, MAX_INT32)) throw misfit(`withinMs takes an integer from 1 to ${MAX_INT32}`, withinMs);
  const [unknown] = Object.keys(others);
  if (unknown !== undefined) throw misfit("takes strategy, maxFailures and withinMs", unknown);
  return { strategy, maxFailures, withinMs };
}

function isInteger(value: unknown, from: number, to: number): boolean {
  return Number.isInteger(value) && (value as number) >= from && (value as number) <= to;
}

function misfit(takes: string, got: unknown): SwitchboardError {
  const message = `the actor class's static supervision: ${takes}, got ${String(got)}`;
  return new SwitchboardError("ERR_SUPERVISION", message);
}

/** Decides about the failures of one actor. Exists from the first failure on. */
export class Supervisor {
  readonly #supervision: Required<Supervision>;
  /** Times in milliseconds of the failures that still count. */
  #failures: number[] = [];

  constructor(supervision: Required<Supervision>) {
    this.#supervision = supervision;
  }

  /** Returns the ages of the failures that may still count, in ms. */
  save(now: number): number[] {
    return this.#failures.map((at) => now - at);
  }

  /** Counts failures that happened in another thread. */
  load(agesMs: readonly number[], now: number): void {
    this.#failures = agesMs.map((ageMs) => now - ageMs);
  }

  /**
   * Decides about one failure.
   *
   * @param canGoOn false for an actor that was never constructed, or is over
   * @param now time in milliseconds
   */
  decide(canGoOn: boolean, now: number): FailureOutcome {
    const { strategy, maxFailures, withinMs } = this.#supervision;
    if (strategy === "escalate") return "escalated";
    if (strategy === "stop" || !canGoOn) return "stopped";
    this.#failures = this.#failures.filter((at) => now - at < withinMs);
    this.#failures.push(now);
    if (this.#failures.length > maxFailures) return "stopped";
    return strategy === "resume" ? "resumed" : "restarted";
  }
}
