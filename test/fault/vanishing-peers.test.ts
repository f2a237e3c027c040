import { describe, expect, it, onTestFinished, vi } from "vitest";
import { WebSocket } from "ws";
import { startBoard, type TestBoardOptions } from "../support/board.ts";
import { text } from "../support/frames.ts";
import { RawClient } from "../support/raw-client.ts";

/** Time for a pong. Longer than the delay of a well-behaved client on a busy machine. */
const HEARTBEAT = { pingIntervalMs: 100, pongTimeoutMs: 2_500 };
const BLOCKED_MS = 3_000;

/** A well-behaved client: answers pings and collects the messages. */
async function openClient(port: number) {
  const socket = new WebSocket(`ws://127.0.0.1:${port}`);
  onTestFinished(() => socket.terminate());
  const messages: string[] = [];
  let pings = 0;
  let closed = false;
  socket.on("message", (data) => messages.push(String(data)));
  socket.on("ping", () => pings++);
  socket.on("close", () => {
    closed = true;
  });
  await new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject));
  return {
    messages,
    pings: () => pings,
    closed: () => closed,
    send: (command: object) => socket.send(JSON.stringify(command)),
    said: (message: string) => vi.waitFor(() => expect(messages).toContain(message), 10_000),
    close: () => socket.close(1000),
  };
}

/** Starts a board of scripted actors, with a client that watches their log. */
async function setUp(options: TestBoardOptions = {}) {
  const { board, port } = await startBoard({ actor: "scripted", ...options });
  const watcher = await openClient(port);
  watcher.send({ do: "subscribe", topic: "log" });
  await watcher.said("subscribed log");
  const log = (): string[] => watcher.messages.filter((message) => /^(opened|closed)/.test(message));
  return { board, port, watcher, log };
}

async function idOf(client: RawClient): Promise<string> {
  client.write(text('{"do":"who"}'));
  for (;;) {
    const { opcode, payload } = await client.frame();
    if (opcode === 0x1) return JSON.parse(payload.toString()).id;
  }
}

/** Opens and closes one more connection. Log messages about earlier connections have then all arrived. */
async function passBy(port: number, log: () => string[]): Promise<string> {
  const client = await RawClient.open({ port });
  const id = await idOf(client);
  client.write(text('{"do":"close"}'));
  await vi.waitFor(() => expect(log()).toContain(`opened ${id}`), 10_000);
  client.reset();
  await vi.waitFor(() => expect(log().some((line) => line.startsWith(`closed ${id}`))).toBe(true), 10_000);
  return id;
}

describe("a peer that vanishes", () => {
  it("by RST is closed with 1006, once", async () => {
    const { board, port, log } = await setUp();
    const client = await RawClient.open({ port });
    const id = await idOf(client);
    client.reset();
    await vi.waitFor(() => expect(log()).toContain(`closed ${id} 1006 `), 10_000);
    const other = await passBy(port, log);
    expect(log().filter((line) => !line.includes(` ${other}`))).toEqual([`opened ${id}`, `closed ${id} 1006 `]);
    await vi.waitFor(() => expect(board.stats().connections).toBe(1));
    expect(board.stats().shards[0]?.abnormalClosures).toBeGreaterThanOrEqual(1);
  });

  it("by ending its direction without a close frame is closed with 1006, once", async () => {
    const { board, port, log } = await setUp();
    const client = await RawClient.open({ port });
    const id = await idOf(client);
    client.socket.end();
    await client.closed();
    await vi.waitFor(() => expect(log()).toContain(`closed ${id} 1006 `), 10_000);
    const other = await passBy(port, log);
    expect(log().filter((line) => !line.includes(` ${other}`))).toEqual([`opened ${id}`, `closed ${id} 1006 `]);
    await vi.waitFor(() => expect(board.stats().connections).toBe(1));
  });

  it("by silence is closed with 1006, once, and counted", async () => {
    const { board, port, log } = await setUp(HEARTBEAT);
    const client = await RawClient.open({ port });
    const id = await idOf(client);
    await client.closed();
    await vi.waitFor(() => expect(log()).toContain(`closed ${id} 1006 `), 10_000);
    expect(board.stats().shards[0]?.abnormalClosures).toBe(1);
    const other = await passBy(port, log);
    expect(log().filter((line) => !line.includes(` ${other}`))).toEqual([`opened ${id}`, `closed ${id} 1006 `]);
  });

  it("by silence in the middle of a frame is closed", async () => {
    const { board, port } = await setUp(HEARTBEAT);
    const client = await RawClient.open({ port });
    client.write(text("never complete").subarray(0, 9));
    await client.closed();
    await vi.waitFor(() => expect(board.stats().shards[0]).toMatchObject({ abnormalClosures: 1, connections: 1 }));
  });

  it("while its actor is busy is closed after its actor has handled the messages before", async () => {
    const { port, log } = await setUp();
    const client = await RawClient.open({ port });
    const id = await idOf(client);
    client.write(
      Buffer.concat([text('{"do":"wait","ms":100}'), text('{"do":"publish","topic":"log","data":"opened up"}')]),
    );
    client.socket.end();
    await vi.waitFor(() => expect(log()).toContain(`closed ${id} 1006 `), 10_000);
    expect(log()).toEqual([`opened ${id}`, "opened up", `closed ${id} 1006 `]);
  });

  it("together with many others affects no other connection", async () => {
    const { board, port, watcher } = await setUp({ shards: 2 });
    const crowd = await Promise.all(Array.from({ length: 60 }, () => RawClient.open({ port })));
    crowd.forEach((client, i) => {
      if (i % 2 === 0) client.reset();
    });
    await vi.waitFor(() => expect(board.stats().connections).toBe(31), 10_000);
    const staying = crowd.filter((_, i) => i % 2 === 1);
    for (const client of staying) expect(await idOf(client)).toMatch(/^\d+-\d+$/);
    expect(watcher.closed()).toBe(false);
    const abnormal = board.stats().shards.reduce((sum, { abnormalClosures }) => sum + abnormalClosures, 0);
    expect(abnormal).toBe(30);
  });
});

describe("a heartbeat", () => {
  it("keeps a peer that answers pings", async () => {
    const { board, watcher } = await setUp(HEARTBEAT);
    await vi.waitFor(() => expect(watcher.pings()).toBeGreaterThanOrEqual(5), 10_000);
    watcher.send({ do: "who" });
    await vi.waitFor(() => expect(watcher.messages.some((message) => message.includes('"id"'))).toBe(true));
    expect(board.stats().shards[0]).toMatchObject({ connections: 1, abnormalClosures: 0 });
  });

  it("counts any bytes as a sign of life", async () => {
    const { board, port } = await startBoard(HEARTBEAT);
    const client = await RawClient.open({ port });
    for (let pings = 0; pings < 5; ) {
      const { opcode, payload } = await client.frame();
      if (opcode !== 0x9) continue;
      expect(payload).toHaveLength(0);
      client.write(text(`no pong ${pings++}`));
    }
    expect(board.stats().shards[0]).toMatchObject({ connections: 1, abnormalClosures: 0 });
  });

  it("sends nothing when it is switched off", async () => {
    const { board, port } = await startBoard({ pingIntervalMs: 0, pongTimeoutMs: 50 });
    const silent = await RawClient.open({ port });
    // The heartbeat of another board shows that the time has passed.
    const clock = await startBoard({ pingIntervalMs: 200, pongTimeoutMs: 200 });
    await (await RawClient.open({ port: clock.port })).closed();
    silent.write(text("still here"));
    expect(await silent.frame()).toMatchObject({ opcode: 0x1 });
    expect(board.stats().connections).toBe(1);
  });

  it("doesn't close peers whose pongs were due while an actor blocked the shard", async () => {
    const { board, port, watcher } = await setUp(HEARTBEAT);
    const others = await Promise.all(Array.from({ length: 10 }, () => openClient(port)));
    for (let round = 0; round < 2; round++) {
      const pings = others.map((other) => other.pings());
      const pinged = () => expect(others.every((other, i) => other.pings() > (pings[i] ?? 0))).toBe(true);
      await vi.waitFor(pinged, { timeout: 10_000, interval: 5 });
      watcher.send({ do: "block", ms: BLOCKED_MS + round });
      await watcher.said(`blocked ${BLOCKED_MS + round}`);
    }
    expect(others.filter((other) => other.closed())).toHaveLength(0);
    expect(board.stats().shards[0]).toMatchObject({ connections: 11, abnormalClosures: 0 });
  });
});
