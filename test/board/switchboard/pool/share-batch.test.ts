import { expect, it } from "vitest";
import { shareBatch } from "../../../../src/board/switchboard/pool/share-batch.ts";

it.each([
  { batch: 10, loads: [3, 7], shares: [10, 10] },
  { batch: 10, loads: [10, 30], shares: [3, 7] },
  { batch: 5, loads: [25, 25], shares: [3, 2] },
  { batch: 10, loads: [15, 16, 1], shares: [5, 5, 1] },
  { batch: 10_000, loads: [100_000, 0, 50_000], shares: [6_667, 1, 3_333] },
  { batch: 1, loads: [5, 5, 5], shares: [1, 1, 1] },
])("shares a batch of $batch between shards of $loads connections", ({ batch, loads, shares }) => {
  expect(shareBatch(batch, loads)).toEqual(shares);
});
