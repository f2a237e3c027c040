/** The contract of interest and of reports: who is told about a publication, and when. Part of `engine-contract.ts`. */
import { describe, expect, it, vi } from "vitest";
import { recover } from "../../../../src/runtime/streams/recovery.ts";
import {
  ALL,
  type EngineUnderTest,
  LIMITS,
  type Node,
  offsetsOf,
  openCluster,
  say,
  sees,
  span,
  type TestCluster,
} from "./cluster.ts";

/** Two nodes of the cluster, or twice the one node of an engine that isn't shared. */
async function twoPublishers(cluster: TestCluster, isShared: boolean): Promise<[Node, Node]> {
  const first = await cluster.start("node-1");
  return [first, isShared ? await cluster.start("node-2") : first];
}

export function describeReports(under: EngineUnderTest): void {
  const { isShared } = under.traits;

  describe("want", () => {
    it("reports every publication from its resolution on, also those of this node", async () => {
      const node = await (await openCluster(under)).start();
      const before = await node.engine.publish("t", say("before"), LIMITS);
      await node.engine.want("t");
      const { position } = await node.engine.publish("t", say("after"), LIMITS);
      await sees(node, "t", 1);
      expect(position).toEqual({ epoch: before.position.epoch, offset: 2 });
      const [reported] = node.owner.publications;
      expect([reported?.epoch, reported?.offset]).toEqual([position.epoch, 2]);
      expect(reported?.bytes.subarray(2).toString()).toBe("after");
    });

    it("reports nothing of topics that nobody wants", async () => {
      const node = await (await openCluster(under)).start();
      await node.engine.want("wanted");
      await node.engine.publish("unwanted", say("a"), LIMITS);
      await node.engine.publish("wante", say("a"), LIMITS);
      await node.engine.publish("wanted", say("b"), LIMITS);
      await sees(node, "wanted", 1);
      expect(node.owner.publications.map(({ topic }) => topic)).toEqual(["wanted"]);
    });

    it("takes a topic as it is written: it is no pattern", async () => {
      const node = await (await openCluster(under)).start();
      await node.engine.want("room:*");
      await node.engine.publish("room:1", say("a"), LIMITS);
      await node.engine.publish("room:*", say("b"), LIMITS);
      await sees(node, "room:*", 1);
      expect(node.owner.publications.map(({ topic }) => topic)).toEqual(["room:*"]);
    });

    it("reports once to a topic that was wanted twice", async () => {
      const node = await (await openCluster(under)).start();
      await Promise.all([node.engine.want("t"), node.engine.want("t")]);
      for (const text of ["a", "b"]) await node.engine.publish("t", say(text), LIMITS);
      await sees(node, "t", 2);
      expect(node.owner.offsets("t")).toEqual([1, 2]);
    });

    it("reports nothing after unwant, and everything after another want", async () => {
      const node = await (await openCluster(under)).start();
      await node.engine.want("t");
      await node.engine.publish("t", say("1"), LIMITS);
      await sees(node, "t", 1);
      node.engine.unwant("t");
      // Once another topic is wanted, the engine has worked off what was said before.
      await node.engine.want("other");
      await node.engine.publish("t", say("2"), LIMITS);
      await node.engine.publish("other", say("a"), LIMITS);
      await sees(node, "other", 1);
      expect(node.owner.offsets("t")).toEqual([1]);
      await node.engine.want("t");
      await node.engine.publish("t", say("3"), LIMITS);
      await sees(node, "t", 2);
      expect(node.owner.offsets("t")).toEqual([1, 3]);
    });

    it("ends as wanted after want, unwant and want without waiting", async () => {
      const node = await (await openCluster(under)).start();
      const first = node.engine.want("t");
      node.engine.unwant("t");
      const second = node.engine.want("t");
      await Promise.all([first, second]);
      await node.engine.publish("t", say("a"), LIMITS);
      await sees(node, "t", 1);
    });

    it("is followed by word that everything has been reported, where reads may be ahead of reports", async ({
      skip,
    }) => {
      const [publisher, node] = await twoPublishers(await openCluster(under), isShared);
      const { engine, owner } = node;
      if (engine.reported === undefined) return skip("reports come with the call that causes them");
      await engine.want("t");
      for (const count of span(1, 50)) {
        await publisher.engine.publish("t", say(`${count}`), LIMITS);
        expect(await Promise.all([engine.reported("t"), engine.reported("t")])).toEqual([true, true]);
        expect(owner.offsets("t").at(-1)).toBe(count);
      }
    });

    it("does no harm to unwant a topic that isn't wanted", async () => {
      const node = await (await openCluster(under)).start();
      node.engine.unwant("t");
      await node.engine.want("t");
      await node.engine.publish("t", say("a"), LIMITS);
      await sees(node, "t", 1);
    });
  });

  describe("a publication that isn't stored", () => {
    it("reaches every node that wants the topic, between the stored ones, and leaves the stream as it is", async () => {
      const cluster = await openCluster(under);
      const [one, other] = await twoPublishers(cluster, isShared);
      for (const { engine } of [one, other]) await engine.want("t");
      const all = span(1, 20).map((count) => one.engine.publish("t", say(`${count}`), LIMITS));
      const unstored = one.engine.publish("t", { ...say("fleeting"), store: false }, LIMITS);
      all.push(one.engine.publish("t", say("last"), LIMITS));
      expect(await unstored).toEqual({ position: { epoch: "", offset: 0 }, duplicate: false });
      expect((await Promise.all(all)).map(({ position }) => position.offset)).toEqual(span(1, 21));
      for (const { owner } of new Set([one, other])) {
        await vi.waitFor(() => expect(owner.order).toHaveLength(22));
        expect(owner.order).toEqual([...span(1, 20), "fleeting", 21]);
      }
      const { records, top } = await one.engine.history("t", { limit: 100 }, LIMITS);
      expect([offsetsOf(records), top.offset]).toEqual([span(1, 21), 21]);
    });
  });

  describe("two publishers at once", () => {
    it("get distinct offsets, each in its order, and everybody sees the same order", async () => {
      const cluster = await openCluster(under);
      const nodes = await twoPublishers(cluster, isShared);
      for (const { engine } of nodes) await engine.want("t");
      const offsets = await Promise.all(
        nodes.map(async ({ engine }, publisher) => {
          const results = span(1, 100).map((count) => engine.publish("t", say(`${publisher} ${count}`), LIMITS));
          return (await Promise.all(results)).map(({ position }) => position.offset);
        }),
      );
      expect(offsets.flat().toSorted((a, b) => a - b)).toEqual(span(1, 200));
      for (const own of offsets) expect(own).toEqual(own.toSorted((a, b) => a - b));
      for (const node of nodes) {
        await sees(node, "t", 200);
        expect(node.owner.offsets("t")).toEqual(span(1, 200));
      }
      const [first, second] = nodes.map(({ owner }) => owner.publications.map(({ bytes }) => bytes.toString()));
      expect(first).toEqual(second);
    });

    it("publish once under one idempotency key", async () => {
      const cluster = await openCluster(under);
      const nodes = await twoPublishers(cluster, isShared);
      const publishes = span(1, 20).map((count) =>
        (nodes[count % 2] as Node).engine.publish("t", say("a", { idempotencyKey: "key" }), LIMITS),
      );
      const results = await Promise.all(publishes);
      expect(results.filter(({ duplicate }) => !duplicate)).toHaveLength(1);
      expect(new Set(results.map(({ position }) => JSON.stringify(position))).size).toBe(1);
      expect((await nodes[0].engine.history("t", ALL, LIMITS)).records).toHaveLength(1);
    });

    it("begin one epoch, when both come first", async () => {
      const nodes = await twoPublishers(await openCluster(under), isShared);
      const reads = await Promise.all(nodes.map(({ engine }) => engine.history("t", { limit: 0 }, LIMITS)));
      expect(reads[0]?.top).toEqual(reads[1]?.top);
    });
  });

  describe("a subscriber that resumes", () => {
    it("gets everything once, from the read and from the reports, while others publish", async () => {
      const [node, publisher] = await twoPublishers(await openCluster(under), isShared);
      for (const count of span(1, 20)) await publisher.engine.publish("t", say(`${count}`), LIMITS);
      const wanted = node.engine.want("t");
      const during = span(21, 40).map((count) => publisher.engine.publish("t", say(`${count}`), LIMITS));
      await wanted;
      const reading = node.engine.history("t", { ...ALL, since: 10 }, LIMITS);
      const after = span(41, 60).map((count) => publisher.engine.publish("t", say(`${count}`), LIMITS));
      const read = await reading;
      await Promise.all([...during, ...after]);
      expect(recover({ epoch: read.top.epoch, offset: 10 }, read).recovered).toBe(true);
      expect(offsetsOf(read.records)).toEqual(span(11, read.top.offset));
      // What the read doesn't have is reported: nothing is missing between the two.
      const missing = (): number[] => {
        const reported = node.owner.offsets("t");
        return span(read.top.offset + 1, 60).filter((offset) => !reported.includes(offset));
      };
      await sees(node, "t", 60 - read.top.offset);
      await expect.poll(missing, { timeout: 60_000 }).toEqual([]);
      const reported = node.owner.offsets("t");
      expect(reported).toEqual([...new Set(reported)].toSorted((a, b) => a - b));
    });

    it.each([
      { who: "has seen all", since: 5, recovered: true, records: [] },
      { who: "missed some", since: 3, recovered: true, records: [4, 5] },
      { who: "missed all that is kept", since: 2, recovered: true, records: [3, 4, 5] },
      { who: "missed more than is kept", since: 1, recovered: false, records: [] },
      { who: "is from the future", since: 6, recovered: false, records: [] },
      { who: "is from the far future", since: Number.MAX_SAFE_INTEGER, recovered: false, records: [] },
    ])("is told the truth, when it $who", async ({ since, recovered, records }) => {
      const { engine } = await (await openCluster(under)).start();
      const limits = { ...LIMITS, size: 3 };
      for (const count of span(1, 5)) await engine.publish("t", say(`${count}`), limits);
      const read = await engine.history("t", { ...ALL, since }, limits);
      for (const epoch of [read.top.epoch, ""]) {
        const recovery = recover({ epoch, offset: since }, read);
        expect([recovery.recovered, offsetsOf(recovery.records)]).toEqual([recovered, records]);
      }
      expect(recover({ epoch: `${read.top.epoch}x`, offset: since }, read).recovered).toBe(false);
    });

    it("isn't recovered by a read that the limit cut", async () => {
      const { engine } = await (await openCluster(under)).start();
      for (const count of span(1, 5)) await engine.publish("t", say(`${count}`), LIMITS);
      const since = async (offset: number, limit: number): Promise<boolean> =>
        recover({ epoch: "", offset }, await engine.history("t", { since: offset, limit }, LIMITS)).recovered;
      expect([await since(2, 3), await since(2, 2), await since(5, 0), await since(4, 0)]).toEqual([
        true,
        false,
        true,
        false,
      ]);
    });

    it("from the start of a stream gets all, also of one that is empty", async () => {
      const { engine } = await (await openCluster(under)).start();
      const empty = await engine.history("t", { ...ALL, since: 0 }, LIMITS);
      expect(recover(empty.top, empty)).toEqual({ recovered: true, records: [] });
      for (const text of ["a", "b"]) await engine.publish("t", say(text), LIMITS);
      const recovery = recover(empty.top, await engine.history("t", { ...ALL, since: 0 }, LIMITS));
      expect([recovery.recovered, offsetsOf(recovery.records)]).toEqual([true, [1, 2]]);
    });
  });
}
