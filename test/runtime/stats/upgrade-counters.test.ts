import { describe, expect, it } from "vitest";
import { Counters } from "../../../src/runtime/stats/counters.ts";
import { sumUpgrades, UPGRADE_COUNTERS_BYTES, UpgradeCounters } from "../../../src/runtime/stats/upgrade-counters.ts";

const zeros = { accepted: 0, refused: {}, abandoned: 0, timedOut: 0, failed: 0, passedOn: 0 };

describe("upgrade counters", () => {
  it("begin at 0", () => {
    expect(new UpgradeCounters().snapshot()).toEqual(zeros);
  });

  it.each(["accepted", "abandoned", "timedOut", "failed", "passedOn"] as const)(
    "count %s separately from the others",
    (outcome) => {
      const counters = new UpgradeCounters();
      counters.add(outcome);
      counters.add(outcome, 2);
      expect(counters.snapshot()).toEqual({ ...zeros, [outcome]: 3 });
    },
  );

  it("count refusals by status, including the first and the last status", () => {
    const counters = new UpgradeCounters();
    for (const status of [300, 401, 401, 599]) counters.addRefused(status);
    expect(counters.snapshot()).toEqual({ ...zeros, refused: { 300: 1, 401: 2, 599: 1 } });
  });

  it("are shared by all objects on the same memory, and write only their own part of that memory", () => {
    const memory = new SharedArrayBuffer(8 + UPGRADE_COUNTERS_BYTES);
    const [one, other] = [new UpgradeCounters(memory, 8), new UpgradeCounters(memory, 8)];
    one.addRefused(300);
    one.add("accepted");
    expect(other.snapshot()).toEqual({ ...zeros, accepted: 1, refused: { 300: 1 } });
    expect(new Float64Array(memory)[0]).toBe(0);
  });

  it("are part of a shard's counters without changing its other counters", () => {
    const counters = new Counters();
    const others = counters.snapshot();
    counters.upgrades.add("accepted");
    counters.upgrades.addRefused(599);
    expect(counters.snapshot()).toEqual(others);
    expect(new Counters(undefined, counters.memory).upgrades.snapshot()).toEqual({
      ...zeros,
      accepted: 1,
      refused: { 599: 1 },
    });
  });

  it("are summed over threads", () => {
    const one = { accepted: 1, refused: { 400: 1, 503: 2 }, abandoned: 3, timedOut: 4, failed: 5, passedOn: 6 };
    const other = { accepted: 10, refused: { 503: 20, 404: 5 }, abandoned: 30, timedOut: 40, failed: 50, passedOn: 60 };
    const sum = {
      accepted: 11,
      refused: { 400: 1, 404: 5, 503: 22 },
      abandoned: 33,
      timedOut: 44,
      failed: 55,
      passedOn: 66,
    };
    expect(sumUpgrades([one, other])).toEqual(sum);
    expect(sumUpgrades([])).toEqual(zeros);
  });
});
