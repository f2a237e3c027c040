import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Member, PresenceChange } from "../../../../src/runtime/streams/engine.ts";
import { MemoryPresence } from "../../../../src/runtime/streams/memory/memory-presence.ts";

const member = (address: string, user?: string): Member => ({ address, node: "node-1", user, info: undefined });

function open(maxMembers = 1_000) {
  const changes: PresenceChange[] = [];
  const presence = new MemoryPresence(maxMembers, (change) => changes.push(change));
  const told = (): string[] =>
    changes.splice(0).map(({ kind, member: { address }, ofUser }) => `${kind} ${address}${ofUser ? " user" : ""}`);
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

  it("of a rejoined address ends with the rejoin, also when the user is another", () => {
    const { presence, told } = open();
    presence.join("t", member("a", "ann"), rule);
    presence.leave("t", "a", rule, 0);
    presence.join("t", member("a", "bob"), rule);
    presence.reportLeaves(1_000);
    expect(told()).toEqual(["joined a user"]);
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
      join: fc.boolean(),
      pass: fc.nat(60),
    }),
    { maxLength: 60 },
  );
  const property = fc.property(steps, (taken) => {
    const { presence, told } = open();
    let nowMs = 0;
    const present = new Map<string, string | undefined>();
    let graced: { address: string; user: string | undefined; dueMs: number }[] = [];
    const usersOf = (address: string, user: string | undefined): number =>
      user === undefined
        ? 0
        : [...[...present].map(([name, of]) => ({ address: name, user: of })), ...graced].filter(
            (one) => one.user === user && one.address !== address,
          ).length;
    for (const step of taken) {
      const { user, join, pass } = step;
      const address = `a${step.address}`;
      const expected: string[] = [];
      const wasGraced = graced.some((one) => one.address === address);
      if (join) {
        if (!present.has(address) && !wasGraced)
          expected.push(`joined ${address}${usersOf(address, user) ? "" : " user"}`);
        graced = graced.filter((one) => one.address !== address);
        present.set(address, user);
        presence.join("t", member(address, user), rule);
      } else {
        if (present.has(address)) graced.push({ address, user: present.get(address), dueMs: nowMs + 100 });
        present.delete(address);
        presence.leave("t", address, rule, nowMs);
      }
      nowMs += pass;
      for (const due of graced.filter(({ dueMs }) => dueMs <= nowMs)) {
        graced = graced.filter((one) => one !== due);
        expected.push(`left ${due.address}${usersOf(due.address, due.user) ? "" : " user"}`);
      }
      presence.reportLeaves(nowMs);
      expect(told()).toEqual(expected);
      const named = [...present.values()].filter((one) => one !== undefined);
      const users = new Set(named).size + present.size - named.length;
      expect(presence.stats("t")).toEqual({ connections: present.size, users });
      expect(presence.members("t", 100).map((one) => [one.address, one.user])).toEqual(
        expect.arrayContaining([...present]),
      );
      expect(presence.gauges()).toEqual({ members: present.size, leaving_members: graced.length });
    }
  });
  fc.assert(property, { numRuns: 300 });
});
