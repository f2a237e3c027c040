import { execFile } from "node:child_process";
import { setImmediate as tick } from "node:timers/promises";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { type CursorOwner, StreamCursor } from "../../../src/runtime/feeds/stream-cursor.ts";
import type { HistoryRead } from "../../../src/runtime/streams/engine.ts";
import { span, text, textOf, until } from "../engine/host.ts";

const record = (offset: number) => ({ offset, timeMs: 0, frame: text(String(offset)) });
const read = (epoch: string, offset: number, from = offset + 1): HistoryRead => ({
  top: { epoch, offset },
  records: span(from, offset).map(record),
});

/** A cursor, what it told, and its reads, which the test answers. */
function setUp(thins = false) {
  const log: string[] = [];
  const reads: PromiseWithResolvers<HistoryRead>[] = [];
  const owner: CursorOwner = {
    retryMs: 1,
    took: ({ offset }) => void log.push(`took ${offset}`),
    skipped: ({ epoch, offset }) => void log.push(`skipped from ${epoch} ${offset}`),
    passed: ({ frame }, after) => void log.push(`passed ${textOf(frame)} after ${after}`),
    unstoredDropped: (count) => void log.push(`dropped ${count}`),
    checked: () => void log.push("checked"),
    readSince: () => {
      const answer = Promise.withResolvers<HistoryRead>();
      reads.push(answer);
      return answer.promise;
    },
  };
  const cursor = new StreamCursor(owner, thins);
  cursor.topTold({ epoch: "e", offset: 5 });
  log.length = 0;
  return { cursor, owner, log, reads };
}

it("takes the next publication, and passes over one that it has", () => {
  const { cursor, log } = setUp();
  for (const offset of [6, 6, 4, 7]) cursor.published(record(offset), "e");
  cursor.topTold({ epoch: "e", offset: 7 });
  expect(log).toEqual(["took 6", "took 7"]);
  expect(cursor.position).toEqual({ epoch: "e", offset: 7 });
});

it("reads a hole, and then takes what arrived meanwhile", async () => {
  const { cursor, log, reads } = setUp();
  for (const offset of [8, 9, 10]) cursor.published(record(offset), "e");
  expect(log).toEqual([]);
  reads[0]?.resolve(read("e", 9, 6));
  await until(() => log.includes("checked"));
  expect(log).toEqual([...span(6, 10).map((offset) => `took ${offset}`), "checked"]);
  expect(reads).toHaveLength(1);
});

it("reads again after a read that failed", async () => {
  const { cursor, log, reads } = setUp();
  cursor.topTold({ epoch: "e", offset: 6 });
  reads[0]?.reject(new Error("not now"));
  await until(() => reads.length === 2);
  reads[1]?.resolve(read("e", 6, 6));
  await until(() => log.length === 2);
  expect(log).toEqual(["took 6", "checked"]);
});

it.each([
  { name: "a part of the hole", answer: read("e", 9, 7), at: 9 },
  { name: "nothing", answer: read("e", 9), at: 9 },
  { name: "a top that went back", answer: read("e", 2), at: 2 },
])("skips to the top when the history has $name", async ({ answer, at }) => {
  const { cursor, log, reads } = setUp();
  cursor.topTold({ epoch: "e", offset: 9 });
  reads[0]?.resolve(answer);
  await until(() => log.includes("checked"));
  expect(log).toEqual(["skipped from e 5", "checked"]);
  expect(cursor.position).toEqual({ epoch: "e", offset: at });
});

it("moves to another epoch at once, by a publication or a top", () => {
  const { cursor, log } = setUp();
  cursor.published(record(3), "f");
  cursor.topTold({ epoch: "g", offset: 4 });
  expect(log).toEqual(["skipped from e 5", "took 3", "skipped from f 3"]);
  expect(cursor.position).toEqual({ epoch: "g", offset: 4 });
});

it("doesn't go back to an older epoch of which something arrived during a check", async () => {
  const { cursor, log, reads } = setUp();
  cursor.published(record(7), "e");
  cursor.published(record(1), "f");
  reads[0]?.resolve(read("g", 2));
  await until(() => reads.length === 2);
  reads[1]?.resolve(read("g", 2));
  await until(() => log.includes("checked"));
  expect(log).toEqual(["skipped from e 5", "checked"]);
  expect(cursor.position).toEqual({ epoch: "g", offset: 2 });
});

it("takes the newest over a hole on a topic that keeps only the newest", async () => {
  const { cursor, log, reads } = setUp(true);
  cursor.published(record(9), "e");
  cursor.topTold({ epoch: "e", offset: 12 });
  reads[0]?.resolve(read("e", 12, 12));
  await until(() => log.includes("checked"));
  expect(log).toEqual(["took 9", "took 12", "checked"]);
});

const fleeting = (name: string) => ({ offset: 0, timeMs: 0, frame: text(name) });

it("passes what isn't stored on at once, and after a check at its place among what was read and what arrived", async () => {
  const { cursor, log, reads } = setUp();
  cursor.passed(fleeting("a"));
  cursor.published(record(8), "e");
  cursor.passed(fleeting("b"));
  cursor.passed(fleeting("c"));
  cursor.published(record(9), "e");
  cursor.passed(fleeting("d"));
  expect(log).toEqual(["passed a after 5"]);
  reads[0]?.resolve(read("e", 9, 6));
  await until(() => log.includes("checked"));
  cursor.passed(fleeting("e"));
  const between = ["passed b after 8", "passed c after 8", "took 9", "passed d after 9", "checked", "passed e after 9"];
  expect(log).toEqual(["passed a after 5", "took 6", "took 7", "took 8", ...between]);
});

it("takes what was read only up to what arrives by itself", async () => {
  const { cursor, log, reads } = setUp();
  cursor.topTold({ epoch: "e", offset: 6 });
  cursor.passed(fleeting("a"));
  reads[0]?.resolve(read("e", 8, 6));
  await until(() => log.includes("checked"));
  cursor.published(record(7), "e");
  cursor.passed(fleeting("b"));
  cursor.published(record(8), "e");
  expect(log).toEqual(["took 6", "passed a after 6", "checked", "took 7", "passed b after 7", "took 8"]);
});

it("keeps what isn't stored through a second hole", async () => {
  const { cursor, log, reads } = setUp();
  for (const offset of [7, 8]) cursor.published(record(offset), "e");
  cursor.passed(fleeting("a"));
  for (const offset of [10, 11]) cursor.published(record(offset), "e");
  cursor.passed(fleeting("b"));
  reads[0]?.resolve(read("e", 8, 6));
  await until(() => reads.length === 2);
  cursor.passed(fleeting("c"));
  reads[1]?.resolve(read("e", 11, 9));
  await until(() => log.includes("checked"));
  const taken = ["took 6", "took 7", "took 8", "passed a after 8", "took 9", "took 10", "took 11"];
  expect(log).toEqual([...taken, "passed b after 11", "passed c after 11", "checked"]);
});

it("keeps a bounded number of publications that aren't stored", async () => {
  const { cursor, log, reads } = setUp();
  cursor.published(record(7), "e");
  for (const count of span(1, 20_000)) cursor.passed(fleeting(`${count}`));
  reads[0]?.resolve(read("e", 7, 6));
  await until(() => log.includes("checked"));
  const passed = log.filter((line) => line.startsWith("passed"));
  expect(log.filter((line) => line.startsWith("dropped"))).toEqual([`dropped ${20_000 - passed.length}`]);
  expect(passed.at(-1)).toBe("passed 20000 after 7");
  expect(passed.length).toBeGreaterThan(8_000);
});

describe("after an interruption", () => {
  it("lets what arrives wait until the top is told, and goes on if nothing was lost", () => {
    const { cursor, log, reads } = setUp();
    cursor.interrupted();
    cursor.passed(fleeting("a"));
    cursor.published(record(6), "e");
    cursor.passed(fleeting("b"));
    expect(log).toEqual([]);
    cursor.topTold({ epoch: "e", offset: 6 });
    expect(log).toEqual(["passed a after 5", "took 6", "passed b after 6", "checked"]);
    cursor.published(record(7), "e");
    expect([log.at(-1), reads.length]).toEqual(["took 7", 0]);
  });

  it.each([
    { name: "and something arrives", arrived: [8], rest: ["took 8"] },
    { name: "and nothing arrives", arrived: [], rest: [] },
  ])("reads what was lost, $name: what isn't stored comes after it", async ({ arrived, rest }) => {
    const { cursor, log, reads } = setUp();
    cursor.interrupted();
    cursor.passed(fleeting("a"));
    for (const offset of arrived) cursor.published(record(offset), "e");
    cursor.topTold({ epoch: "e", offset: 7 + arrived.length });
    cursor.passed(fleeting("b"));
    reads[0]?.resolve(read("e", 9, 6));
    await until(() => log.includes("checked"));
    const last = 7 + arrived.length;
    expect(log).toEqual(["took 6", "took 7", "passed a after 7", ...rest, `passed b after ${last}`, "checked"]);
  });

  it("moves to another epoch when its top is told", () => {
    const { cursor, log } = setUp();
    cursor.interrupted();
    cursor.published(record(2), "f");
    cursor.topTold({ epoch: "f", offset: 2 });
    cursor.published(record(3), "f");
    expect(log).toEqual(["skipped from e 5", "checked", "took 3"]);
  });

  it("waits for a top that is told after the interruption, also if there was a check", async () => {
    const { cursor, log, reads } = setUp();
    cursor.published(record(7), "e");
    cursor.topTold({ epoch: "e", offset: 7 });
    cursor.interrupted();
    cursor.published(record(9), "e");
    reads[0]?.resolve(read("e", 7, 6));
    await new Promise(setImmediate);
    expect(log).toEqual(["took 6", "took 7"]);
    cursor.topTold({ epoch: "e", offset: 9 });
    for (const each of reads.slice(1)) each.resolve(read("e", 9, 8));
    await until(() => log.includes("checked"));
    expect(log).toEqual(["took 6", "took 7", "took 8", "took 9", "checked"]);
  });

  it("does no harm on a topic that keeps only the newest", () => {
    const { cursor, log, reads } = setUp(true);
    cursor.interrupted();
    cursor.published(record(9), "e");
    cursor.topTold({ epoch: "e", offset: 9 });
    expect([log, reads.length]).toEqual([["took 9", "checked"], 0]);
  });
});

it("takes nothing more when it is closed because a hole can't be repaired, with another hole behind", async () => {
  const { cursor, owner, log, reads } = setUp();
  const closed = Promise.withResolvers<void>();
  // The last subscription is lost here, and the feed closes its cursor.
  owner.skipped = () => {
    cursor.close();
    closed.resolve();
  };
  for (const offset of [9, 10]) cursor.published(record(offset), "e");
  reads[0]?.resolve(read("e", 7));
  await closed.promise;
  cursor.published(record(12), "e");
  await tick();
  expect(log.filter((one) => one.startsWith("took"))).toEqual([]);
});

it("keeps no process alive between two reads, and reads no more once it is closed", async () => {
  const program = `
    const { StreamCursor } = await import(process.argv[1]);
    const readSince = () => { console.log("read"); return Promise.reject(new Error("never")); };
    new StreamCursor({ retryMs: 600_000, readSince }, false).check();
  `;
  const file = new URL("../../../src/runtime/feeds/stream-cursor.ts", import.meta.url).href;
  const args = ["--input-type=module", "-e", program, file];
  const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 100_000 });
  expect(stdout).toBe("read\n");
  const { cursor, reads, log } = setUp();
  cursor.check();
  cursor.close();
  reads[0]?.reject(new Error("late"));
  cursor.check();
  await new Promise(setImmediate);
  expect([reads.length, log]).toEqual([1, []]);
});

it.each([{ when: "during the read" }, { when: "a moment after it" }])(
  "loses nothing when a read is ahead of what is on its way, which arrives $when",
  async ({ when }) => {
    const { cursor, log, reads } = setUp();
    cursor.topTold({ epoch: "e", offset: 9 });
    if (when === "during the read") cursor.published(record(6), "e");
    reads[0]?.resolve(read("e", 9, 8));
    await reads[0]?.promise;
    for (const offset of when === "during the read" ? [7, 8, 9] : [6, 7, 8, 9]) cursor.published(record(offset), "e");
    await until(() => log.includes("checked"));
    expect(log).toEqual([...span(6, 9).map((offset) => `took ${offset}`), "checked"]);
  },
);
