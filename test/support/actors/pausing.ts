import type { State } from "./counting.ts";
import Counting from "./counting.ts";

/** Pauses of connections that came to this thread, in ms. */
let pauses: number[] = [];

/** Milliseconds of a clock that all threads share. */
function now(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** A `Counting` actor that measures its pauses: from the call of `suspended` to that of `resumed`. */
export default class Pausing extends Counting {
  override suspended(): State {
    return { ...super.suspended(), suspendedAt: now() };
  }

  override resumed(state: State): void {
    super.resumed(state);
    pauses.push(now() - (state.suspendedAt ?? Number.NaN));
  }
}

/** Answers with all pauses since the last question. */
export function surveyed(): number[] {
  const all = pauses;
  pauses = [];
  return all;
}
