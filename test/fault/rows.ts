/**
 * Faults whose tests write a row of a table each, for `npm run faults`: runs the tests in their long form, and prints
 * the table.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** True for the long form. */
export const isLong = process.env["SWITCHBOARD_FAULTS"] !== undefined;

/** Writes a row, in the long form. */
export function writeRow(row: object): void {
  const folder = process.env["SWITCHBOARD_FAULTS"];
  if (folder === undefined) return;
  const file = `${String(Date.now()).padStart(15, "0")}-${process.pid}.json`;
  writeFileSync(join(folder, file), JSON.stringify(row));
}

/**
 * Runs the tests whose paths begin so, and prints a table with a column for each key of `head`. Resolves with the exit
 * code of the tests.
 */
export async function reportRows(tests: string, head: Readonly<Record<string, string>>): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), "switchboard-faults-"));
  try {
    // One file after the other: each has the machine for itself.
    const args = ["vitest", "run", tests, "--no-file-parallelism", "--testTimeout", "600000"];
    const env = { ...process.env, SWITCHBOARD_FAULTS: folder };
    const child = spawn("npx", args, { env, stdio: ["ignore", process.stderr, "inherit"] });
    const [code] = (await once(child, "exit")) as [number | null];
    const rows = readdirSync(folder)
      .toSorted()
      .map((file) => JSON.parse(readFileSync(join(folder, file), "utf8")) as Readonly<Record<string, unknown>>);
    const keys = Object.keys(head);
    const lines = [
      Object.values(head),
      keys.map(() => "---"),
      ...rows.map((row) => keys.map((key) => String(row[key]))),
    ];
    for (const line of lines) console.log(`| ${line.join(" | ")} |`);
    return code ?? 1;
  } finally {
    rmSync(folder, { recursive: true });
  }
}
