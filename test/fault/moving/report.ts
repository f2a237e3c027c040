/** The faults of connections that move, for `npm run faults`. */
import { reportRows } from "../rows.ts";
import type { Row } from "./crowd.ts";

const HEAD: Readonly<Record<keyof Row, string>> = {
  fault: "fault",
  result: "what happens",
  kept: "connections that go on",
  lost: "lost",
  wrong: "wrong bytes, order or count",
  longestMs: "longest wait for an answer",
};

/** Resolves with the exit code of the tests. */
export function reportMovingFaults(): Promise<number> {
  return reportRows("test/fault/moving-", HEAD);
}
