import { SwitchboardError } from "../../errors.ts";

/** What is done about a handler that throws or rejects, or a promise that one left alone and that rejects: see `Actor.supervision`. */
export interface Supervision {
  /**
   * - `stop`: the connection is closed with 1011.
   * - `resume`: the actor goes on as it is, with what comes next.
   * - `restart`: a new actor object takes over the connection, its subscriptions and its mailbox. Its `restarted` is called instead of
   *   `opened`; timers of the old one end.
   * - `escalate`: the connection is closed with 1011, and the whole shard ends with the error.
   */
  readonly strategy: "stop" | "resume" | "restart" | "escalate";
  /** With `resume` and `restart`: one failure more than this within the time stops the actor. 0 to 10,000. Default: 10. */
  readonly maxFailures?: number;
  /** The time that failures count. Default: 60,000 ms. */
  readonly withinMs?: number;
}

/** What became of an actor whose handler failed. */
export type FailureOutcome = "stopped" | "resumed" | "restarted" | "escalated";

const MAX_FAILURES = 10_000;
const MAX_TIME_MS = 2 ** 31 - 1;

/** What an actor class says of its supervision, with defaults. Throws `ERR_SUPERVISION`. */
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
  if (!isInteger(withinMs, 1, MAX_TIME_MS))
    throw misfit(`withinMs takes an integer from 1 to ${MAX_TIME_MS}`, withinMs);
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

/** Decides on the failures of one actor; exists from the first on. */
export class Supervisor {
  readonly #supervision: Required<Supervision>;
  /** When it failed, in milliseconds: those that still count. */
  #failures: number[] = [];

  constructor(supervision: Required<Supervision>) {
    this.#supervision = supervision;
  }

  /**
   * @param canGoOn false for an actor that was never made, or is over
   * @param now in milliseconds
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
