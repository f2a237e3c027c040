import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Piscina } from "piscina";
import { expect, it } from "vitest";
import { exitCodeOf } from "../../../../src/board/switchboard/pool/shard-loss.ts";

it("reads the exit code of a thread from the error that piscina rejects with", async () => {
  const folder = mkdtempSync(join(tmpdir(), "switchboard-exit-"));
  const filename = join(folder, "exit.cjs");
  writeFileSync(filename, "module.exports = (code) => process.exit(code);");
  const pool = new Piscina<number, void>({ filename, maxThreads: 1 });
  try {
    const error = await pool.run(7).catch((thrown: unknown) => thrown);
    expect(exitCodeOf(error as Error)).toBe(7);
  } finally {
    await pool.destroy();
    rmSync(folder, { recursive: true });
  }
});

it("reads no exit code from any other error", () => {
  expect(exitCodeOf(new Error("the worker exited with code: 7, it says"))).toBeUndefined();
});
