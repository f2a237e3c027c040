import { expect, it } from "vitest";
import { Restarts } from "../../../../src/board/switchboard/pool/restarts.ts";

it("waits longer after each death within a minute, and gives up after the fifth", () => {
  const restarts = new Restarts();
  expect(restarts).toMatchObject({ died: false, failed: false });
  expect([1_000, 2_000, 3_000, 4_000].map((at) => restarts.countDeath(at))).toEqual([100, 400, 1_600, 6_400]);
  expect(restarts).toMatchObject({ died: true, failed: false });
  expect(restarts.countDeath(60_999)).toBeUndefined();
  expect(restarts).toMatchObject({ died: true, failed: true });
});

it("forgets deaths after a minute", () => {
  const restarts = new Restarts();
  for (const at of [1_000, 2_000, 3_000, 4_000]) restarts.countDeath(at);
  expect(restarts.countDeath(61_000)).toBe(6_400);
  expect(restarts.countDeath(200_000)).toBe(100);
  expect(restarts.failed).toBe(false);
});
