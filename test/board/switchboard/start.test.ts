import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { expect, it, onTestFinished, vi } from "vitest";
import { startBoard } from "../../support/board.ts";
import { RawClient } from "../../support/raw-client.ts";

const index = new URL("../../../src/index.ts", import.meta.url).href;

async function createFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "switchboard-start-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  return folder;
}

async function createModule(source: string): Promise<URL> {
  const path = join(await createFolder(), "actor.mjs");
  await writeFile(path, source);
  return pathToFileURL(path);
}

interface Outcome {
  readonly error?: { readonly code: string; readonly cause?: string };
  readonly alive: number;
}

/**
 * Starts a board of an actor module that is never ready, in a process of its own. The process ends when nothing is left
 * running.
 */
async function startNeverReady(options: string): Promise<Outcome> {
  const actor = await createModule("await new Promise(() => {});");
  const script = `
    import { Switchboard } from ${JSON.stringify(index)};
    const outcome = { alive: 0 };
    const aborting = new AbortController();
    process.on("worker", (worker) => {
      outcome.alive++;
      worker.on("exit", () => outcome.alive--);
      worker.on("online", () => aborting.abort("changed my mind"));
    });
    process.on("exit", () => console.log(JSON.stringify(outcome)));
    await Switchboard.start({ actor: ${JSON.stringify(actor)}, shards: 2, ${options} }).catch(({ code, cause }) => {
      outcome.error = { code, cause };
    });
  `;
  const args = ["--no-warnings", "--input-type=module", "--eval", script];
  const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 100_000 });
  return JSON.parse(stdout);
}

it("rejects when the actor module isn't ready in time, and leaves nothing running", async () => {
  expect(await startNeverReady("startTimeoutMs: 300")).toEqual({ alive: 0, error: { code: "ERR_START_TIMEOUT" } });
});

it("leaves no engine running, either, after a start that failed", async () => {
  const options = "startTimeoutMs: 300, topics: { a: { history: { size: 1 } } }";
  expect(await startNeverReady(options)).toEqual({ alive: 0, error: { code: "ERR_START_TIMEOUT" } });
});

it("rejects when the signal is aborted during the start, and leaves nothing running", async () => {
  const error = { code: "ERR_ABORTED", cause: "changed my mind" };
  expect(await startNeverReady("startTimeoutMs: 0, signal: aborting.signal")).toEqual({ alive: 0, error });
});

it("rejects when the signal was aborted before, and starts nothing", async () => {
  const error = { code: "ERR_ABORTED", cause: "no" };
  expect(await startNeverReady('signal: AbortSignal.abort("no")')).toEqual({ alive: 0, error });
});

it("ignores a signal that is aborted after the start", async () => {
  const aborting = new AbortController();
  const { port } = await startBoard({ signal: aborting.signal });
  aborting.abort();
  await RawClient.open({ port });
});

/** A module that is ready the first time, and never again. Its actor ends its shard. */
function readyOnce(flag: string): string {
  return `
    import { existsSync, writeFileSync } from "node:fs";
    import { Actor } from ${JSON.stringify(index)};
    const flag = ${JSON.stringify(flag)};
    if (existsSync(flag)) await new Promise(() => {});
    writeFileSync(flag, "");
    export default class Ending extends Actor {
      received() { process.exit(7); }
    }
  `;
}

it("counts a replacement that never gets ready as a death of its shard", async () => {
  const actor = await createModule(readyOnce(join(await createFolder(), "flag")));
  const { board, port } = await startBoard({ actor, startTimeoutMs: 60_000 });
  const client = await RawClient.open({ port });
  // The clock of the main thread goes on by hand, because a real start on a busy machine takes seconds.
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  onTestFinished(() => void vi.useRealTimers());
  const nextLoss = () => new Promise((resolve) => board.once("shardLost", resolve));
  const exited = nextLoss();
  client.socket.write(Buffer.from("818000000000", "hex"));
  expect(await exited).toMatchObject({ reason: "exited" });
  const late = nextLoss();
  vi.advanceTimersByTime(100);
  expect(board.stats().shards).toMatchObject([{ state: "restarting" }]);
  vi.advanceTimersByTime(60_000);
  expect(await late).toMatchObject({ reason: "notReady", connections: 0, error: { code: "ERR_START_TIMEOUT" } });
  expect(board.stats().shards).toMatchObject([{ state: "restarting" }]);
});

it("closes while a replacement is not ready", async () => {
  const actor = await createModule(readyOnce(join(await createFolder(), "flag")));
  const { board, port } = await startBoard({ actor, startTimeoutMs: 0 });
  const lost = new Promise((resolve) => board.once("shardLost", resolve));
  const started = new Promise((resolve) => process.once("worker", resolve));
  const client = await RawClient.open({ port });
  client.socket.write(Buffer.from("818000000000", "hex"));
  await Promise.all([lost, started]);
  expect(await board.close()).toMatchObject({ closed: 0, dropped: 0 });
});
