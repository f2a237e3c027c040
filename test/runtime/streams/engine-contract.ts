/**
 * The suite that every engine passes. A test file of an engine calls `describeEngine` with the way to make its nodes;
 * src/runtime/streams/README.md says what an engine must do, and the files in `contract/` test it.
 */
import { describe } from "vitest";
import type { EngineUnderTest } from "./contract/cluster.ts";
import { describeModel } from "./contract/model.ts";
import { describeNodes } from "./contract/nodes.ts";
import { describePresence } from "./contract/presence.ts";
import { describeReports } from "./contract/reports.ts";
import { describeStreams } from "./contract/streams.ts";

export function describeEngine(under: EngineUnderTest): void {
  describe(`the ${under.name} engine`, () => {
    describeStreams(under);
    describeReports(under);
    describePresence(under);
    describeNodes(under);
    describeModel(under);
  });
}
