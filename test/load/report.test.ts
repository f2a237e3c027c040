import { describe, expect, it } from "vitest";
import { LatencyHistogram } from "../../src/load/histogram.ts";
import type { ThreadReport } from "../../src/load/messages.ts";
import { hasFailed, summarize } from "../../src/load/report.ts";
import type { LoadSettings } from "../../src/load/settings.ts";

const settings: LoadSettings = {
  url: "ws://localhost/",
  scenario: "echo",
  connections: 2,
  threads: 2,
  inflight: 1,
  rate: undefined,
  total: undefined,
  bytes: 20,
  text: false,
  duration: 1,
  warmup: 0,
  compress: false,
  insecure: false,
  greeting: 0,
  publishers: 1,
  step: 1,
  headers: [],
};

function thread(values: readonly number[], changes: Partial<ThreadReport> = {}): ThreadReport {
  const histogram = new LatencyHistogram();
  for (const value of values) histogram.record(value);
  const part = { counts: histogram.counts(), mean: histogram.mean, max: histogram.max };
  return {
    sent: 1,
    received: values.length,
    bytesSent: 26,
    bytesReceived: 22,
    lost: 0,
    wrong: 0,
    opened: 1,
    failed: 0,
    closed: 0,
    latency: part,
    slip: { counts: [], mean: 0, max: 0 },
    errors: [],
    effort: { seconds: 1, cpuSeconds: 0.5, busy: 0.5, loopDelayP99Ms: 1 },
    ...changes,
  };
}

const slipping = (...micros: number[]): Pick<ThreadReport, "slip"> => ({ slip: thread(micros).latency });

describe("summarize", () => {
  it("computes quantiles from the merged counts of all threads, not from their quantiles", () => {
    const fast = Array.from({ length: 98 }, () => 10);
    const { latency, messages, perSecond } = summarize(settings, [thread(fast), thread([1000, 2000])]);
    expect(latency.p50).toBeCloseTo(10, 0);
    expect(latency.p90).toBeCloseTo(10, 0);
    expect(Math.abs(latency.p99 - 1000)).toBeLessThan(4);
    expect(latency.max).toBe(2000);
    expect(latency.mean).toBeCloseTo((980 + 3000) / 100, 6);
    expect({ messages, perSecond }).toMatchObject({ messages: { sent: 2, received: 100 }, perSecond: 100 });
  });

  it("adds up the CPU time, and reports the busiest thread", () => {
    const busy = { seconds: 1, cpuSeconds: 0.9, busy: 0.97, loopDelayP99Ms: 7 };
    const { load, warnings } = summarize(settings, [thread([1]), thread([1], { effort: busy })]);
    expect(load).toMatchObject({ cpuSeconds: 1.4, busy: 0.97, loopDelayP99Ms: 7, bottleneck: false, threads: 2 });
    expect(warnings).toEqual([expect.stringMatching(/^The load generator was 97 % busy: it may have been the limit/)]);
  });

  it("adds up equal errors, the most frequent first", () => {
    const errors = [
      thread([], { errors: [["a", 1]] }),
      thread([], {
        errors: [
          ["b", 2],
          ["c", 1],
        ],
      }),
      thread([], { errors: [["c", 4]] }),
    ];
    expect(summarize(settings, errors).errors).toEqual(["c (5 times)", "b (2 times)", "a"]);
  });

  it.each([
    { late: 1, bottleneck: false },
    { late: 2, bottleneck: true },
  ])(
    "finds an open loop a bottleneck: $bottleneck, when $late of 100 messages left 6 ms late",
    ({ late, bottleneck }) => {
      const slips = Array.from({ length: 100 }, (_, i) => (i < late ? 6000 : 500));
      const { load, warnings } = summarize({ ...settings, rate: 100 }, [thread([1], slipping(...slips))]);
      expect(load.bottleneck).toBe(bottleneck);
      expect(warnings).toHaveLength(bottleneck ? 1 : 0);
    },
  );

  it.each([{ lost: 1 }, { wrong: 1 }, { failed: 1 }, { closed: 1 }])("counts a run with %j as failed", (changes) => {
    expect(hasFailed(summarize(settings, [thread([1], changes)]))).toBe(true);
    expect(hasFailed(summarize(settings, [thread([1])]))).toBe(false);
  });
});
