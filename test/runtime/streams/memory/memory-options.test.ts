import { expect, it, onTestFinished } from "vitest";
import type { EngineFactory } from "../../../../src/runtime/streams/engine.ts";
import { createMemoryEngine } from "../../../../src/runtime/streams/memory/memory-engine.ts";
import { memory } from "../../../../src/runtime/streams/memory/memory-options.ts";
import { LIMITS, RecordingOwner, say } from "../contract/cluster.ts";

it("names a module whose default export makes the engine", async () => {
  const { name, module, options } = structuredClone(memory({ maxStreams: 5 }));
  expect(name).toBe("memory");
  const { default: create } = (await import(module)) as { default: EngineFactory };
  const engine = await create(options, "node-1");
  onTestFinished(() => engine.stop());
  await engine.start(new RecordingOwner());
  expect((await engine.publish("t", say("a"), LIMITS)).position.offset).toBe(1);
});

it("fills in the defaults", () => {
  const defaults = {
    maxBytes: 268_435_456,
    maxStreams: 1_000_000,
    maxIdempotencyKeys: 1_000_000,
    maxMembers: 1_000_000,
    maxTakeoverBytes: 256 * 1024 * 1024,
  };
  expect(memory().options).toEqual(defaults);
  expect(memory({}).options).toEqual(defaults);
  expect(memory({ maxStreams: 5 }).options).toEqual({ ...defaults, maxStreams: 5 });
});

const bad: [unknown, string][] = [
  [null, "the options must be an object, got null"],
  ["big", 'the options must be an object, got "big"'],
  [[], "the options must be an object, got Array"],
  [{ maxbytes: 5 }, 'unknown option "maxbytes"; the options are maxBytes, maxStreams, maxIdempotencyKeys, maxMembers'],
  [{ toString: 5 }, 'unknown option "toString"'],
  [{ maxBytes: 1_048_575 }, "maxBytes takes an integer from 1048576 to 9007199254740991, got 1048575"],
  [{ maxBytes: "1 GiB" }, 'maxBytes takes an integer from 1048576 to 9007199254740991, got "1 GiB"'],
  [{ maxBytes: Number.POSITIVE_INFINITY }, "got Infinity"],
  [{ maxStreams: 0 }, "maxStreams takes an integer from 1 to 16000000, got 0"],
  [{ maxStreams: 16_000_001 }, "maxStreams takes an integer from 1 to 16000000, got 16000001"],
  [{ maxIdempotencyKeys: 1.5 }, "maxIdempotencyKeys takes an integer from 1 to 16000000, got 1.5"],
  [{ maxMembers: -1 }, "maxMembers takes an integer from 1 to 16000000, got -1"],
];
it.each(bad)("refuses %o by name", (options, message) => {
  const refusal = expect.objectContaining({ code: "ERR_OPTION", message: expect.stringContaining(message) });
  expect(() => memory(options as never)).toThrow(refusal);
  expect(() => createMemoryEngine(options, "node-1")).toThrow(refusal);
});
