import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { ClusterReply } from "../../../../src/board/switchboard/cluster/messages.ts";
import { MAX_CHARACTERS_TO_NODE, NodeRequests } from "../../../../src/board/switchboard/cluster/node-requests.ts";
import type { Address } from "../../../../src/runtime/actor/address.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** Requests to the nodes `a` and `b`, with the serials of those that were sent. */
function setUp() {
  const serials: number[] = [];
  const owners = new Map<string, string>();
  const requests = new NodeRequests({
    isReachable: (node) => node === "a" || node === "b",
    send: (_, message) => serials.push(JSON.parse(message).serial),
    ownerOf: (node) => owners.get(node) ?? node,
  });
  const tell = (node: string, mail = "") => {
    const replies: ClusterReply[] = [];
    const to = `${node}.0-1` as Address;
    requests.send(node, { kind: "tell", to, mail, timeoutMs: 100 }, 100, (reply) => replies.push(reply));
    return replies;
  };
  return { requests, serials, owners, tell };
}

it("settles a request once, by the node that was asked", () => {
  const { requests, serials, tell } = setUp();
  const replies = tell("a");
  const [serial = -1] = serials;
  requests.replied("b", serial, { kind: "full" });
  requests.replied("a", serial + 1, { kind: "full" });
  expect(replies).toEqual([]);
  requests.replied("a", serial, { kind: "accepted" });
  requests.replied("a", serial, { kind: "full" });
  vi.advanceTimersByTime(1_000);
  expect(replies).toEqual([{ kind: "accepted" }]);
});

it("settles requests to a node that can't be reached, leaves, or is silent", () => {
  const { requests, tell } = setUp();
  expect(tell("nowhere")).toEqual([{ kind: "gone" }]);
  const [toA, toB] = [tell("a"), tell("b")];
  requests.nodeLeft("a", []);
  expect([toA, toB]).toEqual([[{ kind: "gone" }], []]);
  vi.advanceTimersByTime(100);
  expect(toB).toEqual([{ kind: "expired" }]);
});

it("lets a request about a connection wait when its node leaves, while another node answers for it", () => {
  const { requests, serials, owners, tell } = setUp();
  const [first, second] = [tell("a"), tell("a")];
  owners.set("a", "b");
  requests.nodeLeft("a", []);
  expect([first, second]).toEqual([[], []]);
  requests.replied("c", serials[0] ?? -1, { kind: "full" });
  requests.replied("b", serials[0] ?? -1, { kind: "accepted" });
  owners.delete("a");
  requests.nodeLeft("b", ["a"]);
  expect([first, second]).toEqual([[{ kind: "accepted" }], [{ kind: "gone" }]]);
});

it("refuses mail to a node with too much under way, and takes mail again after a reply", () => {
  const { requests, serials, tell } = setUp();
  const half = "x".repeat(MAX_CHARACTERS_TO_NODE / 2);
  tell("a", half);
  tell("a", half);
  expect(tell("a", "x")).toEqual([{ kind: "full" }]);
  expect(tell("b", "x")).toEqual([]);
  requests.replied("a", serials[0] ?? -1, { kind: "accepted" });
  expect(tell("a", "x")).toEqual([]);
});

it("rejects a query that a node doesn't answer within 5 s, with the node's id", async () => {
  const { requests } = setUp();
  const asked = expect(requests.query("a", { kind: "list", limit: 1 }, "page")).rejects.toMatchObject({
    code: "ERR_NODE_UNRESPONSIVE",
    message: "node a has not answered within 5000 ms",
  });
  await vi.advanceTimersByTimeAsync(5_000);
  await asked;
});
