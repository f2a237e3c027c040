import { expect, it } from "vitest";
import { RecycleWatch, type ShardLoad } from "../../../../src/board/switchboard/moving/recycle-watch.ts";

const BOUNDS = { maxMemoryBytes: 100, maxEventLoopDelayMs: 50, forMs: 30, minIntervalMs: 600 };

/** One load for each shard: memory, and delay of the event loop. */
function loads(...all: readonly (readonly [memory: number, delay: number])[]): ShardLoad[] {
  return all.map(([memoryBytes, eventLoopDelayMs], shard) => ({ shard, memoryBytes, eventLoopDelayMs }));
}

it("names a shard that has been above a bound for long enough, without a break", () => {
  const watch = new RecycleWatch(BOUNDS);
  expect(watch.next(0, loads([101, 0], [0, 51]))).toBeUndefined();
  expect(watch.next(20, loads([100, 0], [0, 51]))).toBeUndefined();
  expect(watch.next(29, loads([101, 0], [0, 51]))).toBeUndefined();
  expect(watch.next(30, loads([101, 0], [0, 51]))).toEqual({ shard: 1, reason: "eventLoop" });
  expect(watch.next(58, loads([101, 0], [0, 50]))).toBeUndefined();
  expect(watch.next(59, loads([101, 0], [0, 50]))).toEqual({ shard: 0, reason: "memory" });
});

it("names one shard at a time", () => {
  const watch = new RecycleWatch(BOUNDS);
  const all = loads([101, 0], [101, 0]);
  watch.next(0, all);
  expect(watch.next(30, all)).toEqual({ shard: 0, reason: "memory" });
  watch.recycled(0, 31);
  expect(watch.next(32, all)).toEqual({ shard: 1, reason: "memory" });
});

it("takes no shard for sick while all are late, unless there is only one", () => {
  const watch = new RecycleWatch(BOUNDS);
  for (let now = 0; now < 100; now += 10) expect(watch.next(now, loads([0, 60], [0, 60]))).toBeUndefined();
  const alone = new RecycleWatch(BOUNDS);
  alone.next(0, loads([0, 60]));
  expect(alone.next(30, loads([0, 60]))).toEqual({ shard: 0, reason: "eventLoop" });
});

it("waits twice as long each time that it hasn't helped, at most 16 times, and forgets when it has", () => {
  const watch = new RecycleWatch(BOUNDS);
  const sick = loads([101, 0]);
  const times: number[] = [];
  for (let now = 0; now < 60_000; now += 10) {
    if (watch.next(now, sick) === undefined) continue;
    times.push(now);
    watch.recycled(0, now);
  }
  const gaps = times.slice(1).map((time, index) => time - (times[index] ?? 0));
  expect(gaps.slice(0, 6)).toEqual([600, 1_200, 2_400, 4_800, 9_600, 9_600]);
  // Healthy for long.
  for (let now = 60_000; now < 100_000; now += 10) expect(watch.next(now, loads([0, 0]))).toBeUndefined();
  watch.next(100_000, sick);
  expect(watch.next(100_030, sick)).toEqual({ shard: 0, reason: "memory" });
  watch.recycled(0, 100_030);
  for (let now = 100_040; now < 100_630; now += 10) expect(watch.next(now, sick)).toBeUndefined();
  expect(watch.next(100_630, sick)).toEqual({ shard: 0, reason: "memory" });
});
