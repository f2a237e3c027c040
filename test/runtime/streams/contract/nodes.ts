/**
 * The contract of nodes: control messages, life and death, and what crosses between two. Part of `engine-contract.ts`.
 */
import { describe, expect, it, vi } from "vitest";
import type { PresenceLimits } from "../../../../src/runtime/streams/engine.ts";
import { encodeText } from "../../../../src/wire/protocol/frame.ts";
import {
  ALL,
  contentOf,
  copyOf,
  type EngineUnderTest,
  LIMITS,
  type Node,
  openCluster,
  say,
  sees,
  span,
} from "./cluster.ts";

const AT_ONCE: PresenceLimits = { leaveGraceMs: 0, changes: true };

async function addressesIn({ engine }: Node, topic: string): Promise<string[]> {
  return (await engine.members(topic, 1_000)).map(({ address }) => address).toSorted();
}

export function describeNodes(under: EngineUnderTest): void {
  const { isShared } = under.traits;

  describe("one node", () => {
    it("says whether the engine is shared", async () => {
      const { engine } = await (await openCluster(under)).start();
      expect(engine.isShared).toBe(isShared);
    });

    it("gets control messages that it sends to itself by name, in order, and not those to all", async () => {
      const { engine, owner } = await (await openCluster(under)).start("node-1");
      engine.sendControl(undefined, "to all");
      engine.sendControl("node-2", "to another");
      for (const message of ["one", "two 🦒\n\0", ""]) engine.sendControl("node-1", message);
      await vi.waitFor(() => expect(owner.controls).toHaveLength(3));
      expect(owner.controls).toEqual([
        { from: "node-1", message: "one" },
        { from: "node-1", message: "two 🦒\n\0" },
        { from: "node-1", message: "" },
      ]);
    });

    it("gets nothing that it relays", async () => {
      const node = await (await openCluster(under)).start();
      await node.engine.want("t");
      await node.engine.want("plain");
      node.engine.relay("plain", encodeText("a"));
      await node.engine.publish("t", say("b"), LIMITS);
      await sees(node, "t", 1);
      expect(node.owner.relays).toEqual([]);
    });

    it("gives its gauges names in snake case and numbers", async () => {
      const node = await (await openCluster(under)).start();
      await node.engine.publish("t", say("a"), LIMITS);
      const gauges = Object.entries(node.engine.gauges());
      expect(gauges.length).toBeGreaterThan(0);
      for (const [name, value] of gauges) {
        expect(name).toMatch(/^[a-z]+(_[a-z]+)*$/);
        expect(Number.isFinite(value)).toBe(true);
      }
    });

    it("rejects publishes and joins after stop, and can be stopped twice", async () => {
      const node = await (await openCluster(under)).start();
      await node.engine.stop();
      await node.engine.stop();
      const publish = async () => node.engine.publish("t", say("a"), LIMITS);
      const join = async () =>
        node.engine.join("t", { address: "a", node: node.id, user: undefined, info: undefined }, AT_ONCE);
      await expect(publish()).rejects.toMatchObject({ code: "ERR_ENGINE_UNAVAILABLE" });
      await expect(join()).rejects.toMatchObject({ code: "ERR_ENGINE_UNAVAILABLE" });
    });

    it("takes announcements", async () => {
      const { engine } = await (await openCluster(under)).start();
      engine.announce('{"shards":2}');
      engine.announce('{"shards":3}');
      expect(engine.gauges()).toBeDefined();
    });
  });

  if (!isShared) return;

  describe("two nodes", () => {
    it("see each other's publications, history and epoch", async () => {
      const cluster = await openCluster(under);
      const [first, second] = [await cluster.start("node-1"), await cluster.start("node-2")];
      await second.engine.want("t");
      const { position } = await first.engine.publish("t", say("a"), LIMITS);
      await first.engine.publish("t", say("b"), LIMITS);
      await sees(second, "t", 2);
      expect(second.owner.offsets("t")).toEqual([1, 2]);
      expect(first.owner.publications).toEqual([]);
      const { top, records } = await second.engine.history("t", ALL, LIMITS);
      expect(top).toEqual({ ...position, offset: 2 });
      expect(contentOf(records)).toEqual([
        [1, "a"],
        [2, "b"],
      ]);
      await second.engine.removeHistory("t", LIMITS);
      expect(await first.engine.history("t", ALL, LIMITS)).toEqual({ top, records: [] });
    });

    it("relay what has no history to the others that want it, in order", async () => {
      const cluster = await openCluster(under);
      const [first, second] = [await cluster.start("node-1"), await cluster.start("node-2")];
      for (const { engine } of [first, second]) await engine.want("t");
      for (const count of span(1, 20)) {
        first.engine.relay("t", encodeText(`${count}`));
        first.engine.relay("unwanted", encodeText(`${count}`));
      }
      await vi.waitFor(() => expect(second.owner.relays).toHaveLength(20));
      expect(second.owner.relays).toEqual(
        span(1, 20).map((count) => ({ topic: "t", bytes: copyOf(encodeText(`${count}`)) })),
      );
      expect(first.owner.relays).toEqual([]);
      expect((await first.engine.history("t", ALL, LIMITS)).top.offset).toBe(0);
    });

    it("send control messages to all others, and to one", async () => {
      const cluster = await openCluster(under);
      const first = await cluster.start("node-1");
      const others = [await cluster.start("node-2"), await cluster.start("node-3")];
      first.engine.sendControl(undefined, "to all");
      first.engine.sendControl("node-3", "to the third");
      first.engine.sendControl("node-2", "to the second");
      for (const { owner } of others) await vi.waitFor(() => expect(owner.controls).toHaveLength(2));
      const heard = others.map(({ owner }) => owner.controls);
      const from = "node-1";
      expect(heard[0]).toEqual(
        expect.arrayContaining([
          { from, message: "to all" },
          { from, message: "to the second" },
        ]),
      );
      expect(heard[1]).toEqual(
        expect.arrayContaining([
          { from, message: "to all" },
          { from, message: "to the third" },
        ]),
      );
      expect(first.owner.controls).toEqual([]);
    });

    it("learn of each other, of other facts, and of a stop", async () => {
      const cluster = await openCluster(under);
      const first = await cluster.start("node-1");
      first.engine.announce('{"age":1}');
      const second = await cluster.start("node-2");
      second.engine.announce('{"age":2}');
      const knows = (node: Node, id: string, facts: string | undefined): Promise<void> =>
        vi.waitFor(() => expect(node.owner.nodes.findLast((one) => one.id === id)).toEqual({ id, facts }));
      await knows(first, "node-2", '{"age":2}');
      await knows(second, "node-1", '{"age":1}');
      second.engine.announce('{"age":3}');
      await knows(first, "node-2", '{"age":3}');
      expect(first.owner.nodes.filter(({ id }) => id === "node-1")).toEqual([]);
      await second.engine.stop();
      await knows(first, "node-2", undefined);
    });

    it("see each other's members, joins and leaves, and the users of both as one", async () => {
      const cluster = await openCluster(under);
      const [first, second] = [await cluster.start("node-1"), await cluster.start("node-2")];
      for (const { engine } of [first, second]) await engine.want("t");
      const ann = (node: Node, address: string) => ({ address, node: node.id, user: "ann", info: undefined });
      await first.engine.join("t", ann(first, "a1"), AT_ONCE);
      await second.engine.join("t", ann(second, "a2"), AT_ONCE);
      expect(await addressesIn(first, "t")).toEqual(["a1", "a2"]);
      expect(await second.engine.memberStats("t")).toEqual({ connections: 2, users: 1 });
      await first.engine.leave("t", "a1", AT_ONCE);
      await second.engine.leave("t", "a2", AT_ONCE);
      const changes = ["joined a1 true", "joined a2 false", "left a1 false", "left a2 true"];
      for (const { owner } of [first, second]) {
        await vi.waitFor(() => {
          const heard = owner.changes.map(({ kind, member, ofUser }) => `${kind} ${member.address} ${ofUser}`);
          expect(heard).toEqual(changes);
        });
      }
    });

    it("forget the members of a node that stopped", async () => {
      const cluster = await openCluster(under);
      const [first, second] = [await cluster.start("node-1"), await cluster.start("node-2")];
      await first.engine.join("t", { address: "a1", node: "node-1", user: "ann", info: undefined }, AT_ONCE);
      await second.engine.join("t", { address: "b1", node: "node-2", user: "bob", info: undefined }, AT_ONCE);
      await second.engine.stop();
      await vi.waitFor(async () => expect(await addressesIn(first, "t")).toEqual(["a1"]));
      expect(await first.engine.memberStats("t")).toEqual({ connections: 1, users: 1 });
    });

    it("list a member that goes from one to the other at every moment, and hear of no join and leave", async () => {
      const cluster = await openCluster(under);
      const [first, second] = [await cluster.start("node-1"), await cluster.start("node-2")];
      const ann = (node: Node, address: string) => ({ address, node: node.id, user: "ann", info: undefined });
      for (const { engine } of [first, second]) await engine.want("t");
      await first.engine.join("t", ann(first, "a1"), AT_ONCE);
      await first.engine.join("t", ann(first, "a2"), AT_ONCE);
      first.engine.letGo("t", "a1");
      expect(await addressesIn(second, "t")).toEqual(["a1", "a2"]);
      await second.engine.join("t", ann(second, "a1"), AT_ONCE);
      await second.engine.join("t", ann(second, "a2"), AT_ONCE);
      // The other node was faster here.
      first.engine.letGo("t", "a2");
      await first.engine.stop();
      expect(await addressesIn(second, "t")).toEqual(["a1", "a2"]);
      expect(await second.engine.memberStats("t")).toEqual({ connections: 2, users: 1 });
      for (const address of ["a1", "a2"]) await second.engine.leave("t", address, AT_ONCE);
      const changes = ["joined a1", "joined a2", "left a1", "left a2"];
      await vi.waitFor(() => {
        expect(second.owner.changes.map(({ kind, member }) => `${kind} ${member.address}`)).toEqual(changes);
      });
    });

    it("notice that a node died: it is gone, its members have left, the others stay", async () => {
      const cluster = await openCluster(under);
      const [first, second] = [await cluster.start("node-1"), await cluster.start("node-2")];
      second.engine.announce("{}");
      await first.engine.want("t");
      await first.engine.join("t", { address: "a1", node: "node-1", user: "ann", info: undefined }, AT_ONCE);
      await second.engine.join("t", { address: "a2", node: "node-2", user: "ann", info: undefined }, AT_ONCE);
      await second.engine.join("t", { address: "b1", node: "node-2", user: "bob", info: undefined }, AT_ONCE);
      await vi.waitFor(() => expect(first.owner.changes).toHaveLength(3));
      await cluster.kill(second);
      await vi.waitFor(() => expect(first.owner.nodes.at(-1)).toEqual({ id: "node-2", facts: undefined }));
      await vi.waitFor(async () => expect(await addressesIn(first, "t")).toEqual(["a1"]));
      await vi.waitFor(async () => expect(await first.engine.memberStats("t")).toEqual({ connections: 1, users: 1 }));
      await vi.waitFor(() => expect(first.owner.changes).toHaveLength(5));
      const left = first.owner.changes.slice(3).map(({ kind, member, ofUser }) => [kind, member.address, ofUser]);
      expect(left).toEqual(
        expect.arrayContaining([
          ["left", "a2", false],
          ["left", "b1", true],
        ]),
      );
    });

    it("keep the history of a node that died, and go on in its epoch", async () => {
      const cluster = await openCluster(under);
      const [first, second] = [await cluster.start("node-1"), await cluster.start("node-2")];
      const { position } = await second.engine.publish("t", say("a"), LIMITS);
      await cluster.kill(second);
      expect(contentOf((await first.engine.history("t", ALL, LIMITS)).records)).toEqual([[1, "a"]]);
      expect((await first.engine.publish("t", say("b"), LIMITS)).position).toEqual({ ...position, offset: 2 });
    });
  });
}
