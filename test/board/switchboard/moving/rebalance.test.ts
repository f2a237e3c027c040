import { expect, it } from "vitest";
import { planRebalance } from "../../../../src/board/switchboard/moving/rebalance.ts";

it.each([
  { loads: [100], plan: undefined },
  { loads: [100, 100], plan: undefined },
  { loads: [15, 0], plan: undefined },
  { loads: [16, 0], plan: { from: 0, to: 1, count: 8 } },
  { loads: [1_000, 910], plan: undefined },
  { loads: [500, 1_000, 900, 880], plan: { from: 1, to: 0, count: 250 } },
])("plans $plan for $loads", ({ loads, plan }) => {
  expect(planRebalance(loads)).toEqual(plan);
});

it("comes to an end, whatever the loads", () => {
  for (let seed = 1; seed < 200; seed++) {
    const loads = Array.from({ length: 2 + (seed % 7) }, (_, i) => (seed * 7_919 * (i + 3)) % 1_000);
    let passes = 0;
    for (let plan = planRebalance(loads); plan !== undefined && passes < 200; plan = planRebalance(loads)) {
      loads[plan.from] = (loads[plan.from] ?? 0) - plan.count;
      loads[plan.to] = (loads[plan.to] ?? 0) + plan.count;
      passes++;
    }
    expect(passes).toBeLessThan(50);
    expect(Math.max(...loads) - Math.min(...loads)).toBeLessThan(Math.max(16, Math.max(...loads) / 10));
  }
});
