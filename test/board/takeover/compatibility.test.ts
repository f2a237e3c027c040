import { expect, it } from "vitest";
import { ownFacts, whyIncompatible } from "../../../src/board/takeover/compatibility.ts";
import type { TakeoverFacts } from "../../../src/board/takeover/messages.ts";

const facts: TakeoverFacts = {
  protocol: 2,
  node: "26.10.0",
  format: 15,
  moves: { "": 2, admin: null },
  room: 1_000,
  shards: 2,
};

function reason(successor: Partial<TakeoverFacts>, needed = 0): string | undefined {
  return whyIncompatible(facts, { ...facts, ...successor }, needed);
}

it("finds nothing wrong with a process like this one", () => {
  const own = ownFacts({ moves: { "": 1 }, shards: 1 });
  expect(own.protocol).toBeGreaterThan(0);
  expect(own.format).toBeGreaterThanOrEqual(15);
  expect(own.room).toBeGreaterThan(64);
  expect(whyIncompatible(own, own, 1)).toBeUndefined();
});

it.each([
  { successor: { protocol: 3 }, says: /speaks version 2 of the takeover protocol, the new one version 3/ },
  { successor: { protocol: 0 }, says: /the new one version 0/ },
  { successor: { format: 14, node: "20.1.0" }, says: /Node 20.1.0 can't read what Node 26.10.0 serializes/ },
  { successor: { moves: { "": 1, admin: null } }, says: /the actor has `static moves = 2` in the old process and 1/ },
  { successor: { moves: { "": null, admin: 1 } }, says: /the actor has `static moves` in the old process and not/ },
  { successor: { shards: 1 }, says: /the old process has 2 shards and the new one 1/ },
  { successor: { moves: { admin: null } }, says: /the actor is missing/ },
])("refuses $successor", ({ successor, says }) => {
  expect(reason(successor)).toMatch(says);
});

it.each([
  { format: 16 },
  { shards: 3 },
  { moves: { "": 3, admin: 1 } },
  // Its connections don't move anyway.
  { moves: { "": 2 } },
  { moves: { "": 2, admin: null, other: 1 } },
])("takes %j", (successor) => {
  expect(reason(successor)).toBeUndefined();
});

it("refuses a process that can't open as many files as are passed, with 64 to spare", () => {
  expect(reason({}, 936)).toBeUndefined();
  expect(reason({}, 937)).toBe(
    "937 files are to be passed, and 64 must be left for others, but the new process can open only 1000 more: raise its limit (ulimit -n) by 1 or more",
  );
  expect(reason({ room: 164 }, 114)).toMatch(/by 14 or more$/);
});
