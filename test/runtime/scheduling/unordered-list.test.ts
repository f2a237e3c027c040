import fc from "fast-check";
import { expect, it } from "vitest";
import { type Listed, UnorderedList } from "../../../src/runtime/scheduling/unordered-list.ts";

function members<T extends Listed>(list: UnorderedList<T>): T[] {
  return Array.from({ length: list.length }, (_, place) => list.at(place) as T);
}

it("has the members that were added and not deleted, each at its place", () => {
  const steps = fc.array(fc.record({ isAdded: fc.boolean(), which: fc.nat({ max: 9 }) }));
  fc.assert(
    fc.property(steps, (plan) => {
      const list = new UnorderedList<Listed>();
      const all = Array.from({ length: 10 }, () => ({ place: -1 }));
      const expected = new Set<Listed>();
      for (const { isAdded, which } of plan) {
        const member = all[which] as Listed;
        if (!isAdded) expect(list.delete(member)).toBe(expected.delete(member));
        else if (!expected.has(member)) {
          list.add(member);
          expected.add(member);
        }
      }
      expect(new Set(members(list))).toEqual(expected);
      expect(list.length).toBe(expected.size);
      for (const [place, member] of members(list).entries()) expect(member.place).toBe(place);
      for (const member of all) if (!expected.has(member)) expect(member.place).toBe(-1);
    }),
  );
});

it("gives out the last member, and then nothing", () => {
  const list = new UnorderedList<Listed>();
  const [one, two] = [{ place: -1 }, { place: -1 }];
  list.add(one);
  list.add(two);
  expect([list.pop(), list.pop(), list.pop()]).toEqual([two, one, undefined]);
  expect([one.place, two.place, list.length]).toEqual([-1, -1, 0]);
});
