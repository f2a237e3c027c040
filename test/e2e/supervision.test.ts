import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import type { ActorFailure, ShardLoss } from "../../src/index.ts";
import { startBoard } from "../support/board.ts";
import { close, text } from "../support/frames.ts";
import { RawClient } from "../support/raw-client.ts";

const index = new URL("../../src/index.ts", import.meta.url).href;

/**
 * Writes an actor that counts its messages, greets when it opens or restarts, and fails on command: at once, or by a
 * promise that nobody awaits.
 */
async function actorWith(supervision: object): Promise<URL> {
  const folder = await mkdtemp(join(tmpdir(), "switchboard-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const path = join(folder, "supervised.mjs");
  const source = `
import { Actor } from ${JSON.stringify(index)};
const reject = (message) => Promise.reject(new Error(message));
new BroadcastChannel("nobody's").onmessage = ({ data }) => void reject(data);
export default class Supervised extends Actor {
  static supervision = ${JSON.stringify(supervision)};
  count = 0;
  async opened() {
    await this.subscribe("news");
    this.send("opened");
  }
  restarted(error) { this.send("restarted: " + error.message); }
  received(message) {
    this.count++;
    if (message.text === "throw") throw new Error("told to");
    if (message.text === "detach") void reject("left alone");
    if (message.text === "detach two") for (const which of ["one", "two"]) void reject(which);
    if (message.text === "detach later") void this.later();
    if (message.text === "ask nobody") void this.ask("0-nobody", "anybody there?");
    if (message.text === "id") return void this.send(this.id);
    if (message.text === "timer") this.after(1, () => { throw new Error("too late"); });
    this.send(message.text + " " + this.count);
  }
  async later() {
    await new Promise((resolve) => setTimeout(resolve, 1));
    await null;
    throw new Error("left alone for a while");
  }
  closed() { void reject("left alone at the end"); }
}
`;
  await writeFile(path, source);
  return pathToFileURL(path);
}

async function setUp(supervision: object, shards = 1) {
  const { board, port } = await startBoard({ actor: await actorWith(supervision), shards });
  const failures: ActorFailure[] = [];
  board.on("actorFailed", (failure) => failures.push(failure));
  const client = await RawClient.open({ port });
  expect(await client.text()).toBe("opened");
  const say = async (what: string): Promise<string> => {
    client.write(text(what));
    return client.text();
  };
  return { board, port, client, say, failures };
}

it("keeps the connection and the state with resume, until it fails too often", async () => {
  const { board, client, say, failures } = await setUp({ strategy: "resume", maxFailures: 2 });
  client.write(text("throw"));
  expect(await say("a")).toBe("a 2");
  client.write(text("throw"));
  expect(await say("b")).toBe("b 4");
  client.write(text("throw"));
  expect(await client.closeFrame()).toEqual({ code: 1011, reason: "internal error" });
  await vi.waitFor(() => expect(failures.map(({ outcome }) => outcome)).toEqual(["resumed", "resumed", "stopped"]));
  expect(board.stats().shards[0]?.actorFailures).toBe(3);
});

it("keeps the connection and its subscriptions with restart, and resets the state", async () => {
  const { board, say, client, failures } = await setUp({ strategy: "restart" });
  expect(await say("a")).toBe("a 1");
  expect(await say("throw")).toBe("restarted: told to");
  expect(await say("b")).toBe("b 1");
  board.publish("news", "still subscribed");
  expect(await client.text()).toBe("still subscribed");
  expect(failures).toMatchObject([{ handler: "received", outcome: "restarted" }]);
});

it("also covers failures in timers", async () => {
  const { say, client } = await setUp({ strategy: "restart" });
  expect(await say("timer")).toBe("timer 1");
  expect(await client.text()).toBe("restarted: too late");
});

it("ends the shard, and only that, with escalate", async () => {
  const { board, port, client, failures } = await setUp({ strategy: "escalate" }, 2);
  const lost = new Promise<ShardLoss>((resolve) => board.once("shardLost", resolve));
  const other = await RawClient.open({ port });
  expect(await other.text()).toBe("opened");
  client.write(text("throw"));
  await client.closed();
  expect(await lost).toMatchObject({ shard: 0, error: { message: "told to" } });
  expect(failures).toMatchObject([{ shard: 0, handler: "received", outcome: "escalated" }]);
  other.write(text("fine"));
  expect(await other.text()).toBe("fine 1");
});

describe("a rejected promise that a handler didn't await", () => {
  it.each(["detach", "detach later", "ask nobody"])("closes only its own connection: %s", async (what) => {
    const { board, port, client, say, failures } = await setUp({ strategy: "stop" });
    const other = await RawClient.open({ port });
    expect(await other.text()).toBe("opened");
    const id = await say("id");
    other.write(text("a"));
    expect(await say(what)).toBe(`${what} 2`);
    expect(await client.closeFrame()).toEqual({ code: 1011, reason: "internal error" });
    client.write(close(1011));
    await client.closed();
    // The `closed` handler doesn't await one either.
    await vi.waitFor(() => expect(failures).toHaveLength(2));
    const failure = { shard: 0, id, handler: "detached", outcome: "stopped" };
    expect(failures).toMatchObject([failure, { ...failure, error: { message: "left alone at the end" } }]);
    expect(board.stats().shards[0]?.actorFailures).toBe(2);
    other.write(text("b"));
    expect([await other.text(), await other.text()]).toEqual(["a 1", "b 2"]);
  });

  it("counts as a failure with resume", async () => {
    const { say, client, failures } = await setUp({ strategy: "resume", maxFailures: 1 });
    expect(await say("detach")).toBe("detach 1");
    expect(await say("a")).toBe("a 2");
    expect(await say("detach")).toBe("detach 3");
    expect(await client.closeFrame()).toEqual({ code: 1011, reason: "internal error" });
    await vi.waitFor(() => expect(failures.map(({ outcome }) => outcome)).toEqual(["resumed", "stopped"]));
  });

  it("restarts its actor once, even if there were several", async () => {
    const { say, client, failures } = await setUp({ strategy: "restart" });
    expect(await say("detach two")).toBe("detach two 1");
    expect(await client.text()).toBe("restarted: one");
    expect(await say("a")).toBe("a 1");
    await vi.waitFor(() => expect(failures).toHaveLength(2));
    const failure = { handler: "detached", outcome: "restarted" };
    expect(failures).toMatchObject([failure, { ...failure, error: { message: "two" } }]);
  });

  it("ends the shard with escalate", async () => {
    const { board, client, failures } = await setUp({ strategy: "escalate" });
    const lost = new Promise<ShardLoss>((resolve) => board.once("shardLost", resolve));
    client.write(text("detach later"));
    await client.closed();
    expect(await lost).toMatchObject({ shard: 0, error: { message: "left alone for a while" } });
    expect(failures[0]).toMatchObject({ shard: 0, handler: "detached", outcome: "escalated" });
  });

  it("belongs to no actor, and ends nothing, when no handler started the work", async () => {
    const { board, say, failures } = await setUp({ strategy: "stop" });
    const channel = new BroadcastChannel("nobody's");
    onTestFinished(() => channel.close());
    channel.postMessage("of the module");
    await vi.waitFor(() =>
      expect(failures).toMatchObject([
        { shard: 0, id: undefined, handler: "detached", outcome: "resumed", error: { message: "of the module" } },
      ]),
    );
    expect(await say("a")).toBe("a 1");
    expect(board.stats().shards[0]?.actorFailures).toBe(1);
  });
});

it("rejects start when the supervision of the actor class is invalid", async () => {
  await expect(startBoard({ actor: await actorWith({ strategy: "panic" }) })).rejects.toMatchObject({
    code: "ERR_SUPERVISION",
  });
});
