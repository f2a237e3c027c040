import { expect, it } from "vitest";
import { SmallMap } from "../../../src/runtime/scheduling/small-map.ts";

it("does what a Map does, step by step, with none, one and more entries", () => {
  const small = new SmallMap<string, number | undefined>();
  const map = new Map<string, number | undefined>();
  let seed = 1;
  for (let step = 0; step < 5_000; step++) {
    seed = (seed * 48_271) % 2_147_483_647;
    const key = `key ${seed % 4}`;
    if (seed % 16 < 7) {
      const value = seed % 3 === 0 ? undefined : step;
      small.set(key, value);
      map.set(key, value);
    } else {
      expect(small.delete(key)).toBe(map.delete(key));
    }
    expect([small.has(key), small.get(key), small.size]).toEqual([map.has(key), map.get(key), map.size]);
    expect([...small.entries()]).toEqual([...map.entries()]);
    expect([...small.keys()]).toEqual([...map.keys()]);
    expect([...small.values()]).toEqual([...map.values()]);
  }
});

it("takes the empty string as a key", () => {
  const small = new SmallMap<string, number>();
  small.set("", 1);
  expect([small.has(""), small.get(""), small.size]).toEqual([true, 1, 1]);
});
