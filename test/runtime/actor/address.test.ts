import { expect, it } from "vitest";
import { type Address, isAddress, isForeign, nodeOf, shardOf } from "../../../src/runtime/actor/address.ts";

it.each([
  { text: "0-0", node: undefined, shard: 0, foreign: false },
  { text: "12-m5x-3", node: undefined, shard: 12, foreign: false },
  { text: "n-1_Ab.3-0", node: "n-1_Ab", shard: 3, foreign: false },
  { text: "n-1_A.3-0", node: "n-1_A", shard: 3, foreign: true },
  { text: "n-1_Abc.3-0", node: "n-1_Abc", shard: 3, foreign: true },
  { text: "7-7.3-0", node: "7-7", shard: 3, foreign: true },
])("reads $text", ({ text, node, shard, foreign }) => {
  expect(isAddress(text)).toBe(true);
  const address = text as Address;
  expect([nodeOf(address), shardOf(address)]).toEqual([node, shard]);
  expect(isForeign(address, "n-1_Ab.")).toBe(foreign);
  // Without a shared engine every node that an address names is another one.
  expect(isForeign(address, "")).toBe(node !== undefined);
});

it.each([".0-0", "a.b.0-0", "a b.0-0", "a.0", `${"n".repeat(33)}.0-0`, "a.-0"])("refuses %j", (text) => {
  expect(isAddress(text)).toBe(false);
});
