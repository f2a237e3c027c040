import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { families } from "./attacks/all.ts";
import type { Attack } from "./attacks/attack.ts";
import { TargetProcess } from "./target-process.ts";
import { tryAttack } from "./trial.ts";

/**
 * Bounds for the echo. A machine that runs other tests delays every echo a little; a shard that an attack blocks delays
 * it for longer. `npm run faults` has stricter bounds.
 */
const ECHO = { times: 20, timesUnattacked: 5, floorMs: 2_000 };

let unattacked: TargetProcess;
beforeAll(async () => {
  unattacked = await TargetProcess.start();
});
afterAll(async () => {
  expect(await unattacked.close()).toEqual([]);
});

const named = ([family, attacks]: [string, readonly Attack[]]) => ({ family, attacks });

describe.each(Object.entries(families).map(named))("a server under attack by $family", ({ attacks }) => {
  let target: TargetProcess;
  beforeAll(async () => {
    target = await TargetProcess.start();
  });
  afterAll(async () => {
    expect(await target.close()).toEqual([]);
  });

  it.each(attacks.map((attack) => ({ attack, fault: attack.fault })))(
    "stands: $fault",
    async ({ attack }) => {
      const { broken } = await tryAttack(target, attack, { count: attack.short, quietMs: 200, echo: ECHO, unattacked });
      expect(broken).toEqual([]);
    },
    // It only ends an attack that would never end.
    300_000,
  );
});
