import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { RateLimit } from "../../../src/board/connection/rate-limit.ts";
import { TokenBucket } from "../../../src/runtime/scheduling/token-bucket.ts";

describe("a token bucket", () => {
  it("starts with one second's worth", () => {
    const bucket = new TokenBucket(10, 0);
    bucket.take(10, 0);
    expect(bucket.owedMs).toBe(0);
    bucket.take(1, 0);
    expect(bucket.owedMs).toBe(100);
  });

  it("gains tokens with time, but never more than one second's worth", () => {
    const bucket = new TokenBucket(10, 0);
    bucket.take(10, 0);
    bucket.take(5, 500);
    expect(bucket.owedMs).toBe(0);
    bucket.take(10, 60_000);
    expect(bucket.owedMs).toBe(0);
    bucket.take(1, 60_000);
    expect(bucket.owedMs).toBe(100);
  });

  it("can go into debt, and then owes the time that earns the debt back", () => {
    const bucket = new TokenBucket(1_000, 0);
    bucket.take(5_000, 0);
    expect(bucket.owedMs).toBe(4_000);
    bucket.take(0, 3_999);
    expect(bucket.owedMs).toBe(1);
    bucket.take(0, 4_000);
    expect(bucket.owedMs).toBe(0);
  });

  it("never allows more than the rate and one second's worth if callers wait until nothing is owed", () => {
    const amounts = fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 200 });
    fc.assert(
      fc.property(amounts, (all) => {
        const bucket = new TokenBucket(100, 0);
        let now = 0;
        let taken = 0;
        for (const amount of all) {
          bucket.take(amount, now);
          taken += amount;
          now += bucket.owedMs;
          expect(taken).toBeLessThanOrEqual(100 + (100 * now) / 1000 + 1e-6);
        }
      }),
    );
  });
});

describe("a connection's rate limits", () => {
  it("don't exist by default", () => {
    expect(RateLimit.of({ rateLimitPolicy: "pause" }, 0)).toBeUndefined();
  });

  it.each([
    ["messages", { maxMessagesPerSecond: 2 }, 500],
    ["bytes", { maxBytesPerSecond: 200 }, 500],
    ["both, the slower of them", { maxMessagesPerSecond: 2, maxBytesPerSecond: 100 }, 2_000],
  ])("limit %s", (_, rates, expected) => {
    const limit = RateLimit.of({ rateLimitPolicy: "pause", ...rates }, 0);
    limit?.took(2, 200, 0);
    expect(limit?.took(1, 100, 0)).toBe(expected);
    expect(limit?.took(0, 0, expected)).toBe(0);
  });
});
