import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { createMetrics } from "../../../../src/board/metrics/index.ts";
import { redis } from "../../../../src/engines/redis/index.ts";
import type { Address, ConnectionInfo, NodeStatus, Switchboard } from "../../../../src/index.ts";
import { startBoard, type TestBoardOptions } from "../../../support/board.ts";
import { text } from "../../../support/frames.ts";
import { RawClient } from "../../../support/raw-client.ts";
import { RedisServer } from "../../../support/redis-server.ts";
import { ServerProcess } from "../../../support/server-process.ts";

let server: RedisServer;
beforeAll(async () => {
  server = await RedisServer.start({ outlivesTest: true });
});
afterAll(() => server.destroy());

let prefixes = 0;

/** A board and one connection to it, which `mailing` serves. */
interface Node {
  readonly board: Switchboard;
  readonly port: number;
  readonly id: string;
  readonly client: RawClient;
  readonly address: Address;
  do(command: object): Promise<unknown>;
  next(): Promise<unknown>;
}

async function startNode(prefix: string, options: TestBoardOptions = {}): Promise<Node> {
  const engine = redis({ url: server.url, prefix, nodeTtlMs: 60_000 });
  const { board, port } = await startBoard({ actor: "mailing", engine, ...options });
  const client = await RawClient.open({ port });
  client.write(text('{"do":"address"}'));
  const address = (await client.text()) as Address;
  const id = board.nodes().find(({ isSelf }) => isSelf)?.id ?? "";
  const next = async (): Promise<unknown> => JSON.parse(await client.text());
  const order = (command: object): Promise<unknown> => {
    client.write(text(JSON.stringify(command)));
    return next();
  };
  return { board, port, id, client, address, do: order, next };
}

/** Starts two boards of one cluster, which know each other. */
async function startTwo(options: TestBoardOptions = {}): Promise<[Node, Node]> {
  const prefix = `cluster-${++prefixes}`;
  const nodes = await Promise.all([startNode(prefix, options), startNode(prefix, options)]);
  for (const { board } of nodes) {
    await vi.waitFor(() => expect(board.nodes()).toHaveLength(2), { timeout: 20_000 });
  }
  return nodes as [Node, Node];
}

it("a board that closes knows the other nodes until its connections have closed, and reports nobody to have left", async () => {
  const [here, there] = await startTwo();
  const left: unknown[] = [];
  here.board.on("nodeLeft", (node) => left.push(node));
  const closing = here.board.close({ timeoutMs: 20_000 });
  await here.client.closeFrame();
  const error = { code: "ERR_CLOSED" };
  expect(here.board.nodes()).toHaveLength(2);
  const { connections } = await here.board.connections();
  expect(new Set(connections.map(({ address }) => address))).toEqual(new Set([here.address, there.address]));
  expect(await here.board.disconnect(there.address)).toBe(true);
  here.client.socket.destroy();
  await closing;
  await expect(here.board.connections({ node: there.id })).rejects.toMatchObject(error);
  await expect(here.board.disconnect(there.address)).rejects.toMatchObject(error);
  expect(await here.board.tell(there.address, "late")).toEqual({ status: "gone", mail: "late" });
  await expect(here.board.ask(there.address, "late")).rejects.toMatchObject({ code: "ERR_ASK_GONE" });
  expect(here.board.nodes()).toMatchObject([{ id: here.id }]);
  expect(left).toEqual([]);
});

describe("mail to an actor on another node", () => {
  it("reaches mailed with its sender's address, comes back when told there, and keeps its order", async () => {
    const [here, there] = await startTwo({ maxMails: 10_000 });
    expect(there.address).toMatch(new RegExp(`^${there.id}\\.0-`));
    const mail = { deep: [1, { two: "three" }] };
    expect(await here.do({ do: "tell", to: there.address, mail })).toEqual({ status: "accepted" });
    expect(await there.next()).toEqual({ mail, from: here.address });
    expect(await there.do({ do: "tell", to: here.address, mail: "back" })).toEqual({ status: "accepted" });
    expect(await here.next()).toEqual({ mail: "back", from: there.address });
    expect(await here.do({ do: "flood", to: there.address, count: 2_000 })).toEqual({ accepted: 2_000 });
    for (let i = 0; i < 2_000; i++) expect(await there.next()).toEqual({ mail: i, from: here.address });
  });

  it("is answered, times out and fails as on one node", async () => {
    const [here, there] = await startTwo();
    const { address: to } = there;
    expect(await here.do({ do: "ask", to, mail: "question" })).toEqual({ answer: { re: "question", by: to } });
    const asked = (mail: string, timeoutMs = 5_000) => here.do({ do: "ask", to, mail, timeoutMs });
    expect(await asked("function")).toMatchObject({
      code: "ERR_ASK_FAILED",
      text: expect.stringContaining("cloneable"),
    });
    // The failure ends the connection of the actor.
    const text = `${to} failed to answer: mailed threw`;
    expect(await asked("throw")).toEqual({ code: "ERR_ASK_FAILED", text });
    const timedOut = there.board.ask(here.address, "never", { timeoutMs: 200 });
    await expect(timedOut).rejects.toMatchObject({ code: "ERR_ASK_TIMEOUT" });
  });

  it("is refused as gone and as full, and given back", async () => {
    const [here, there] = await startTwo({ maxMails: 1 });
    const gone = `${there.id}.0-none` as Address;
    const noNode = "nowhere.0-0" as Address;
    const mail = { text: "hello" };
    const dead: unknown[] = [];
    here.board.on("deadLetter", (letter) => dead.push(letter));
    expect(await here.board.tell(gone, mail)).toEqual({ status: "gone", mail });
    expect(await here.board.tell(noNode, mail)).toEqual({ status: "gone", mail });
    expect(dead).toEqual([gone, noNode].map((to) => ({ shard: undefined, to, from: undefined, reason: "gone" })));
    await expect(here.board.ask(gone, mail)).rejects.toMatchObject({ code: "ERR_ASK_GONE" });
    there.client.write(text('{"do":"hold"}'));
    await vi.waitFor(() => expect(there.board.stats().shards[0]?.messagesReceived).toBe(2));
    const told = [await here.board.tell(there.address, 1), await here.board.tell(there.address, 2)];
    expect(told).toEqual([{ status: "accepted" }, { status: "full", mail: 2 }]);
    await expect(here.board.ask(there.address, 3)).rejects.toMatchObject({ code: "ERR_ASK_FULL" });
  });

  it("is as a copy between threads, and throws when it is too large or can't be copied", async () => {
    const [here, there] = await startTwo();
    const bytes = Buffer.from("bytes");
    const answer = await here.board.ask(there.address, { bytes, at: new Date(5), none: undefined });
    expect(answer).toEqual({
      re: { bytes: new Uint8Array(bytes), at: new Date(5), none: undefined },
      by: there.address,
    });
    expect(() => here.board.tell(there.address, "x".repeat(1024 * 1024 + 1))).toThrow(
      expect.objectContaining({ code: "ERR_MAIL_TOO_LARGE" }),
    );
    const uncloneable = [() => {}, new SharedArrayBuffer(8)];
    for (const mail of uncloneable) {
      expect(() => here.board.tell(there.address, mail)).toThrow(
        expect.objectContaining({ code: "ERR_MAIL_NOT_CLONEABLE" }),
      );
    }
  });

  it("ends with gone when the node ends before it answers", async () => {
    const [here, there] = await startTwo();
    const left = new Promise<NodeStatus>((resolve) => here.board.once("nodeLeft", resolve));
    there.client.write(text('{"do":"hold"}'));
    await vi.waitFor(() => expect(there.board.stats().shards[0]?.messagesReceived).toBe(2));
    const asked = expect(here.board.ask(there.address, 1, { timeoutMs: 60_000 })).rejects.toMatchObject({
      code: "ERR_ASK_GONE",
    });
    expect(await here.board.tell(there.address, 2)).toEqual({ status: "accepted" });
    await there.board.close({ timeoutMs: 0 });
    await asked;
    expect((await left).id).toBe(there.id);
    expect(await here.board.tell(there.address, 1)).toEqual({ status: "gone", mail: 1 });
    expect(here.board.nodes().map(({ id }) => id)).toEqual([here.id]);
  });
});

it("ends asks with gone soon after the process of another node was killed", async () => {
  const prefix = `cluster-${++prefixes}`;
  const engine = redis({ url: server.url, prefix, nodeTtlMs: 2_000 });
  const { board } = await startNode(prefix, { engine });
  const joined = new Promise<NodeStatus>((resolve) => board.once("nodeJoined", resolve));
  const left = new Promise<NodeStatus>((resolve) => board.once("nodeLeft", resolve));
  const other = await ServerProcess.start({ actor: "mailing", start: { engine, shards: 1 } });
  const client = await RawClient.open({ port: other.port });
  client.write(text('{"do":"address"}'));
  const address = (await client.text()) as Address;
  const { id } = await joined;
  expect(await board.ask(address, "alive?")).toEqual({ re: "alive?", by: address });
  other.program.kill("SIGKILL");
  const asked = board.ask(address, "dead?", { timeoutMs: 60_000 });
  await expect(asked).rejects.toMatchObject({ code: "ERR_ASK_GONE" });
  expect((await left).id).toBe(id);
});

describe("a cluster", () => {
  it("lists every connection of every node once, in pages of any size, and those of one node", async () => {
    const nodes = await startTwo({ shards: 2, attach: { authorize: () => ({ session: new Map([["user", "ada"]]) }) } });
    for (const { port } of nodes) for (let i = 0; i < 2; i++) await RawClient.open({ port });
    const [{ board }] = nodes;
    for (const limit of [1, 4, 100]) {
      const all: ConnectionInfo[] = [];
      let cursor: string | undefined;
      do {
        const page = await board.connections({ limit, ...(cursor !== undefined && { cursor }) });
        expect(page.connections.length).toBeLessThanOrEqual(limit);
        all.push(...page.connections);
        ({ cursor } = page);
      } while (cursor !== undefined);
      expect(all).toHaveLength(6);
      expect(new Set(all.map(({ address }) => address)).size).toBe(6);
      for (const { session } of all) expect(session).toEqual(new Map([["user", "ada"]]));
    }
    for (const { id } of nodes) {
      const { connections } = await board.connections({ node: id });
      expect(connections.map(({ address }) => address.split(".")[0])).toEqual([id, id, id]);
    }
    await expect(board.connections({ node: "nowhere" })).rejects.toMatchObject({ code: "ERR_NODE_GONE" });
    await expect(board.connections({ cursor: "0.0" })).rejects.toMatchObject({ code: "ERR_OPTION" });
  });

  it("closes a connection on another node", async () => {
    const [here, there] = await startTwo();
    expect(await here.board.disconnect(there.address, 4001, "kicked")).toBe(true);
    expect(await there.client.closeFrame()).toEqual({ code: 4001, reason: "kicked" });
    expect(await here.board.disconnect(there.address)).toBe(false);
    expect(await here.board.disconnect("nowhere.0-0" as Address)).toBe(false);
  });

  it("surveys the shards of every node, and lists those that don't answer as failed", async () => {
    const [here, there] = await startTwo({ actor: "surveying", shards: 2 });
    const ids = [here.id, there.id].toSorted();
    const question = { deep: [1n, new Date(5)], bytes: new Uint8Array([1, 2]) };
    const each = (answer: object) => ids.flatMap((node) => [0, 1].map((shard) => ({ node, shard, ...answer })));
    expect(await here.board.survey(question)).toEqual(each({ kind: "answered", answer: { echo: question } }));
    const threw = expect.objectContaining({ message: "surveyed threw", code: "E_SURVEY" });
    expect(await here.board.survey("throw")).toEqual(each({ kind: "failed", error: threw }));
    const unresponsive = expect.objectContaining({ code: "ERR_SHARD_UNRESPONSIVE" });
    expect(await here.board.survey("never", { timeoutMs: 6_000 })).toEqual(
      each({ kind: "failed", error: unresponsive }),
    );
    const tooLarge = new Uint8Array(1024 * 1024);
    await expect(here.board.survey(tooLarge)).rejects.toMatchObject({ code: "ERR_MAIL_TOO_LARGE" });
    const large = await here.board.survey("large");
    expect(large.filter(({ node }) => node === here.id).map(({ kind }) => kind)).toEqual(["answered", "answered"]);
    expect(large.filter(({ node }) => node === there.id)).toMatchObject([
      { kind: "failed", error: { code: "ERR_MAIL_TOO_LARGE" } },
      { kind: "failed", error: { code: "ERR_MAIL_TOO_LARGE" } },
    ]);
  });

  it("lists a node that ends before it answers a survey", async () => {
    const [here, there] = await startTwo({ actor: "surveying" });
    const answers = here.board.survey("never", { timeoutMs: 20_000 });
    await there.board.close({ timeoutMs: 0 });
    const own = expect.objectContaining({ node: here.id, shard: 0, kind: "failed" });
    const other = expect.objectContaining({ node: there.id, kind: "failed" });
    here.board.on("shardLost", () => {});
    expect(await Promise.race([answers, here.board.survey("exit").then(() => answers)])).toEqual(
      here.id < there.id ? [own, other] : [other, own],
    );
  });

  it("knows its nodes with their facts, and sums them up", async () => {
    const [here, there] = await startTwo({ nodeName: "one of two", shards: 2 });
    await vi.waitFor(() => expect(here.board.stats().cluster?.connections).toBe(2), { timeout: 20_000 });
    expect(here.board.stats().cluster).toMatchObject({ nodes: 2, shards: 4, connectionsOpened: 2 });
    const shown = await createMetrics(here.board).text();
    for (const line of ["nodes 2", "shards 4", "connections 2", "messages_dropped_total 0"]) {
      expect(shown).toContain(`\nswitchboard_cluster_${line.replace(" ", '{engine="redis"} ')}\n`);
    }
    const facts = { name: "one of two", version: expect.stringMatching(/^\d+\.\d+\.\d+/), shards: 2, connections: 1 };
    const status = (id: string, isSelf: boolean) => expect.objectContaining({ id, isSelf, ...facts });
    const expected = [status(here.id, true), status(there.id, false)];
    expect(here.board.nodes()).toHaveLength(2);
    expect(here.board.nodes()).toEqual(expect.arrayContaining(expected));
  });

  it("ignores and counts control messages that make no sense, and goes on", async () => {
    const [here, there] = await startTwo();
    const publish = (message: unknown) =>
      server.command("PUBLISH", `cluster-${prefixes}:node:${here.id}`, JSON.stringify({ node: there.id, message }));
    const senseless = ["", "{", "null", "[]", '{"kind":"request","to":"x","serial":1,"request":{"kind":"toString"}}'];
    for (const message of senseless) expect(await publish(message)).toBe(1);
    // No engine sends something else than a text: such a message is none at all.
    for (const message of [5, { length: Number.NaN }]) expect(await publish(message)).toBe(1);
    expect(await there.board.ask(here.address, "still here")).toEqual({ re: "still here", by: here.address });
    expect(here.board.stats().cluster?.messagesDropped).toBe(senseless.length);
  });
});

it("is a node alone with the engine in memory: its addresses are short, and others reach nobody", async () => {
  const { board, port } = await startBoard({ actor: "mailing", topics: { "*": { history: { size: 1 } } } });
  const client = await RawClient.open({ port });
  client.write(text('{"do":"address"}'));
  expect(await client.text()).toMatch(/^0-/);
  expect(board.nodes()).toMatchObject([{ isSelf: true, connections: 1, shards: 1 }]);
  expect(board.stats().cluster).toBeUndefined();
  expect(await createMetrics(board).text()).not.toMatch(/^switchboard_cluster/m);
  expect(await board.tell("nowhere.0-0" as Address, 1)).toEqual({ status: "gone", mail: 1 });
  expect(await board.disconnect("nowhere.0-0" as Address)).toBe(false);
  await expect(board.connections({ node: "nowhere" })).rejects.toMatchObject({ code: "ERR_NODE_GONE" });
});
