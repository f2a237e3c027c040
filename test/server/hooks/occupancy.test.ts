import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { Occupancy, VACATED_AFTER_MS } from "../../../src/server/hooks/occupancy.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function start(options = {}) {
  const told: string[] = [];
  const occupancy = new Occupancy(
    { occupied: (channel) => told.push(`+${channel}`), vacated: (channel) => told.push(`-${channel}`) },
    options,
  );
  return { told, occupancy };
}

it("tells of occupied channels at once, and of vacated ones three seconds later", () => {
  const { told, occupancy } = start();
  occupancy.occupied("a");
  expect(told).toEqual(["+a"]);
  occupancy.vacated("a");
  vi.advanceTimersByTime(2_999);
  expect(told).toEqual(["+a"]);
  vi.advanceTimersByTime(1);
  expect(told).toEqual(["+a", "-a"]);
  occupancy.occupied("a");
  expect(told).toEqual(["+a", "-a", "+a"]);
});

it("tells nothing of a channel that is occupied again in time", () => {
  const { told, occupancy } = start();
  occupancy.occupied("a");
  for (let reload = 0; reload < 5; reload++) {
    occupancy.vacated("a");
    vi.advanceTimersByTime(VACATED_AFTER_MS - 1);
    occupancy.occupied("a");
    vi.advanceTimersByTime(VACATED_AFTER_MS * 2);
  }
  expect(told).toEqual(["+a"]);
});

it("counts the time from the last change", () => {
  const { told, occupancy } = start();
  occupancy.vacated("a");
  vi.advanceTimersByTime(2_000);
  occupancy.occupied("a");
  occupancy.vacated("a");
  vi.advanceTimersByTime(2_999);
  expect(told).toEqual([]);
  vi.advanceTimersByTime(1);
  expect(told).toEqual(["-a"]);
});

it("needs one timer for any number of channels, and none for no channel", () => {
  const { told, occupancy } = start();
  for (let second = 0; second < 3; second++) {
    for (let channel = 0; channel < 1_000; channel++) occupancy.vacated(`${second}-${channel}`);
    expect(vi.getTimerCount()).toBe(1);
    vi.advanceTimersByTime(1_000);
  }
  expect(told).toHaveLength(1_000);
  vi.advanceTimersByTime(2_000);
  expect(told).toHaveLength(3_000);
  expect(occupancy.waiting).toBe(0);
  expect(vi.getTimerCount()).toBe(0);
});

it("tells the channel that waits longest early if too many wait", () => {
  const { told, occupancy } = start({ maxWaiting: 2 });
  for (const channel of ["a", "b", "c"]) occupancy.vacated(channel);
  expect(told).toEqual(["-a"]);
  expect(occupancy.toldEarly).toBe(1);
  expect(occupancy.waiting).toBe(2);
});

it("tells those that wait when it closes", () => {
  const { told, occupancy } = start();
  occupancy.vacated("a");
  occupancy.vacated("b");
  occupancy.close();
  expect(told).toEqual(["-a", "-b"]);
  expect(vi.getTimerCount()).toBe(0);
});
