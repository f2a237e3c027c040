import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import type { Worker } from "node:worker_threads";
import { expect, it, onTestFinished } from "vitest";
import { startBoard } from "../../../support/board.ts";
import { text } from "../../../support/frames.ts";
import { RawClient } from "../../../support/raw-client.ts";

const index = new URL("../../../../src/index.ts", import.meta.url).href;

/** A call that blocks its thread for some seconds. The thread ends no earlier, also when it is terminated. */
const UNINTERRUPTIBLE = 'pbkdf2Sync("password", "salt", 4_000_000, 64, "sha512");';

/** Writes an actor module, which is removed when the test ends. `flag` is the path of a file that doesn't exist. */
async function createModule(source: (flag: string) => string): Promise<{ actor: URL; flag: string }> {
  const folder = await mkdtemp(join(tmpdir(), "switchboard-threads-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const flag = join(folder, "flag");
  const path = join(folder, "actor.mjs");
  await writeFile(path, source(JSON.stringify(flag)));
  return { actor: pathToFileURL(path), flag };
}

it("leaves no thread running after a failed start, even if one thread ends late", async () => {
  const { actor, flag } = await createModule(
    (flag) => `
      import { pbkdf2Sync } from "node:crypto";
      import { writeFileSync } from "node:fs";
      import { threadId } from "node:worker_threads";
      if (threadId === 1) {
        writeFileSync(${flag}, "");
        ${UNINTERRUPTIBLE}
      }
      await new Promise(() => {});
    `,
  );
  // This process's main thread blocks until the first shard's thread is blocked. The start then exceeds its deadline.
  const script = `
    import { existsSync } from "node:fs";
    import { Switchboard } from ${JSON.stringify(index)};
    const outcome = { started: 0, alive: 0 };
    process.on("worker", (worker) => {
      outcome.started++;
      outcome.alive++;
      worker.on("exit", () => outcome.alive--);
      if (outcome.started !== 2) return;
      while (!existsSync(${JSON.stringify(flag)})) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);
    });
    process.on("exit", () => console.log(JSON.stringify(outcome)));
    const options = { actor: ${JSON.stringify(actor)}, shards: 2, startTimeoutMs: 1 };
    await Switchboard.start(options).catch(({ code }) => {
      outcome.code = code;
      outcome.aliveAtRejection = outcome.alive;
    });
  `;
  const args = ["--no-warnings", "--input-type=module", "--eval", script];
  const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 100_000 });
  expect(JSON.parse(stdout)).toMatchObject({ code: "ERR_START_TIMEOUT", aliveAtRejection: 0, alive: 0 });
});

it("resolves close only when a thread that was terminated before has ended", async () => {
  let alive = 0;
  const count = (worker: Worker): void => {
    alive++;
    worker.once("exit", () => alive--);
  };
  process.on("worker", count);
  onTestFinished(() => void process.off("worker", count));
  const { actor } = await createModule(
    () => `
      import { pbkdf2Sync } from "node:crypto";
      import { Actor } from ${JSON.stringify(index)};
      export default class Blocking extends Actor {
        received() { ${UNINTERRUPTIBLE} }
      }
    `,
  );
  const { board, port } = await startBoard({ actor, shards: 2, shardTimeoutMs: 1_000 });
  expect(alive).toBe(2);
  const lost = new Promise((resolve) => board.once("shardLost", resolve));
  const client = await RawClient.open({ port });
  client.write(text("block"));
  expect(await lost).toMatchObject({ reason: "unresponsive" });
  await board.close({ timeoutMs: 0 });
  expect(alive).toBe(0);
});
