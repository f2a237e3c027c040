import { setImmediate as turn } from "node:timers/promises";
import { expect, it } from "vitest";
import { CommandLanes, laneOf, MAX_UNDER_WAY } from "../../../src/server/client/command-lanes.ts";

/** Lanes, and work that ends when the test says so. */
function setUp() {
  const lanes = new CommandLanes();
  const log: string[] = [];
  const ends = new Map<string, () => void>();
  const start = (lane: string | undefined, name: string) => {
    const work = (): Promise<void> => {
      log.push(`${name} begins`);
      return new Promise((resolve) => ends.set(name, resolve));
    };
    return lanes.start(lane, work, () => log.push(`${name} is done`));
  };
  const end = (name: string) => {
    ends.get(name)?.();
    return turn();
  };
  return { lanes, log, start, end };
}

it("runs work of one lane in order, and work of others side by side", async () => {
  const { lanes, log, start, end } = setUp();
  start("a", "a1");
  start("a", "a2");
  start("b", "b1");
  start(undefined, "call1");
  start(undefined, "call2");
  expect(log).toEqual(["a1 begins", "b1 begins", "call1 begins", "call2 begins"]);
  await end("a1");
  expect(log.slice(4)).toEqual(["a1 is done", "a2 begins"]);
  for (const name of ["a2", "b1", "call1", "call2"]) await end(name);
  expect(lanes.isEmpty).toBe(true);
});

it("lets the next command wait while as many as allowed are under way", async () => {
  const { start, end } = setUp();
  const waits = Array.from({ length: MAX_UNDER_WAY }, (_, at) => start(`${at}`, `work ${at}`));
  expect(waits.slice(0, -1).every((wait) => wait === undefined)).toBe(true);
  const last = waits.at(-1);
  expect(last).toBeInstanceOf(Promise);
  await end("work 7");
  await last;
  expect(start("more", "more")).toBeInstanceOf(Promise);
});

it("settles when the work that is under way now is done", async () => {
  const { lanes, log, start, end } = setUp();
  start("a", "a");
  const settled = lanes.settled().then(() => log.push("settled"));
  start("b", "b");
  await end("a");
  await settled;
  expect(log).toEqual(["a begins", "b begins", "a is done", "settled"]);
});

it("gives the commands of one channel one lane", () => {
  const lane = (kind: string, request: object) => laneOf({ id: 1, kind, request } as never);
  for (const kind of ["subscribe", "unsubscribe", "publish", "presence", "presence_stats", "history", "sub_refresh"]) {
    expect(lane(kind, { channel: "news" })).toBe("news");
  }
  expect(lane("refresh", { token: "" })).toBe("");
  expect(lane("rpc", { method: "sum" })).toBeUndefined();
});
