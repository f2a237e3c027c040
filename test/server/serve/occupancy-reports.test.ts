/** What the application is told of channels, over all threads of a server and over the processes of a takeover. */
import { expect, it } from "vitest";
import { OccupancyReports } from "../../../src/server/serve/occupancy-reports.ts";

/** @param waiting vacated channels that wait for their time */
function start(waiting: readonly string[] = [], tellsOccupancy = true) {
  const told: string[] = [];
  const reports = new OccupancyReports({
    tellsOccupancy,
    occupied: (channel) => told.push(`+${channel}`),
    vacated: (channel) => told.push(`-${channel}`),
    takeVacated: () => waiting,
  });
  const report = (kind: "occupied" | "vacated", channel: string, thread = 1): void =>
    reports.reported(0, { kind, channel, thread });
  return { told, reports, report };
}

it("tells of the first subscriber and of the last one of all threads", () => {
  const { told, reports, report } = start();
  report("occupied", "a", 1);
  report("occupied", "a", 2);
  report("vacated", "a", 1);
  expect(told).toEqual(["+a"]);
  reports.shardLost(0);
  expect(told).toEqual(["+a", "-a"]);
});

it("gives occupied channels to the next process, and tells nothing of them any more", () => {
  const { told, reports, report } = start(["left"]);
  report("occupied", "a");
  report("occupied", "b");
  reports.await(["before"]);
  expect(reports.give()?.toSorted()).toEqual(["a", "b", "before", "left"]);
  report("vacated", "a");
  reports.leave();
  report("vacated", "b");
  reports.shardLost(0);
  expect(told).toEqual(["+a", "+b"]);
});

it("goes on where it was if the takeover fails", () => {
  const { told, reports, report } = start(["left"]);
  report("occupied", "a");
  report("occupied", "b");
  reports.give();
  report("vacated", "a");
  report("vacated", "b");
  report("occupied", "a");
  reports.goOn();
  expect(told).toEqual(["+a", "+b", "-left", "-a", "-b", "+a"]);
  report("vacated", "a");
  expect(told.at(-1)).toBe("-a");
});

it("tells of a channel of the process before only if nobody has come when everybody could", () => {
  const { told, reports, report } = start();
  reports.await(["a", "b"]);
  report("occupied", "a");
  report("occupied", "c");
  reports.allArrived();
  expect(told).toEqual(["+c", "-b"]);
  report("occupied", "b");
  report("vacated", "a");
  expect(told).toEqual(["+c", "-b", "+b", "-a"]);
});

it("gives and awaits nothing where the application isn't told", () => {
  const { told, reports, report } = start([], false);
  expect(reports.give()).toBeUndefined();
  reports.await(["a"]);
  reports.allArrived();
  expect(told).toEqual([]);
  report("occupied", "a");
  expect(told).toEqual(["+a"]);
});
