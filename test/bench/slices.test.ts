import { expect, it, onTestFinished } from "vitest";
import { SlicedLoad } from "../../bench/load-process.ts";
import { orderOfTurn } from "../../bench/plan.ts";
import { cpuSecondsBetween } from "../../bench/server-process.ts";

it("gives each server every place of a turn, and follows each turn with the same in reverse", () => {
  const servers = ["a", "b", "c"];
  const turns = [2, 3, 4, 5, 6, 7].map((turn) => orderOfTurn(servers, turn).join(""));
  expect(turns).toEqual(["bca", "acb", "cab", "bac", "abc", "cba"]);
  expect(orderOfTurn([], 1)).toEqual([]);
});

it("counts the CPU of threads that began since, and not that of threads that have ended", () => {
  const before = new Map([
    ["1", 2e9],
    ["2", 9e9],
  ]);
  const after = new Map([
    ["1", 3e9],
    ["3", 0.5e9],
  ]);
  expect(cpuSecondsBetween(before, after)).toBe(1.5);
});

it("fails a slice of a load that ends, with its reason or the end of its stderr", async () => {
  const result = {
    event: "result",
    messages: { wrong: 0, lost: 0 },
    connections: { opened: 0, failed: 3, closed: 0 },
    load: { bottleneck: false },
    errors: ["nobody listens"],
  };
  const refused = loadOf(`console.log(${JSON.stringify(JSON.stringify(result))})`);
  await expect(refused.slice(1)).rejects.toThrow("3 connections failed or ended: nobody listens");
  const broken = loadOf("console.error('out of order'); process.exitCode = 1");
  await expect(broken.slice(1)).rejects.toThrow("the load ended: out of order");
});

function loadOf(program: string): SlicedLoad {
  const load = new SlicedLoad([process.execPath, "-e", program], undefined);
  onTestFinished(() => load.stop());
  return load;
}
