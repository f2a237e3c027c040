import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as connectTls } from "node:tls";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import type { ListenOptions, Switchboard } from "../../../src/index.ts";
import { startBoard, type TestBoardOptions } from "../../support/board.ts";
import { selfSigned } from "../../support/certificate.ts";
import { text } from "../../support/frames.ts";
import { RawClient, type RawResponse, upgradeRequest } from "../../support/raw-client.ts";

type Mode = "main" | "relay" | "shard";
const modes: { mode: Mode }[] = [{ mode: "main" }, { mode: "relay" }, { mode: "shard" }];

/** The limits must hold wherever handshakes are done and however sockets get to their shards. */
function start(mode: Mode, options: TestBoardOptions, listen: Partial<ListenOptions> = {}) {
  const attach = { ...(mode === "shard" && { handshake: "shard" as const }), ...listen };
  return startBoard({ ...options, ...(mode === "relay" && { sockets: "relay" as const }), attach });
}

interface Attempt extends RawResponse {
  readonly client: RawClient;
}

async function attempt(port: number, headers: Record<string, string> = {}): Promise<Attempt> {
  const client = await RawClient.connect(port);
  client.write(upgradeRequest({ headers }));
  return { client, ...(await client.response()) };
}

const attempts = (port: number, count: number): Promise<Attempt[]> =>
  Promise.all(Array.from({ length: count }, () => attempt(port)));

const inside = (all: readonly Attempt[]): Attempt[] => all.filter(({ status }) => status === 101);
const outside = (all: readonly Attempt[]): Attempt[] => all.filter(({ status }) => status !== 101);
const connectionsOf = (board: Switchboard): number[] => board.stats().shards.map(({ connections }) => connections);

async function closeAll(all: readonly Attempt[]): Promise<void> {
  await Promise.all(all.map(({ client }) => client.close()));
}

/** Waits until `count` more clients are accepted, trying one at a time. */
async function getsIn(port: number): Promise<Attempt> {
  return vi.waitFor(async () => {
    const one = await attempt(port);
    expect(one.status).toBe(101);
    return one;
  }, 10_000);
}

describe.each(modes)("with $mode handshakes", ({ mode }) => {
  it("accepts exactly maxConnections of 100 clients that come at once, and as many again after those have left", async () => {
    const { board, port } = await start(mode, { shards: 2, maxConnections: 10 });
    for (let round = 1; round <= 3; round++) {
      const all = await attempts(port, 100);
      expect(inside(all)).toHaveLength(10);
      for (const { status, headers } of outside(all)) {
        expect({ status, retry: headers["retry-after"] }).toEqual({ status: 503, retry: "5" });
      }
      const upgrades = { accepted: 10 * round, refused: { 503: 90 * round } };
      await vi.waitFor(() => expect(board.stats()).toMatchObject({ connections: 10, upgrades }));
      await closeAll(inside(all));
      await vi.waitFor(() => expect(connectionsOf(board)).toEqual([0, 0]));
    }
  });

  it("fills each shard up to maxConnectionsPerShard", async () => {
    const { board, port } = await start(mode, { shards: 3, maxConnectionsPerShard: 4 });
    const all = await attempts(port, 50);
    expect(connectionsOf(board)).toEqual([4, 4, 4]);
    expect(outside(all).map(({ status }) => status)).toEqual(Array.from({ length: 38 }, () => 503));
  });

  it("accepts exactly maxConnectionsPerAddress, and answers others with 429 until one has left", async () => {
    const { board, port } = await start(mode, { shards: 2, maxConnectionsPerAddress: 3 });
    const all = await attempts(port, 20);
    expect(inside(all)).toHaveLength(3);
    for (const { status, headers } of outside(all)) {
      expect({ status, retry: headers["retry-after"] }).toEqual({ status: 429, retry: "5" });
    }
    await vi.waitFor(() => expect(board.stats().upgrades).toMatchObject({ accepted: 3, refused: { 429: 17 } }));
    await closeAll(inside(all).slice(0, 1));
    await getsIn(port);
    expect((await attempt(port)).status).toBe(429);
  });

  it("frees the places of a shard that is lost", async () => {
    const limits = { maxConnections: 6, maxConnectionsPerAddress: 6 };
    const { board, port } = await start(mode, { actor: "scripted", shards: 2, ...limits });
    board.on("shardLost", () => {});
    const first = inside(await attempts(port, 10));
    expect(first).toHaveLength(6);
    first[0]?.client.write(text('{"do":"exit"}'));
    await vi.waitFor(() => expect(board.stats().connections).toBe(3));
    await vi.waitFor(() => expect(board.stats().shards.every(({ ready }) => ready)).toBe(true), 10_000);
    const more = await attempts(port, 10);
    expect(inside(more)).toHaveLength(3);
    expect(board.stats().connections).toBe(6);
  });

  it("accepts maxUpgradesPerSecond at once, and answers others with Retry-After: 1", async () => {
    const { board, port } = await start(mode, { maxUpgradesPerSecond: 5 });
    const startedAt = performance.now();
    const all = await attempts(port, 60);
    expect(inside(all).length).toBeGreaterThanOrEqual(5);
    // One more for each 200 ms that the machine took.
    expect(inside(all).length).toBeLessThanOrEqual(5 + (performance.now() - startedAt) / 200);
    for (const { status, headers } of outside(all)) {
      expect({ status, retry: headers["retry-after"] }).toEqual({ status: 503, retry: "1" });
    }
    expect(board.stats().upgrades.refused[503]).toBe(outside(all).length);
    await getsIn(port);
  });
});

describe("a pending handshake", () => {
  it("counts while authorize is pending, and isn't passed to authorize beyond the limit", async () => {
    const verdict = Promise.withResolvers<{ session: undefined }>();
    const authorize = vi.fn(() => verdict.promise);
    const { board, port } = await startBoard({ shards: 2, maxConnections: 10, attach: { authorize } });
    const all = Array.from({ length: 100 }, () => attempt(port));
    await vi.waitFor(() => expect(board.stats().upgrades.refused).toEqual({ 503: 90 }));
    expect(authorize).toHaveBeenCalledTimes(10);
    verdict.resolve({ session: undefined });
    expect(inside(await Promise.all(all))).toHaveLength(10);
    expect(board.stats().connections).toBe(10);
  });

  it.each([
    { name: "is refused", headers: { "X-Way": "refuse" }, counted: { refused: { 401: 2 } } },
    { name: "fails", headers: { "X-Way": "throw" }, counted: { refused: { 500: 2 } } },
    { name: "gets a session that can't be cloned", headers: { "X-Way": "function" }, counted: { refused: { 500: 2 } } },
    { name: "is abandoned", headers: { "X-Way": "leave" }, counted: { abandoned: 2 } },
    { name: "takes too long", headers: { "X-Way": "never" }, counted: { timedOut: 2 } },
    { name: "is malformed", headers: { "Sec-WebSocket-Key": "x" }, counted: { refused: { 400: 2 } } },
  ])("frees its place when it $name", async ({ headers, counted }) => {
    const never = (): Promise<never> => new Promise(() => {});
    const limits = { maxConnections: 2, maxConnectionsPerShard: 2, maxConnectionsPerAddress: 2 };
    let asked = 0;
    const { board, port } = await startBoard({
      ...limits,
      attach: {
        handshakeTimeoutMs: 2_500,
        authorize: (request) => {
          asked++;
          const way = request.headers["x-way"];
          if (way === "throw") throw new Error("no database");
          if (way === "refuse") return { status: 401 };
          if (way === "function") return { session: () => {} };
          return way === undefined ? { session: 1 } : never();
        },
      },
    });
    board.on("handshakeFailed", () => {});
    for (let i = 0; i < 2; i++) {
      const client = await RawClient.connect(port);
      client.write(upgradeRequest({ headers }));
      if (headers["X-Way"] === "leave") {
        await vi.waitFor(() => expect(asked).toBe(i + 1));
        client.reset();
      }
      await client.closed();
    }
    await vi.waitFor(() => expect(board.stats().upgrades).toMatchObject(counted));
    const all = await attempts(port, 5);
    expect(inside(all)).toHaveLength(2);
    await closeAll(inside(all));
    await vi.waitFor(() => expect(board.stats().connections).toBe(0));
    await getsIn(port);
    await getsIn(port);
  });

  it.each([
    { name: "sends nothing", bytes: "" },
    { name: "leaves in the middle", bytes: "GET / HT" },
    { name: "asks for another path", bytes: upgradeRequest({ path: "/elsewhere" }) },
    { name: "is malformed", bytes: upgradeRequest({ headers: { "Sec-WebSocket-Key": "x" } }) },
    { name: "isn't HTTP", bytes: "\r\n\0\r\n\r\n" },
  ])("frees its place in a shard when it $name", async ({ bytes }) => {
    const limits = { shards: 2, maxConnections: 2, maxConnectionsPerAddress: 2 };
    const { board, port } = await start("shard", limits, { path: "/", handshakeTimeoutMs: 1_500 });
    for (let i = 0; i < 2; i++) {
      const client = await RawClient.connect(port);
      client.write(bytes);
      if (bytes.startsWith("GET / HT")) client.socket.end();
      await client.closed();
    }
    for (let i = 0; i < 2; i++) await getsIn(port);
    expect((await attempt(port)).status).toBe(429);
    expect(board.stats().connections).toBe(2);
  });
});

describe("clients behind a proxy", () => {
  const via = (client: string): Record<string, string> => ({ "X-Forwarded-For": `spoofed, ${client}` });

  it("are counted separately", async () => {
    const { port } = await startBoard({ maxConnectionsPerAddress: 1, trustedProxies: ["127.0.0.0/8"] });
    const statuses = [];
    for (const client of ["192.0.2.1", "192.0.2.2", "192.0.2.1", "2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"]) {
      statuses.push((await attempt(port, via(client))).status);
    }
    expect(statuses).toEqual([101, 101, 429, 101, 429, 101]);
  });

  it("are one client for a board that trusts no proxy", async () => {
    const { port } = await startBoard({ maxConnectionsPerAddress: 1 });
    const statuses = [(await attempt(port, via("192.0.2.1"))).status, (await attempt(port, via("192.0.2.2"))).status];
    expect(statuses).toEqual([101, 429]);
  });

  it("are found behind a Unix socket, whose peers count only if they are trusted", async () => {
    const folder = await mkdtemp(join(tmpdir(), "admission-"));
    onTestFinished(() => rm(folder, { recursive: true }));
    for (const [trustedProxies, expected] of [
      [["unix:"], [101, 429, 101]],
      [[], [101, 101, 101]],
    ] as const) {
      const { board } = await startBoard({ maxConnectionsPerAddress: 1, trustedProxies });
      const server = createServer();
      onTestFinished(() => void server.close());
      board.attach(server);
      const path = join(folder, `socket-${trustedProxies.length}`);
      await once(server.listen(path), "listening");
      const statuses = [];
      for (const client of ["192.0.2.1", "192.0.2.1", "192.0.2.2"]) {
        const socket: Socket = connect(path);
        await once(socket, "connect");
        const peer = new RawClient(socket);
        onTestFinished(() => void socket.destroy());
        peer.write(upgradeRequest({ headers: via(client) }));
        statuses.push((await peer.response()).status);
      }
      expect(statuses).toEqual(expected);
    }
  });

  it("can't be distinguished on a port whose handshakes are done in the shards", async () => {
    const { board } = await startBoard({ maxConnectionsPerAddress: 1, trustedProxies: ["10.0.0.0/8"] });
    const error = { kind: "configuration", code: "ERR_NEEDS_REQUEST" };
    await expect(board.listen({ port: 0, handshake: "shard" })).rejects.toMatchObject(error);
  });
});

it("closes connections beyond a limit unanswered on a port with TLS, and counts them", async () => {
  const { board, port } = await startBoard({ maxConnections: 1, attach: { tls: selfSigned() } });
  const secure = (): Socket => {
    const socket = connectTls({ port, host: "127.0.0.1", rejectUnauthorized: false });
    onTestFinished(() => void socket.destroy());
    return socket.on("error", () => {});
  };
  const first = secure();
  await once(first, "secureConnect");
  const client = new RawClient(first);
  client.write(upgradeRequest());
  expect((await client.response()).status).toBe(101);
  const second = secure();
  const answered = vi.fn();
  second.on("data", answered);
  await new Promise((resolve) => second.once("close", resolve));
  expect(answered).not.toHaveBeenCalled();
  await vi.waitFor(() => expect(board.stats().upgrades).toMatchObject({ accepted: 1, refused: { 503: 1 }, failed: 0 }));
});
