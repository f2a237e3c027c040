import { setImmediate as turn } from "node:timers/promises";
import { expect, it } from "vitest";
import {
  CommandLanes,
  laneOf,
  MAX_COMMAND_BYTES,
  MAX_COMMANDS,
  MAX_UNDER_WAY,
} from "../../../../src/server/client/work/command-lanes.ts";

/** Lanes, and work that ends when the test says so. */
function setUp() {
  const lanes = new CommandLanes();
  const log: string[] = [];
  const ends = new Map<string, () => void>();
  const start = (lane: string | undefined, name: string, bytes = 1) => {
    const work = (): Promise<void> => {
      log.push(`${name} begins`);
      return new Promise((resolve) => ends.set(name, resolve));
    };
    return lanes.start(lane, bytes, work, () => log.push(`${name} is done`));
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

it("lets commands wait while as many as allowed are under way, and takes them in order", async () => {
  const { lanes, log, start, end } = setUp();
  for (let at = 0; at < MAX_UNDER_WAY; at++) start(`${at}`, `${at}`);
  expect([start("late", "late"), start(undefined, "later")]).toEqual([true, true]);
  expect(log).toHaveLength(MAX_UNDER_WAY);
  await end("7");
  expect(log.slice(-2).toSorted()).toEqual(["7 is done", "late begins"]);
  await end("3");
  expect(log).toContain("later begins");
  for (let at = 0; at < MAX_UNDER_WAY; at++) await end(`${at}`);
  for (const name of ["late", "later"]) await end(name);
  expect(lanes.isEmpty).toBe(true);
});

it("takes only so many commands, and so many bytes of them", async () => {
  const { start, end } = setUp();
  expect(start("large", "large", MAX_COMMAND_BYTES)).toBe(true);
  expect(start("small", "small")).toBe(false);
  await end("large");
  for (let at = 0; at < MAX_COMMANDS; at++) expect(start(`${at}`, `${at}`)).toBe(true);
  expect(start("more", "more")).toBe(false);
  await end("0");
  expect(start("more", "more")).toBe(true);
});

it("lets work of the server pass the commands of other lanes by", () => {
  const { lanes, log, start } = setUp();
  for (let at = 0; at < MAX_COMMANDS; at++) start(`${at}`, `${at}`);
  lanes.startOwn(
    "own",
    async () => void log.push("own"),
    () => {},
  );
  expect(log.at(-1)).toBe("own");
});

it("lets all that wait go on when the client has ended", async () => {
  const { lanes, log, start } = setUp();
  for (let at = 0; at < 2 * MAX_UNDER_WAY; at++) start(`${at}`, `${at}`);
  expect(log).toHaveLength(MAX_UNDER_WAY);
  lanes.end();
  await turn();
  expect(log).toHaveLength(2 * MAX_UNDER_WAY);
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
