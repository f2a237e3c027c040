import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect, it, onTestFinished, vi } from "vitest";
import type { ActorFailure } from "../../../src/index.ts";
import { startBoard } from "../../support/board.ts";
import { close, text } from "../../support/frames.ts";
import { RawClient } from "../../support/raw-client.ts";

const index = new URL("../../../src/index.ts", import.meta.url).href;

/** An actor that fails in the handler that its path names, with an error of its own, and otherwise echoes. */
const failing = `
import { Actor } from ${JSON.stringify(index)};
class Lost extends RangeError {
  name = "Lost";
  code = "E_LOST";
}
export default class Failing extends Actor {
  constructor() {
    super();
    this.failIn("constructor");
  }
  opened() {
    this.failIn("opened");
    return this.rejectIn("opened");
  }
  received(message) {
    this.failIn("received");
    this.send(message);
    return this.rejectIn("received");
  }
  closed() {
    this.failIn("closed");
    return this.rejectIn("closed");
  }
  failIn(handler) {
    if (this.params.where === handler) throw new Lost("lost in " + handler);
  }
  async rejectIn(handler) {
    if (this.params.where === "later-" + handler) throw new Lost("lost in " + handler);
  }
}
`;

async function failingActor(): Promise<URL> {
  const folder = await mkdtemp(join(tmpdir(), "switchboard-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const path = join(folder, "failing.mjs");
  await writeFile(path, failing);
  return pathToFileURL(path);
}

it.each([
  { where: "constructor", handler: "constructor" },
  { where: "opened", handler: "opened" },
  { where: "later-opened", handler: "opened" },
  { where: "received", handler: "received" },
  { where: "later-received", handler: "received" },
])(
  "closes with 1011 and emits actorFailed when an actor fails in $where, and doesn't affect others",
  async ({ where, handler }) => {
    const { board, port } = await startBoard({ actor: await failingActor(), attach: { path: "/:where" } });
    const failures: ActorFailure[] = [];
    board.on("actorFailed", (failure) => failures.push(failure));
    const other = await RawClient.open({ port, path: "/nowhere" });
    const client = await RawClient.open({ port, path: `/${where}`, head: text("a") });

    let frame = await client.frame();
    if (frame.opcode === 0x1) frame = await client.frame();
    expect(frame).toMatchObject({ opcode: 0x8, payload: Buffer.from("\x03\xf3internal error", "latin1") });
    client.write(close(1011));
    await client.closed();
    await vi.waitFor(() => expect(failures).toHaveLength(1));
    expect(failures[0]).toMatchObject({ shard: 0, id: "0-1", handler });
    expect(failures[0]?.error).toMatchObject({ name: "Lost", message: `lost in ${handler}`, code: "E_LOST" });
    expect(failures[0]?.error.stack).toContain("failing.mjs");

    other.write(text("fine"));
    expect(await other.text()).toBe("fine");
    await vi.waitFor(() => expect(board.stats().shards[0]).toMatchObject({ connections: 1, actorFailures: 1 }));
  },
);

it.each(["closed", "later-closed"])(
  "emits actorFailed when an actor fails in %s, and the peer gets its own code back",
  async (where) => {
    const { board, port } = await startBoard({ actor: await failingActor(), attach: { path: "/:where" } });
    const failed = new Promise<ActorFailure>((resolve) => board.once("actorFailed", resolve));
    const other = await RawClient.open({ port, path: "/nowhere" });
    const client = await RawClient.open({ port, path: `/${where}` });
    client.write(close(4000, "bye"));
    expect(await client.closeFrame()).toEqual({ code: 4000, reason: "bye" });
    client.socket.end();
    expect(await client.rest()).toBe("");
    const { id, handler, error } = await failed;
    expect({ id, handler, message: error.message }).toEqual({
      id: "0-1",
      handler: "closed",
      message: "lost in closed",
    });
    other.write(text("fine"));
    expect(await other.text()).toBe("fine");
  },
);

it("emits the failure of a scripted actor with the id of that actor", async () => {
  const { board, port } = await startBoard({ actor: "scripted", shards: 2 });
  const failed = new Promise<ActorFailure>((resolve) => board.once("actorFailed", resolve));
  const client = await RawClient.open({ port });
  client.write(text('{"do":"who"}'));
  const { id, shard } = JSON.parse(await client.text());
  client.write(text('{"do":"throw","reason":"on demand"}'));
  expect(await client.closeFrame()).toEqual({ code: 1011, reason: "internal error" });
  expect(await failed).toMatchObject({ id, shard, handler: "received", error: { message: "on demand" } });
});

/** Warnings of the process, as they come. */
function collectWarnings(): (Error & { code?: string; detail?: string })[] {
  const warnings: Error[] = [];
  const collect = (warning: Error): void => {
    if (warning.name === "SwitchboardWarning") warnings.push(warning);
  };
  process.on("warning", collect);
  onTestFinished(() => void process.off("warning", collect));
  return warnings;
}

async function failOnce(port: number): Promise<void> {
  const client = await RawClient.open({ port });
  client.write(text('{"do":"throw","reason":"unheard"}'));
  expect(await client.closeFrame()).toMatchObject({ code: 1011 });
}

it("warns once of failures that have no listener", async () => {
  const warnings = collectWarnings();
  const { board, port } = await startBoard({ actor: "scripted" });
  for (let i = 0; i < 3; i++) await failOnce(port);
  await vi.waitFor(() => expect(warnings).toHaveLength(1));
  expect(warnings[0]).toMatchObject({
    code: "actorFailed",
    message: expect.stringContaining("unheard"),
    detail: `Listen to the board's "actorFailed" event to see all of them.`,
  });
  // The warnings about the earlier failures have come when this later failure is heard.
  const heard = new Promise((resolve) => board.once("actorFailed", resolve));
  await failOnce(port);
  await heard;
  expect(warnings).toHaveLength(1);
});

it("doesn't warn of failures that have a listener", async () => {
  const warnings = collectWarnings();
  const { board, port } = await startBoard({ actor: "scripted" });
  const heard = vi.fn();
  board.on("actorFailed", heard);
  for (let i = 0; i < 2; i++) await failOnce(port);
  await vi.waitFor(() => expect(heard).toHaveBeenCalledTimes(2));
  expect(warnings).toEqual([]);
});

it("warns of a lost shard when the event has no listener", async () => {
  const warnings = collectWarnings();
  const { board, port } = await startBoard({ actor: "scripted" });
  const replaced = new Promise((resolve) => board.once("shardReplaced", resolve));
  (await RawClient.open({ port })).write(text('{"do":"exit","code":3}'));
  await replaced;
  expect(warnings).toHaveLength(1);
  expect(warnings[0]).toMatchObject({ code: "shardLost" });
});

it("warns of a failed handshake when the event has no listener", async () => {
  const warnings = collectWarnings();
  const authorize = (): never => {
    throw new Error("no database");
  };
  const { port } = await startBoard({ attach: { authorize } });
  await expect(RawClient.open({ port })).rejects.toThrow("expected 101, got 500");
  await vi.waitFor(() => expect(warnings).toHaveLength(1));
  expect(warnings[0]).toMatchObject({ code: "handshakeFailed", message: expect.stringContaining("no database") });
});
