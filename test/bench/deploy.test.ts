/** The scenario `deploy` and the figures of the deploy demo. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { waitsOf } from "../../bench/deploy/curve.ts";
import { buckets, longestQuietMs, type Message, replacements } from "../../bench/deploy/seen.ts";
import { whyNoPassing } from "../../src/wire/native/pass-descriptors.ts";
import { newFolder } from "../cli/run/supervise.ts";
import { projectFolder, run } from "../e2e/support/process.ts";

const messages: readonly Message[] = [
  [0, 1_000, 1],
  [1, 1_010, 1],
  [0, 1_030, 1],
  [1, 1_075, 2],
  [0, 1_150, 2],
  [1, 1_200, 2],
];

describe("what the page saw", () => {
  it("is counted in steps of 50 ms, without the last one, which isn't full", () => {
    expect(buckets({ messages, wrong: 0, closed: 0 })).toEqual([3, 1, 0, 1]);
  });

  it("has one pause for each connection at a replacement", () => {
    const seen = { messages, wrong: 0, closed: 0 };
    expect(replacements(seen)).toEqual([{ version: 2, at: 1_075, pausesMs: [65, 120] }]);
    expect(longestQuietMs(seen)).toBe(125);
  });
});

it("draws how long clients have waited at each moment", () => {
  const answers = [0, 1, 2].map((client) => [client, 1_000 + 10 * client] as const);
  const seen = { answers, longestMs: [], disconnects: 0, lost: 0, wrong: 0 };
  expect(waitsOf(seen, 1_000, 20, 60)).toEqual([
    { at: 20, median: 10, p99: 20 },
    { at: 40, median: 30, p99: 40 },
    { at: 60, median: 50, p99: 60 },
  ]);
});

it.skipIf(whyNoPassing() !== undefined)(
  "replaces a board under load without a disconnect or a lost message",
  async () => {
    const svg = join(newFolder(), "deploy.svg");
    const args = ["bench/deploy.ts", "--only", "switchboard", "--clients", "20", "--seconds", "0", "--svg", svg];
    const { stdout } = await run(process.execPath, args, { cwd: projectFolder });
    expect(stdout).toMatch(/^\| Switchboard, taken over \| 0 \| 0 \| /m);
    expect(readFileSync(svg, "utf8")).toContain("20 clients while their server is replaced");
  },
);
