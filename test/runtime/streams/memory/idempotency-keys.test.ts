import { expect, it } from "vitest";
import { IDEMPOTENCY_MS, IdempotencyKeys } from "../../../../src/runtime/streams/memory/idempotency-keys.ts";
import { span } from "../contract/cluster.ts";

const at = (offset: number) => ({ epoch: "abc", offset });

it("knows a key for five minutes", () => {
  const keys = new IdempotencyKeys(10);
  keys.add("t", "key", at(1), 1_000);
  expect(IDEMPOTENCY_MS).toBe(5 * 60_000);
  expect(keys.find("t", "key", 1_000 + IDEMPOTENCY_MS - 1)).toEqual(at(1));
  expect(keys.find("t", "key", 1_000 + IDEMPOTENCY_MS)).toBeUndefined();
});

it("knows a key again that had expired, for another five minutes", () => {
  const keys = new IdempotencyKeys(10);
  keys.add("t", "a", at(1), 0);
  keys.add("t", "b", at(2), 1);
  keys.add("t", "a", at(3), IDEMPOTENCY_MS);
  keys.sweep(10, IDEMPOTENCY_MS + 1);
  expect(keys.find("t", "a", 2 * IDEMPOTENCY_MS - 1)).toEqual(at(3));
  expect(keys.gauges()).toEqual({ idempotency_keys: 1, evicted_idempotency_keys: 0 });
});

it("forgets the oldest key beyond its bound, and counts it", () => {
  const keys = new IdempotencyKeys(3);
  for (const offset of span(1, 5)) keys.add("t", `${offset}`, at(offset), 0);
  expect(span(1, 5).filter((offset) => keys.find("t", `${offset}`, 0) !== undefined)).toEqual([3, 4, 5]);
  expect(keys.gauges()).toEqual({ idempotency_keys: 3, evicted_idempotency_keys: 2 });
});

it("counts no key as evicted that had expired", () => {
  const keys = new IdempotencyKeys(1);
  keys.add("t", "a", at(1), 0);
  keys.add("t", "b", at(2), IDEMPOTENCY_MS);
  expect(keys.gauges()).toEqual({ idempotency_keys: 1, evicted_idempotency_keys: 0 });
});

it("sweeps out what has expired, a bounded number at a time", () => {
  const keys = new IdempotencyKeys(100);
  for (const offset of span(1, 10)) keys.add("t", `${offset}`, at(offset), offset);
  keys.sweep(3, IDEMPOTENCY_MS + 8);
  expect(keys.gauges()["idempotency_keys"]).toBe(7);
  keys.sweep(100, IDEMPOTENCY_MS + 8);
  expect(keys.gauges()["idempotency_keys"]).toBe(2);
});
