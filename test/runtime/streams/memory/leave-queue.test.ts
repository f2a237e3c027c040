import { expect, it } from "vitest";
import { type Leave, LeaveQueue } from "../../../../src/runtime/streams/memory/leave-queue.ts";
import { span } from "../contract/cluster.ts";

const member = (address: string) => ({ address, node: "node-1", user: undefined, info: undefined });

function taken(queue: LeaveQueue, count: number, nowMs: number): string[] {
  const addresses: string[] = [];
  queue.takeDue(count, nowMs, (leave) => addresses.push(leave.member.address));
  return addresses;
}

it("takes out the leaves that are due, in their order, each grace time by itself", () => {
  const queue = new LeaveQueue();
  queue.add("t", member("slow"), 1_000, 0);
  queue.add("t", member("a"), 10, 0);
  queue.add("t", member("b"), 10, 5);
  expect([taken(queue, 10, 9), taken(queue, 10, 10), taken(queue, 10, 15)]).toEqual([[], ["a"], ["b"]]);
  expect([queue.size, taken(queue, 10, 1_000), queue.size]).toEqual([1, ["slow"], 0]);
});

it("takes out a bounded number at a time, and the rest later", () => {
  const queue = new LeaveQueue();
  for (const number of span(1, 5)) queue.add("t", member(`${number}`), 10, 0);
  expect([taken(queue, 2, 10), taken(queue, 2, 10), taken(queue, 2, 10)]).toEqual([["1", "2"], ["3", "4"], ["5"]]);
});

it("doesn't hand out a leave that was cancelled, not even by the one before", () => {
  const queue = new LeaveQueue();
  const leaves = span(1, 4).map((number): Leave => queue.add("t", member(`${number}`), 10, 0));
  queue.cancel(leaves[0] as Leave);
  queue.cancel(leaves[0] as Leave);
  expect(queue.size).toBe(3);
  const addresses: string[] = [];
  queue.takeDue(10, 10, ({ member: { address } }) => {
    addresses.push(address);
    queue.cancel(leaves[2] as Leave);
  });
  expect([addresses, queue.size]).toEqual([["2", "4"], 0]);
});

it("forgets all", () => {
  const queue = new LeaveQueue();
  queue.add("t", member("a"), 10, 0);
  queue.clear();
  expect([queue.size, taken(queue, 10, 10)]).toEqual([0, []]);
});
