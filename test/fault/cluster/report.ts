/**
 * The long form of the cluster faults, for `npm run faults`: runs their tests, and prints the table of what was seen.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Row } from "./trial.ts";

const HEAD: Readonly<Record<keyof Row, string>> = {
  fault: "fault",
  publishers: "publishers",
  subscribers: "subscribers",
  health: "health",
  recovered: "recovered after",
};

/** Resolves with the exit code of the tests. */
export async function reportClusterFaults(): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), "switchboard-faults-"));
  try {
    // One file after the other: each has the machine for itself.
    const args = ["vitest", "run", "test/fault/cluster-", "--no-file-parallelism", "--testTimeout", "600000"];
    const env = { ...process.env, SWITCHBOARD_FAULTS: folder };
    const child = spawn("npx", args, { env, stdio: ["ignore", process.stderr, "inherit"] });
    const [code] = (await once(child, "exit")) as [number | null];
    const rows = readdirSync(folder)
      .toSorted()
      .map((file) => JSON.parse(readFileSync(join(folder, file), "utf8")) as Row);
    const keys = Object.keys(HEAD) as (keyof Row)[];
    const lines = [
      keys.map((key) => HEAD[key]),
      keys.map(() => "---"),
      ...rows.map((row) => keys.map((key) => row[key])),
    ];
    for (const line of lines) console.log(`| ${line.join(" | ")} |`);
    return code ?? 1;
  } finally {
    rmSync(folder, { recursive: true });
  }
}
