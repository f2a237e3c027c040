import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { expect, it, onTestFinished, vi } from "vitest";
import type { Switchboard } from "../../../../src/index.ts";
import { startBoard } from "../../../support/board.ts";
import { text } from "../../../support/frames.ts";
import { RawClient } from "../../../support/raw-client.ts";
import { holdRestarts } from "../../../support/restarts.ts";

const index = new URL("../../../../src/index.ts", import.meta.url).href;

/** A module with this source, which exists only during the test. */
async function createModule(source: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "switchboard-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const path = join(folder, "actor.mjs");
  await writeFile(path, source);
  return pathToFileURL(path).href;
}

interface Outcome {
  readonly error: { readonly name: string; readonly message: string; readonly code?: string };
  readonly started: number;
  readonly alive: number;
  readonly warnings: string[];
}

/** Starts a board in a process of its own. Waits for the process to end, which it does when nothing is left running. */
async function startInChild(actor: string): Promise<Outcome> {
  const script = `
    import { Switchboard } from ${JSON.stringify(index)};
    const outcome = { started: 0, alive: 0, warnings: [] };
    process.on("worker", (worker) => {
      outcome.started++;
      outcome.alive++;
      worker.on("exit", () => outcome.alive--);
    });
    process.on("warning", ({ message }) => outcome.warnings.push(message));
    process.on("exit", () => console.log(JSON.stringify(outcome)));
    await Switchboard.start({ actor: ${JSON.stringify(actor)}, shards: 2 }).catch((error) => {
      const { name, message, code } = error;
      outcome.error = { name, message, code };
    });
  `;
  const args = ["--no-warnings", "--input-type=module", "--eval", script];
  const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 100_000 });
  return JSON.parse(stdout);
}

const noActor = { name: "SwitchboardError", code: "ERR_NO_ACTOR_CLASS" };
it.each([
  {
    name: "throws on import",
    source: 'throw new RangeError("boom on import");',
    error: {
      name: "RangeError",
      message: expect.stringMatching(/^boom on import \(in the actor module file:.*actor\.mjs\)$/),
    },
  },
  {
    name: "has a syntax error",
    source: "export default class {",
    error: { name: "SyntaxError" },
  },
  {
    name: "imports a module that is missing",
    source: 'import "./missing.mjs";',
    error: { code: "ERR_MODULE_NOT_FOUND", message: expect.stringContaining("missing.mjs") },
  },
  {
    name: "has no default export",
    source: "export const actor = 1;",
    error: {
      ...noActor,
      message: expect.stringMatching(/actor\.mjs must have a class that extends Actor .* has none/),
    },
  },
  {
    name: "exports a class that doesn't extend Actor",
    source: "export default class Chat {}",
    error: { ...noActor, message: expect.stringMatching(/has a function or class that doesn't$/) },
  },
  {
    name: "exports an object",
    source: "export default { opened() {} };",
    error: { ...noActor, message: expect.stringMatching(/has a object|has an object/) },
  },
])("rejects with the reason when the actor module $name, and leaves nothing running", async ({ source, error }) => {
  const outcome = await startInChild(await createModule(source));
  expect(outcome.error).toMatchObject(error);
  expect(outcome).toMatchObject({ started: 2, alive: 0, warnings: [] });
});

it("rejects when there is no actor module, and leaves nothing running", async () => {
  const missing = new URL("./no-such-actor.ts", import.meta.url).href;
  const outcome = await startInChild(missing);
  expect(outcome.error).toMatchObject({
    code: "ERR_MODULE_NOT_FOUND",
    message: expect.stringContaining("no-such-actor"),
  });
  expect(outcome).toMatchObject({ started: 2, alive: 0, warnings: [] });
});

async function tell(client: RawClient, command: object): Promise<string> {
  client.write(text(JSON.stringify(command)));
  return client.text();
}

async function openOn(port: number, shard: number): Promise<RawClient> {
  for (;;) {
    const client = await RawClient.open({ port });
    if (JSON.parse(await tell(client, { do: "who" })).shard === shard) return client;
  }
}

/** Starts a board of two shards of which shard 1, with one connection, has died and been replaced. */
async function replaceShard(): Promise<{ board: Switchboard; port: number; survivor: RawClient; lost: unknown }> {
  const { board, port } = await startBoard({ actor: "scripted", shards: 2 });
  const survivor = await openOn(port, 0);
  await tell(survivor, { do: "subscribe", topic: "news" });
  const victim = await openOn(port, 1);
  const lost = new Promise((resolve) => board.once("shardLost", resolve));
  const replaced = new Promise((resolve) => board.once("shardReplaced", resolve));
  victim.write(text('{"do":"exit","code":7}'));
  await victim.closed();
  const loss = await lost;
  expect(await replaced).toEqual({ shard: 1 });
  return { board, port, survivor, lost: loss };
}

it("reports a shard that died, then its replacement, and the other shard's connections go on", async () => {
  const { board, survivor, lost } = await replaceShard();
  expect(lost).toEqual({ shard: 1, reason: "exited", connections: 1, error: expect.any(Error) });
  expect(board.stats().shards.map(({ ready, connections }) => ({ ready, connections }))).toEqual([
    { ready: true, connections: 1 },
    { ready: true, connections: 0 },
  ]);
  expect(await tell(survivor, { do: "wait", ms: 0 })).toBe("waited 0");
});

it("carries publishes to and from a replaced shard", async () => {
  const { board, port, survivor } = await replaceShard();
  const newcomer = await openOn(port, 1);
  newcomer.write(text('{"do":"publish","topic":"news","data":"from the new shard"}'));
  expect(await survivor.text()).toBe("from the new shard");

  expect(await tell(newcomer, { do: "subscribe", topic: "sport" })).toBe("subscribed sport");
  survivor.write(text('{"do":"publish","topic":"sport","data":"to the new shard"}'));
  expect(await newcomer.text()).toBe("to the new shard");

  board.publish("sport", "from the board");
  expect(await newcomer.text()).toBe("from the board");
});

it("replaces a shard that dies again and again, and accepts connections after each time", async () => {
  const { board, port } = await startBoard({ actor: "scripted" });
  const events: string[] = [];
  board.on("shardLost", ({ shard }) => events.push(`lost ${shard}`));
  board.on("shardReplaced", ({ shard }) => events.push(`replaced ${shard}`));
  for (let death = 1; death <= 3; death++) {
    (await openOn(port, 0)).write(text('{"do":"exit"}'));
    await vi.waitFor(() => expect(events).toHaveLength(2 * death), { timeout: 10_000 });
  }
  expect(events).toEqual(["lost 0", "replaced 0", "lost 0", "replaced 0", "lost 0", "replaced 0"]);
  await openOn(port, 0);
});

it("answers 503 while no shard takes connections", async () => {
  const { board, port } = await startBoard({ actor: "scripted" });
  const lost = new Promise((resolve) => board.once("shardLost", resolve));
  const client = await openOn(port, 0);
  holdRestarts();
  client.write(text('{"do":"exit"}'));
  await lost;
  expect(board.stats().shards[0]).toMatchObject({ ready: false, connections: 0 });
  await expect(RawClient.open({ port })).rejects.toThrow("expected 101, got 503");
});
