import { expect, it } from "vitest";
import { TokenBucket } from "../../../src/runtime/scheduling/token-bucket.ts";

/** Number of successful tries out of `tries`. */
const passes = (bucket: TokenBucket, tries: number, now: number): number =>
  Array.from({ length: tries }, () => bucket.tryTake(now)).filter(Boolean).length;

it("allows one second's worth at once, and then one after the other", () => {
  let now = 5_000;
  const bucket = new TokenBucket(10, now);
  expect(passes(bucket, 25, now)).toBe(10);
  now += 99;
  expect(bucket.tryTake(now)).toBe(false);
  now += 2;
  expect(passes(bucket, 5, now)).toBe(1);
});

it("saves up at most one second's worth", () => {
  let now = 0;
  const bucket = new TokenBucket(3, now);
  now += 3_600_000;
  expect(passes(bucket, 10, now)).toBe(3);
});

it("allows exactly its rate, however often it is asked", () => {
  let now = 0;
  const bucket = new TokenBucket(50, now);
  let passed = 0;
  for (; now < 10_000; now++) passed += passes(bucket, 3, now);
  expect(passed).toBeGreaterThanOrEqual(50 + 499);
  expect(passed).toBeLessThanOrEqual(50 + 500);
});

it("allows one a second", () => {
  let now = 0;
  const bucket = new TokenBucket(1, now);
  const seen = [];
  for (; now <= 2_500; now += 500) seen.push(bucket.tryTake(now));
  expect(seen).toEqual([true, false, true, false, true, false]);
});
