/** The long form of the cluster faults, for `npm run faults`. */
import { reportRows } from "../rows.ts";
import type { Row } from "./trial.ts";

const HEAD: Readonly<Record<keyof Row, string>> = {
  fault: "fault",
  publishers: "publishers",
  subscribers: "subscribers",
  health: "health",
  recovered: "recovered after",
};

/** Resolves with the exit code of the tests. */
export function reportClusterFaults(): Promise<number> {
  return reportRows("test/fault/cluster-", HEAD);
}
