import { once } from "node:events";
import { setImmediate as turn } from "node:timers/promises";
import { describe, expect, it, vi } from "vitest";
import type { ShardLoss, Switchboard } from "../../src/index.ts";
import { startBoard } from "../support/board.ts";
import { text } from "../support/frames.ts";
import { RawClient, upgradeRequest } from "../support/raw-client.ts";
import { holdRestarts } from "../support/restarts.ts";

/** Shorter than any timeout that would close a peer. A busy machine may be slow. */
const PROMPTLY_MS = 8_000;

interface Events {
  readonly lost: ShardLoss[];
  readonly order: string[];
  readonly handshakeErrors: Error[];
}

function record(board: Switchboard): Events {
  const events: Events = { lost: [], order: [], handshakeErrors: [] };
  board.on("shardLost", (loss) => {
    events.lost.push(loss);
    events.order.push(`lost ${loss.shard}`);
  });
  board.on("shardReplaced", ({ shard }) => events.order.push(`replaced ${shard}`));
  board.on("handshakeFailed", (error) => events.handshakeErrors.push(error));
  return events;
}

/** Starts a board of two shards of faulty actors, with one connection on each. */
async function setUp() {
  const gate = new SharedArrayBuffer(8);
  let authorized = 0;
  const authorize = () => {
    authorized++;
    return { session: { gate } };
  };
  const { board, port } = await startBoard({ actor: "faulty", shards: 2, attach: { authorize } });
  const clients = await openOnBoth(port);
  const openGate = (): void => {
    Atomics.store(new Int32Array(gate), 0, 1);
    Atomics.notify(new Int32Array(gate), 0);
  };
  const holding = (): number => Atomics.load(new Int32Array(gate), 1);
  return { board, port, clients, events: record(board), openGate, holding, authorized: () => authorized };
}

async function ask(client: RawClient, message: string): Promise<string> {
  client.write(text(message));
  return client.text();
}

/** One connection on each of two shards, in the order of the shards. */
async function openOnBoth(port: number): Promise<[RawClient, RawClient]> {
  const [a, b] = [await RawClient.open({ port }), await RawClient.open({ port })];
  const places = [await ask(a, "where"), await ask(b, "where")];
  expect(places.toSorted()).toEqual(["shard 0", "shard 1"]);
  return places[0] === "shard 0" ? [a, b] : [b, a];
}

async function replaced(board: Switchboard): Promise<void> {
  await once(board as unknown as NodeJS.EventEmitter, "shardReplaced");
}

describe("a shard that dies", () => {
  it.each([
    ["its thread exits", "exit", /./],
    ["something throws outside any handler", "throw later", /thrown outside any handler/],
  ])("ends only its own connections when %s", async (_, command, message) => {
    const { board, clients, events } = await setUp();
    const [victim, survivor] = clients;
    const isReplaced = replaced(board);
    victim.write(text(command));
    await victim.closed();
    expect(await ask(survivor, "hello")).toBe("hello");
    await isReplaced;
    expect(events.order).toEqual(["lost 0", "replaced 0"]);
    expect(events.lost[0]).toMatchObject({ shard: 0, connections: 1 });
    expect(events.lost[0]?.error.message).toMatch(message);
    expect(board.stats()).toMatchObject({ connections: 1, shards: [{ connections: 0 }, { connections: 1 }] });
    expect(await ask(survivor, "still")).toBe("still");
  });

  it("is replaced by a shard that takes connections", async () => {
    const { board, port, clients } = await setUp();
    const isReplaced = replaced(board);
    clients[0].write(text("exit"));
    await isReplaced;
    expect(board.stats().shards.map(({ ready }) => ready)).toEqual([true, true]);
    const client = await RawClient.open({ port });
    expect(await ask(client, "where")).toBe("shard 0");
    await client.close();
    await vi.waitFor(() => expect(board.stats().connections).toBe(1));
  });

  it("gets no new connections until it is replaced: the other shards get them", async () => {
    const { board, port, clients } = await setUp();
    const isReplaced = replaced(board);
    const isLost = once(board as unknown as NodeJS.EventEmitter, "shardLost");
    const restart = holdRestarts();
    clients[0].write(text("exit"));
    await isLost;
    expect(board.stats().shards.map(({ ready }) => ready)).toEqual([false, true]);
    const client = await RawClient.open({ port });
    expect(await ask(client, "where")).toBe("shard 1");
    restart();
    await isReplaced;
  });

  it("makes the board answer upgrades with 503 until it is replaced, if it was the only shard", async () => {
    const { board, port } = await startBoard({ actor: "faulty" });
    record(board);
    const client = await RawClient.open({ port });
    const isReplaced = replaced(board);
    const isLost = once(board as unknown as NodeJS.EventEmitter, "shardLost");
    const restart = holdRestarts();
    client.write(text("exit"));
    await isLost;
    const refused = await RawClient.connect(port);
    refused.write(upgradeRequest());
    expect((await refused.response()).status).toBe(503);
    restart();
    await isReplaced;
    expect(await ask(await RawClient.open({ port }), "back")).toBe("back");
  });

  it("is replaced again after each death", async () => {
    const { board, port, clients, events } = await setUp();
    let victim = clients[0];
    for (let death = 0; death < 3; death++) {
      const isReplaced = replaced(board);
      victim.write(text("exit"));
      await isReplaced;
      victim = await RawClient.open({ port });
      expect(await ask(victim, "where")).toBe("shard 0");
    }
    expect(events.order).toEqual(Array.from({ length: 3 }, () => ["lost 0", "replaced 0"]).flat());
    expect(await ask(clients[1], "hello")).toBe("hello");
  });

  it("doesn't delay the close of the board while it waits for its replacement", async () => {
    const { board, clients } = await setUp();
    const isLost = once(board as unknown as NodeJS.EventEmitter, "shardLost");
    clients[0].write(text("exit"));
    await isLost;
    await board.close({ timeoutMs: 0 });
    await clients[1].closed();
  });
});

describe("a shard that dies while sockets are on their way to it", () => {
  it("closes all of these sockets within a second, and the connections of the other shard go on", async () => {
    const { board, port, clients, events, openGate, holding, authorized } = await setUp();
    const [victim, survivor] = clients;
    // Both messages are in one packet: the exit comes right after the hold, before any socket that waits.
    victim.write(Buffer.concat([text("hold"), text("exit")]));
    await vi.waitFor(() => expect(holding()).toBe(1));
    const isLost = once(board as unknown as NodeJS.EventEmitter, "shardLost");
    const isReplaced = replaced(board);

    const before = authorized();
    const peers = await Promise.all(Array.from({ length: 100 }, () => RawClient.connect(port)));
    const request = Buffer.concat([Buffer.from(upgradeRequest()), text("hello")]);
    const answered: RawClient[] = [];
    const ended = peers.map(async (peer) => {
      peer.write(request);
      try {
        await peer.response();
        expect(await peer.text()).toBe("hello");
        answered.push(peer);
        return undefined;
      } catch {
        await peer.closed();
        return performance.now();
      }
    });
    await vi.waitFor(() => expect(authorized() - before).toBe(100), 10_000);
    for (let i = 0; i < 10; i++) await turn();
    expect(board.stats().upgrades.accepted).toBeLessThan(102);

    openGate();
    await isLost;
    const lostAt = performance.now();
    const closedAt = (await Promise.all(ended)).filter((at) => at !== undefined);
    await victim.closed();
    expect(closedAt.length).toBeGreaterThan(20);
    expect(Math.max(...closedAt) - lostAt).toBeLessThan(PROMPTLY_MS);
    expect(closedAt.length + answered.length).toBe(100);

    expect(answered.length).toBeGreaterThan(20);
    for (const peer of [survivor, ...answered]) expect(await ask(peer, "still here")).toBe("still here");
    await isReplaced;
    expect(events.order).toEqual(["lost 0", "replaced 0"]);
    expect(board.stats().upgrades).toMatchObject({ accepted: 2 + answered.length, failed: closedAt.length });
    expect(events.handshakeErrors).toHaveLength(closedAt.length);
    for (const error of events.handshakeErrors) expect(error).toMatchObject({ code: "ERR_SHARD_LOST" });
    expect(board.stats().connections).toBe(1 + answered.length);

    const next = await RawClient.open({ port });
    expect(await ask(next, "where")).toBe("shard 0");
  });

  it("serves all of these sockets if it was only busy", async () => {
    const { board, port, clients, openGate, authorized } = await setUp();
    clients[0].write(text("hold"));
    const before = authorized();
    const opened = Array.from({ length: 50 }, (_, i) => RawClient.open({ port, head: text(`hello ${i}`) }));
    await vi.waitFor(() => expect(authorized() - before).toBe(50), 10_000);
    openGate();
    const peers = await Promise.all(opened);
    for (const [i, peer] of peers.entries()) expect(await peer.text()).toBe(`hello ${i}`);
    await vi.waitFor(() => expect(board.stats().upgrades).toMatchObject({ accepted: 52, failed: 0 }));
  });

  it("isn't handed a socket again when the deadline of the handshake passes on the way", async () => {
    const gate = new SharedArrayBuffer(4);
    const authorize = () => ({ session: { gate } });
    const { board, port } = await startBoard({ actor: "faulty", attach: { authorize, handshakeTimeoutMs: 1_500 } });
    const holder = await RawClient.open({ port });
    holder.write(text("hold"));
    const late = RawClient.open({ port, head: text("hello") });
    // Begins later, so that its end tells that the other deadline has passed.
    const clock = await RawClient.connect(port);
    await clock.closed();
    Atomics.store(new Int32Array(gate), 0, 1);
    Atomics.notify(new Int32Array(gate), 0);
    expect(await (await late).text()).toBe("hello");
    // Only the deadline of the peer's own handshake passed.
    await vi.waitFor(() => expect(board.stats().upgrades).toMatchObject({ accepted: 2, timedOut: 1, failed: 0 }));
  });
});
