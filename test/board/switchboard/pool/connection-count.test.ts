import { expect, it } from "vitest";
import { ConnectionCount } from "../../../../src/board/switchboard/pool/connection-count.ts";
import { Counters } from "../../../../src/runtime/stats/counters.ts";
import type { HandoffResult } from "../../../../src/wire/transport/pending-handoffs.ts";

function create() {
  const counters = new Counters();
  const left: string[] = [];
  return { counters, left, connections: new ConnectionCount(counters, (address) => left.push(address)) };
}

const ends: HandoffResult[] = [{ outcome: "peerGone" }, { outcome: "failed", error: new Error("lost") }];
const adopted: Promise<HandoffResult> = Promise.resolve({ outcome: "adopted" });

it("counts a connection from the call until it has ended, and never twice", async () => {
  const { counters, connections } = create();
  const handoff = connections.follow(adopted, undefined);
  expect(connections.count).toBe(1);
  counters.add("connections");
  expect(connections.count).toBe(1);
  await handoff;
  expect(connections.count).toBe(1);
  counters.add("departed");
  expect(connections.count).toBe(0);
});

it.each(ends)("stops counting a connection that ended $outcome, and frees its address", async (result) => {
  const { left, connections } = create();
  await connections.follow(Promise.resolve(result), "a");
  expect({ count: connections.count, left }).toEqual({ count: 0, left: ["a"] });
});

it("begins at 0, whatever ended before", () => {
  const counters = new Counters();
  counters.add("departed", 7);
  expect(new ConnectionCount(counters, () => {}).count).toBe(0);
});

it("frees the addresses of all connections when the shard ends, each once", async () => {
  const { left, connections } = create();
  const onTheWay = Promise.withResolvers<HandoffResult>();
  await Promise.all(["a", "b", "a"].map((address) => connections.follow(adopted, address)));
  const last = connections.follow(onTheWay.promise, "c");
  connections.clientLeft("b");
  connections.end();
  onTheWay.resolve({ outcome: "failed", error: new Error("lost") });
  await last;
  connections.clientLeft("a");
  expect({ count: connections.count, left: left.toSorted() }).toEqual({ count: 0, left: ["a", "a", "b", "c"] });
});
