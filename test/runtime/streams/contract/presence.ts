/** The contract of presence: members, users, joins and leaves. Part of `engine-contract.ts`. */
import { describe, expect, it, vi } from "vitest";
import type { Member, PresenceLimits } from "../../../../src/runtime/streams/engine.ts";
import { TRAVEL_MS } from "../../../../src/runtime/streams/takeover.ts";
import { type EngineUnderTest, type Node, openCluster } from "./cluster.ts";

const AT_ONCE: PresenceLimits = { leaveGraceMs: 0, changes: true };
/** A grace time that no test lives to see the end of. */
const LONG_GRACE: PresenceLimits = { leaveGraceMs: 3_600_000, changes: true };

function member({ id }: Node, address: string, user?: string, info?: string): Member {
  return { address, node: id, user, info };
}

async function addressesIn({ engine }: Node, topic: string): Promise<string[]> {
  return (await engine.members(topic, 1_000)).map(({ address }) => address).toSorted();
}

/** Each change that the owner was told: kind, address, and "user" where it is the first or last of its user. */
function changesOf({ owner }: Node, topic = "t"): string[] {
  return owner.changes
    .filter((change) => change.topic === topic)
    .map(({ kind, member: { address }, ofUser }) => `${kind} ${address}${ofUser ? " user" : ""}`);
}

/** Resolves when the owner was told exactly these changes. */
async function hears(node: Node, changes: readonly string[]): Promise<void> {
  await vi.waitFor(() => expect(changesOf(node)).toEqual(changes));
}

export function describePresence(under: EngineUnderTest): void {
  describe("presence", () => {
    it("is empty in a topic that nobody has joined", async () => {
      const { engine } = await (await openCluster(under)).start();
      expect(await engine.members("t", 100)).toEqual([]);
      expect(await engine.memberStats("t")).toEqual({ connections: 0, users: 0 });
    });

    it("lists who has joined, with all that was given, by topic", async () => {
      const node = await (await openCluster(under)).start();
      const { engine } = node;
      const members = [
        member(node, "a1", "ann", '{"name":"Ann 🦒"}'),
        member(node, "b1", "bob", '"\\n"'),
        member(node, "c1"),
        member(node, "d1", "", ""),
      ];
      for (const one of members) await engine.join("t", one, AT_ONCE);
      await engine.join("other", member(node, "x1", "ann"), AT_ONCE);
      const listed = await engine.members("t", 100);
      expect(listed.toSorted((a, b) => a.address.localeCompare(b.address))).toEqual(members);
      expect(await engine.memberStats("t")).toEqual({ connections: 4, users: 4 });
      expect(await addressesIn(node, "other")).toEqual(["x1"]);
    });

    it("lists at most as many as the limit says", async () => {
      const node = await (await openCluster(under)).start();
      for (const address of ["a", "b", "c"]) await node.engine.join("t", member(node, address), AT_ONCE);
      expect(await node.engine.members("t", 2)).toHaveLength(2);
      expect(await node.engine.members("t", 0)).toEqual([]);
    });

    it("counts connections, and each user once", async () => {
      const node = await (await openCluster(under)).start();
      const { engine } = node;
      for (const [address, user] of [["a1", "ann"], ["a2", "ann"], ["b1", "bob"], ["c1"], ["c2"]] as const) {
        await engine.join("t", member(node, address, user), AT_ONCE);
      }
      expect(await engine.memberStats("t")).toEqual({ connections: 5, users: 4 });
      await engine.leave("t", "a1", AT_ONCE);
      expect(await engine.memberStats("t")).toEqual({ connections: 4, users: 4 });
      await engine.leave("t", "a2", AT_ONCE);
      await engine.leave("t", "c1", AT_ONCE);
      expect(await engine.memberStats("t")).toEqual({ connections: 2, users: 2 });
      for (const address of ["b1", "c2"]) await engine.leave("t", address, AT_ONCE);
      expect(await engine.memberStats("t")).toEqual({ connections: 0, users: 0 });
    });

    it("reports joins and leaves, the first and the last of a user told apart", async () => {
      const node = await (await openCluster(under)).start();
      await node.engine.want("t");
      const ann = member(node, "a1", "ann", '"info"');
      await node.engine.join("t", ann, AT_ONCE);
      await node.engine.join("t", member(node, "a2", "ann"), AT_ONCE);
      await node.engine.join("t", member(node, "c1"), AT_ONCE);
      await node.engine.join("t", member(node, "c2"), AT_ONCE);
      for (const address of ["a1", "a2", "c1", "c2"]) await node.engine.leave("t", address, AT_ONCE);
      await hears(node, [
        "joined a1 user",
        "joined a2",
        "joined c1 user",
        "joined c2 user",
        "left a1",
        "left a2 user",
        "left c1 user",
        "left c2 user",
      ]);
      expect(node.owner.changes[0]).toEqual({ kind: "joined", topic: "t", member: ann, ofUser: true });
      expect(node.owner.changes[4]?.member).toEqual(ann);
    });

    it("tells users of one topic apart from those of another", async () => {
      const node = await (await openCluster(under)).start();
      for (const topic of ["t", "other"]) await node.engine.want(topic);
      for (const topic of ["other", "t"]) await node.engine.join(topic, member(node, "a1", "ann"), AT_ONCE);
      await node.engine.leave("other", "a1", AT_ONCE);
      await hears(node, ["joined a1 user"]);
      await vi.waitFor(() => expect(changesOf(node, "other")).toEqual(["joined a1 user", "left a1 user"]));
      expect(await addressesIn(node, "t")).toEqual(["a1"]);
    });

    it("reports nothing of topics that nobody wants, nor of those without changes", async () => {
      const node = await (await openCluster(under)).start();
      for (const topic of ["t", "quiet"]) await node.engine.want(topic);
      await node.engine.join("unwanted", member(node, "x"), AT_ONCE);
      await node.engine.leave("unwanted", "x", AT_ONCE);
      await node.engine.join("quiet", member(node, "x"), { ...AT_ONCE, changes: false });
      await node.engine.leave("quiet", "x", { ...AT_ONCE, changes: false });
      await node.engine.join("t", member(node, "x"), AT_ONCE);
      await hears(node, ["joined x user"]);
      expect(node.owner.changes.map(({ topic }) => topic)).toEqual(["t"]);
      expect(await addressesIn(node, "quiet")).toEqual([]);
    });

    it("reports nothing of a join of a member that is there with the same user and info", async () => {
      const node = await (await openCluster(under)).start();
      await node.engine.want("t");
      for (const address of ["a1", "a1", "b1"]) {
        await node.engine.join("t", member(node, address, "ann", "1"), AT_ONCE);
      }
      await node.engine.join("t", member(node, "c1"), AT_ONCE);
      await node.engine.join("t", member(node, "c1"), AT_ONCE);
      await node.engine.join("t", member(node, "d1"), AT_ONCE);
      await hears(node, ["joined a1 user", "joined b1", "joined c1 user", "joined d1 user"]);
      expect(await node.engine.memberStats("t")).toEqual({ connections: 4, users: 3 });
    });

    it("reports the new info of a member as a join that isn't of its user", async () => {
      const node = await (await openCluster(under)).start();
      await node.engine.want("t");
      await node.engine.join("t", member(node, "a1", "ann", "1"), AT_ONCE);
      await node.engine.join("t", member(node, "a1", "ann", "2"), AT_ONCE);
      await node.engine.join("t", member(node, "c1"), AT_ONCE);
      await node.engine.join("t", member(node, "c1", undefined, "3"), AT_ONCE);
      await hears(node, ["joined a1 user", "joined a1", "joined c1 user", "joined c1"]);
      expect(node.owner.changes.map((change) => change.member.info)).toEqual(["1", "2", undefined, "3"]);
      expect(await node.engine.memberStats("t")).toEqual({ connections: 2, users: 2 });
      const ann = (await node.engine.members("t", 10)).filter(({ address }) => address === "a1");
      expect(ann).toEqual([member(node, "a1", "ann", "2")]);
    });

    it("reports another user of a member as a leave of the old one and a join of the new one", async () => {
      const node = await (await openCluster(under)).start();
      await node.engine.want("t");
      const ann = member(node, "x", "ann", "1");
      const bob = member(node, "x", "bob", "1");
      const nobody = member(node, "x");
      for (const one of [ann, bob, nobody, ann]) await node.engine.join("t", one, LONG_GRACE);
      const expected = ["joined", "left", "joined", "left", "joined", "left", "joined"].map((kind) => `${kind} x user`);
      await hears(node, expected);
      expect(node.owner.changes.map((change) => change.member)).toEqual([ann, ann, bob, bob, nobody, nobody, ann]);
      expect(await node.engine.memberStats("t")).toEqual({ connections: 1, users: 1 });
      expect(await node.engine.members("t", 10)).toEqual([ann]);
    });

    it("tells whether a member that changes its user was the last of the old one and is the first of the new", async () => {
      const node = await (await openCluster(under)).start();
      await node.engine.want("t");
      await node.engine.join("t", member(node, "a1", "ann"), AT_ONCE);
      await node.engine.join("t", member(node, "b1", "bob"), AT_ONCE);
      await node.engine.join("t", member(node, "x", "ann"), AT_ONCE);
      await node.engine.join("t", member(node, "x", "bob"), AT_ONCE);
      await node.engine.leave("t", "b1", AT_ONCE);
      await node.engine.leave("t", "x", AT_ONCE);
      const before = ["joined a1 user", "joined b1 user", "joined x"];
      await hears(node, [...before, "left x", "joined x", "left b1", "left x user"]);
      expect(await node.engine.memberStats("t")).toEqual({ connections: 1, users: 1 });
    });

    it("reports no new info and no new user of topics without changes", async () => {
      const node = await (await openCluster(under)).start();
      for (const topic of ["t", "quiet"]) await node.engine.want(topic);
      const quiet = { ...AT_ONCE, changes: false };
      await node.engine.join("quiet", member(node, "x", "ann", "1"), quiet);
      await node.engine.join("quiet", member(node, "x", "ann", "2"), quiet);
      await node.engine.join("quiet", member(node, "x", "bob", "2"), quiet);
      await node.engine.join("t", member(node, "x"), AT_ONCE);
      await hears(node, ["joined x user"]);
      expect(changesOf(node, "quiet")).toEqual([]);
      expect(await node.engine.members("quiet", 10)).toEqual([member(node, "x", "bob", "2")]);
    });

    it("ignores a leave of an address that isn't there", async () => {
      const node = await (await openCluster(under)).start();
      await node.engine.want("t");
      await node.engine.leave("t", "a1", AT_ONCE);
      await node.engine.join("t", member(node, "a1", "ann"), AT_ONCE);
      await node.engine.leave("t", "a2", AT_ONCE);
      await node.engine.leave("t", "a1", AT_ONCE);
      await node.engine.leave("t", "a1", AT_ONCE);
      await node.engine.join("t", member(node, "b1"), AT_ONCE);
      await hears(node, ["joined a1 user", "left a1 user", "joined b1 user"]);
    });
  });

  describe("a member that is let go", () => {
    it("is listed until it joins again, and nobody hears of it", async () => {
      const node = await (await openCluster(under)).start();
      await node.engine.want("t");
      await node.engine.join("t", member(node, "a1", "ann", "1"), AT_ONCE);
      node.engine.letGo("t", "a1");
      node.engine.letGo("t", "b1");
      expect(await node.engine.members("t", 10)).toEqual([member(node, "a1", "ann", "1")]);
      expect(await node.engine.memberStats("t")).toEqual({ connections: 1, users: 1 });
      await node.engine.join("t", member(node, "a1", "ann", "1"), AT_ONCE);
      expect(await node.engine.memberStats("t")).toEqual({ connections: 1, users: 1 });
      await node.engine.leave("t", "a1", AT_ONCE);
      await hears(node, ["joined a1 user", "left a1 user"]);
    });

    it.runIf(under.traits.hasClock)("leaves after its time if it doesn't join again", async () => {
      const cluster = await openCluster(under);
      const node = await cluster.start();
      await node.engine.want("t");
      for (const address of ["a1", "a2"]) await node.engine.join("t", member(node, address, "ann"), AT_ONCE);
      for (const address of ["a1", "a2"]) node.engine.letGo("t", address);
      await node.engine.join("t", member(node, "a2", "ann"), AT_ONCE);
      await cluster.pass(TRAVEL_MS);
      await hears(node, ["joined a1 user", "joined a2", "left a1"]);
      expect(await addressesIn(node, "t")).toEqual(["a2"]);
    });
  });

  describe("the grace time of leaves", () => {
    it("delays the report, and not the end of the presence", async () => {
      const cluster = await openCluster(under);
      const node = await cluster.start();
      const rule = { leaveGraceMs: 300, changes: true };
      await node.engine.want("t");
      await node.engine.join("t", member(node, "a1", "ann"), rule);
      await node.engine.leave("t", "a1", rule);
      expect(await addressesIn(node, "t")).toEqual([]);
      expect(await node.engine.memberStats("t")).toEqual({ connections: 0, users: 0 });
      await cluster.pass(300);
      await hears(node, ["joined a1 user", "left a1 user"]);
    });

    it("doesn't end before its time", async () => {
      const cluster = await openCluster(under);
      const node = await cluster.start();
      await node.engine.want("t");
      await node.engine.join("t", member(node, "a1", "ann"), LONG_GRACE);
      await node.engine.join("t", member(node, "b1", "bob"), LONG_GRACE);
      await node.engine.leave("t", "a1", LONG_GRACE);
      await node.engine.leave("t", "b1", { ...LONG_GRACE, leaveGraceMs: 1 });
      await cluster.pass(1);
      await hears(node, ["joined a1 user", "joined b1 user", "left b1 user"]);
    });

    it("hides that a user went and came back: neither the user's last leave nor first join is reported", async () => {
      const node = await (await openCluster(under)).start();
      await node.engine.want("t");
      await node.engine.join("t", member(node, "a1", "ann"), LONG_GRACE);
      await node.engine.leave("t", "a1", { ...LONG_GRACE, leaveGraceMs: 60_000 });
      await node.engine.join("t", member(node, "a2", "ann"), LONG_GRACE);
      await hears(node, ["joined a1 user", "joined a2"]);
      expect(await addressesIn(node, "t")).toEqual(["a2"]);
      expect(await node.engine.memberStats("t")).toEqual({ connections: 1, users: 1 });
      // Ann's other connection is in its grace time: she hasn't left.
      await node.engine.leave("t", "a2", AT_ONCE);
      await hears(node, ["joined a1 user", "joined a2", "left a2"]);
    });

    it("ends with the last leave of the user, when nobody came back", async () => {
      const cluster = await openCluster(under);
      const node = await cluster.start();
      const rule = { leaveGraceMs: 300, changes: true };
      await node.engine.want("t");
      for (const address of ["a1", "a2"]) await node.engine.join("t", member(node, address, "ann"), rule);
      for (const address of ["a1", "a2"]) await node.engine.leave("t", address, rule);
      await cluster.pass(300);
      await vi.waitFor(() => expect(changesOf(node)).toHaveLength(4));
      const changes = changesOf(node);
      expect(changes.filter((change) => change.startsWith("left"))).toEqual(["left a1", "left a2 user"]);
      expect(await node.engine.memberStats("t")).toEqual({ connections: 0, users: 0 });
    });

    it("hides that a connection left and joined again", async () => {
      const node = await (await openCluster(under)).start();
      await node.engine.want("t");
      await node.engine.join("t", member(node, "a1", "ann", "1"), LONG_GRACE);
      await node.engine.leave("t", "a1", LONG_GRACE);
      await node.engine.join("t", member(node, "a1", "ann", "1"), LONG_GRACE);
      await node.engine.join("t", member(node, "b1"), LONG_GRACE);
      await hears(node, ["joined a1 user", "joined b1 user"]);
      expect(await addressesIn(node, "t")).toEqual(["a1", "b1"]);
      await node.engine.leave("t", "a1", AT_ONCE);
      await hears(node, ["joined a1 user", "joined b1 user", "left a1 user"]);
    });

    it("ends with a join with other info, which is reported as a join that isn't of the user", async () => {
      const node = await (await openCluster(under)).start();
      await node.engine.want("t");
      await node.engine.join("t", member(node, "a1", "ann", "1"), LONG_GRACE);
      await node.engine.leave("t", "a1", LONG_GRACE);
      await node.engine.join("t", member(node, "a1", "ann", "2"), LONG_GRACE);
      await hears(node, ["joined a1 user", "joined a1"]);
      expect(node.owner.changes[1]?.member.info).toBe("2");
      expect(await node.engine.memberStats("t")).toEqual({ connections: 1, users: 1 });
    });

    it("ends at once when the address joins as another user: the old member leaves as itself", async () => {
      const cluster = await openCluster(under);
      const node = await cluster.start();
      const rule = { leaveGraceMs: 300, changes: true };
      await node.engine.want("t");
      const ada = member(node, "x", "ada");
      const bob = member(node, "x", "bob");
      await node.engine.join("t", member(node, "b1", "bob"), rule);
      await node.engine.join("t", ada, rule);
      await node.engine.leave("t", "x", LONG_GRACE);
      await node.engine.join("t", bob, rule);
      const before = ["joined b1 user", "joined x user", "left x user", "joined x"];
      await hears(node, before);
      expect(node.owner.changes.slice(1).map((change) => change.member)).toEqual([ada, ada, bob]);
      expect(await node.engine.memberStats("t")).toEqual({ connections: 2, users: 1 });
      await node.engine.leave("t", "b1", AT_ONCE);
      await node.engine.leave("t", "x", rule);
      await cluster.pass(300);
      await hears(node, [...before, "left b1", "left x user"]);
      expect(node.owner.changes.at(-1)?.member).toEqual(bob);
    });
  });
}
