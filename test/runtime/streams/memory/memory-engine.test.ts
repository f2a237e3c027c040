import { createMemoryEngine } from "../../../../src/runtime/streams/memory/memory-engine.ts";
import { noop } from "../../../../src/wire/protocol/empty.ts";
import { describeEngine } from "../engine-contract.ts";

describeEngine({
  name: "memory",
  traits: { isShared: false, hasClock: true, modelRuns: 300 },
  create: () => {
    let nowMs = Date.now();
    return {
      create: (node) => createMemoryEngine(undefined, node, () => nowMs),
      pass: async (ms) => {
        nowMs += ms;
      },
      close: noop,
    };
  },
});
