import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Member, PresenceChange } from "../../../../src/runtime/streams/engine.ts";
import { MemoryPresence } from "../../../../src/runtime/streams/memory/memory-presence.ts";

const member = (address: string, user?: string, info?: string): Member => ({ address, node: "node-1", user, info });

function toldAs(kind: string, { address, user, info }: Member, ofUser: boolean): string {
  return [kind, address, user, info, ofUser ? "user" : undefined].filter((word) => word !== undefined).join(" ");
}

function open(maxMembers = 1_000) {
  const changes: PresenceChange[] = [];
  const presence = new MemoryPresence(maxMembers, (change) => changes.push(change));
  const told = (): string[] => changes.splice(0).map((change) => toldAs(change.kind, change.member, change.ofUser));
  return { presence, told };
}

const rule = { leaveGraceMs: 100, changes: true };

describe("grace times", () => {
  it("end in the order of the leaves, each at its time", () => {
    const { presence, told } = open();
    for (const address of ["a", "b", "c"]) presence.join("t", member(address), rule);
    presence.leave("t", "b", rule, 0);
    presence.leave("t", "a", rule, 50);
    presence.leave("t", "c", { ...rule, leaveGraceMs: 10 }, 50);
    told();
    const heard = [59, 60, 99, 100, 149, 150].map((nowMs) => {
      presence.reportLeaves(nowMs);
      return told();
    });
    expect(heard).toEqual([[], ["left c user"], [], ["left b user"], [], ["left a user"]]);
  });

  it("of a rejoined address ends with the rejoin, and at once with a leave if the user is another", () => {
    const { presence, told } = open();
    presence.join("t", member("a", "ann"), rule);
    presence.leave("t", "a", rule, 0);
    presence.join("t", member("a", "bob"), rule);
    presence.reportLeaves(1_000);
    expect(told()).toEqual(["joined a ann user", "left a ann user", "joined a bob user"]);
    expect(presence.stats("t")).toEqual({ connections: 1, users: 1 });
    expect(presence.members("t", 10)).toEqual([member("a", "bob")]);
  });

  it("make no difference to a topic whose changes nobody hears of", () => {
    const { presence } = open();
    const quiet = { ...rule, changes: false };
    presence.join("t", member("a", "ann"), quiet);
    presence.leave("t", "a", quiet, 0);
    expect(presence.gauges()).toEqual({ members: 0, leaving_members: 0 });
  });
});

describe("bounds", () => {
  it("refuse a member too many, those in their grace time included", () => {
    const { presence, told } = open(2);
    presence.join("t", member("a"), rule);
    presence.join("other", member("a"), rule);
    const full = expect.objectContaining({ code: "ERR_ENGINE_FULL" });
    expect(() => presence.join("t", member("b"), rule)).toThrow(full);
    presence.leave("t", "a", rule, 0);
    expect(() => presence.join("t", member("b"), rule)).toThrow(full);
    // Who is there already, or was just now, needs no more room.
    presence.join("other", member("a"), rule);
    presence.join("t", member("a"), rule);
    presence.leave("t", "a", rule, 0);
    presence.reportLeaves(100);
    presence.join("t", member("b"), rule);
    expect(told()).toEqual(["joined a user", "joined a user", "left a user", "joined b user"]);
    expect(presence.gauges()).toEqual({ members: 2, leaving_members: 0 });
  });
});

it("counts and reports as a list of all connections would", () => {
  const steps = fc.array(
    fc.record({
      address: fc.nat(5),
      user: fc.constantFrom("ann", "bob", undefined),
      info: fc.constantFrom("1", "2", undefined),
      join: fc.boolean(),
      pass: fc.nat(60),
    }),
    { maxLength: 60 },
  );
  const property = fc.property(steps, (taken) => {
    const { presence, told } = open();
    let nowMs = 0;
    const present = new Map<string, Member>();
    let graced: { member: Member; dueMs: number }[] = [];
    /** Says a change of a member, which is of its user if no other connection has that user. */
    const says = (kind: string, one: Member): string => {
      const others = [...present.values(), ...graced.map((each) => each.member)];
      const isShared = others.some(({ address, user }) => user === one.user && address !== one.address);
      return toldAs(kind, one, one.user === undefined || !isShared);
    };
    for (const step of taken) {
      const { join, pass } = step;
      const address = `a${step.address}`;
      const expected: string[] = [];
      const there = present.get(address);
      if (join) {
        const one = member(address, step.user, step.info);
        const old = there ?? graced.find((each) => each.member.address === address)?.member;
        if (old === undefined) expected.push(says("joined", one));
        else if (old.user !== one.user) expected.push(says("left", old), says("joined", one));
        else if (old.info !== one.info) expected.push(toldAs("joined", one, false));
        graced = graced.filter((each) => each.member.address !== address);
        present.set(address, one);
        presence.join("t", one, rule);
      } else {
        if (there !== undefined) graced.push({ member: there, dueMs: nowMs + 100 });
        present.delete(address);
        presence.leave("t", address, rule, nowMs);
      }
      nowMs += pass;
      for (const due of graced.filter(({ dueMs }) => dueMs <= nowMs)) {
        graced = graced.filter((one) => one !== due);
        expected.push(says("left", due.member));
      }
      presence.reportLeaves(nowMs);
      expect(told()).toEqual(expected);
      const named = [...present.values()].flatMap(({ user }) => user ?? []);
      const users = new Set(named).size + present.size - named.length;
      expect(presence.stats("t")).toEqual({ connections: present.size, users });
      expect(presence.members("t", 100)).toEqual([...present.values()]);
      expect(presence.gauges()).toEqual({ members: present.size, leaving_members: graced.length });
    }
  });
  fc.assert(property, { numRuns: 300 });
});
