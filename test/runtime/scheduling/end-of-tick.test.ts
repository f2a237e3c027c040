import { setImmediate as turn } from "node:timers/promises";
import { expect, it } from "vitest";
import { EndOfTick } from "../../../src/runtime/scheduling/end-of-tick.ts";

it("calls every task once, in order, at the end of the tick", async () => {
  const endOfTick = new EndOfTick();
  const log: string[] = [];
  endOfTick.add(() => log.push("first"));
  endOfTick.add(() => log.push("second"));
  await Promise.resolve();
  expect(log).toEqual([]);
  await turn();
  expect(log).toEqual(["first", "second"]);
  await turn();
  expect(log).toEqual(["first", "second"]);
});

it("calls a task that a task adds in the next tick", async () => {
  const endOfTick = new EndOfTick();
  const log: string[] = [];
  endOfTick.add(() => endOfTick.add(() => log.push("next")));
  setImmediate(() => log.push("between"));
  await turn();
  await turn();
  expect(log).toEqual(["between", "next"]);
});

it("runs nothing between the tasks of one tick", async () => {
  const endOfTick = new EndOfTick();
  const log: string[] = [];
  endOfTick.add(() => {
    log.push("first");
    setImmediate(() => log.push("other"));
    queueMicrotask(() => log.push("microtask"));
  });
  endOfTick.add(() => log.push("second"));
  await turn();
  await turn();
  expect(log).toEqual(["first", "second", "microtask", "other"]);
});
