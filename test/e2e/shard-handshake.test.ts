import { once } from "node:events";
import { readdirSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import { afterAll, describe, expect, it, vi } from "vitest";
import { WebSocket as WsWebSocket } from "ws";
import type { ListenOptions, Params } from "../../src/index.ts";
import { authorize } from "../support/actors/authorizing.ts";
import { startBoard, type TestBoardOptions } from "../support/board.ts";
import { close, ping, text } from "../support/frames.ts";
import { RawClient, type RawClientOptions, upgradeRequest } from "../support/raw-client.ts";
import { holdRestarts } from "../support/restarts.ts";
import { Peer, type StandardSocketClass } from "./support/peer.ts";

type Mode = "main" | "shard";

const PATH = "/chat/blue";
const descriptors = (): number => readdirSync("/proc/self/fd").length;

/**
 * Starts the same board in both modes: the main thread does the handshake and calls the option `authorize`, or the
 * shard does it and calls the actor module's `authorize`.
 */
function start(mode: Mode, listen: Partial<ListenOptions> = {}, options: TestBoardOptions = {}) {
  const own =
    mode === "main" ? { authorize: (request: IncomingMessage, params: Params) => authorize(request, params) } : {};
  const attach = { path: "/chat/:room", handshake: mode, ...own, ...listen };
  return startBoard({ actor: "authorizing", attach, ...options });
}

const order = (value: object): Record<string, string> => ({ "X-Authorize": JSON.stringify(value) });

async function answerTo(port: number, bytes: string | Buffer) {
  const client = await RawClient.connect(port);
  client.write(bytes);
  const response = await client.response();
  return { ...response, body: await client.rest() };
}

const ask = ({ port, ...request }: RawClientOptions) => answerTo(port, upgradeRequest({ path: PATH, ...request }));

async function who(client: RawClient): Promise<{ id: string; session: unknown; params: unknown; protocol: string }> {
  client.write(text('{"do":"who"}'));
  return JSON.parse(await client.text());
}

/** Requests that aren't accepted, whichever thread reads them. */
const FAULTS = [
  { name: "another version", headers: { "Sec-WebSocket-Version": "8" }, status: 426 },
  { name: "no key", headers: { "Sec-WebSocket-Key": undefined }, status: 400 },
  { name: "no Host", headers: { Host: undefined }, status: 400 },
  { name: "an invalid Host", headers: { Host: "local host" }, status: 400 },
  { name: "two Hosts", headers: { Host: "localhost\r\nHost: localhost" }, status: 400 },
  { name: "a body", headers: { "Content-Length": "3" }, status: 400 },
  { name: "a chunked body", headers: { "Transfer-Encoding": "chunked" }, status: 400 },
  { name: "a foreign origin", headers: { Origin: "https://evil.example" }, status: 403 },
  {
    name: "2,500 subprotocols",
    headers: { "Sec-WebSocket-Protocol": Array.from({ length: 2_500 }, (_, i) => `p${i}`).join(",") },
    status: 400,
  },
  { name: "a refusal of authorize", headers: order({ gives: { status: 401 } }), status: 401 },
  { name: "a late refusal of authorize", headers: order({ resolves: { status: 418 } }), status: 418 },
];

/** Requests on which `authorize` fails. */
const FAILURES = [
  { name: "throws", headers: order({ throws: "no database" }), error: { name: "TypeError", message: "no database" } },
  { name: "returns nothing", headers: order({}), error: { code: "ERR_AUTHORIZE" } },
  { name: "refuses with 200", headers: order({ gives: { status: 200 } }), error: { code: "ERR_AUTHORIZE" } },
  {
    name: "refuses with a header that can't be sent",
    headers: order({ gives: { status: 401, headers: { "x-a": "b\r\nc: d" } } }),
    error: { code: "ERR_AUTHORIZE" },
  },
];

describe.each<{ mode: Mode }>([{ mode: "main" }, { mode: "shard" }])("a handshake in the $mode thread", ({ mode }) => {
  it("serves a connection whose first frames came right behind the request, and closes it cleanly", async () => {
    const { board, port } = await start(mode);
    const client = await RawClient.connect(port);
    const frames = [ping("x"), text('{"do":"send","bytes":3}'), text('{"do":"who"}').subarray(0, 5)];
    client.write(Buffer.concat([Buffer.from(upgradeRequest({ path: PATH })), ...frames]));
    expect((await client.response()).status).toBe(101);
    expect(await client.frame()).toMatchObject({ opcode: 0xa, payload: Buffer.from("x") });
    expect((await client.frame()).payload).toHaveLength(3);
    expect(await client.text()).toBe("result sent");
    client.write(text('{"do":"who"}').subarray(5));
    expect(JSON.parse(await client.text())).toMatchObject({ params: { room: "blue" } });
    client.write(close(1000, "bye"));
    expect(await client.closeFrame()).toEqual({ code: 1000, reason: "bye" });
    await client.closed();
    await vi.waitFor(() => expect(board.stats()).toMatchObject({ connections: 0, upgrades: { accepted: 1 } }));
    expect(board.stats().shards[0]?.handshakes).toBe(0);
  });

  it("accepts a request that comes byte by byte", async () => {
    const { port } = await start(mode);
    const client = await RawClient.connect(port);
    for (const byte of Buffer.concat([Buffer.from(upgradeRequest({ path: PATH })), text('{"do":"who"}')])) {
      await new Promise<void>((resolve) => client.socket.write(Buffer.of(byte), () => resolve()));
    }
    expect((await client.response()).status).toBe(101);
    expect(JSON.parse(await client.text())).toMatchObject({ params: { room: "blue" } });
  });

  it("passes the request to authorize, and the session to the actor", async () => {
    const { port } = await start(mode);
    const client = await RawClient.open({ port, path: `${PATH}?token=a%20b`, headers: { Cookie: "id=7" } });
    expect((await who(client)).session).toEqual({ params: { room: "blue" }, token: "a b", cookie: "id=7" });
  });

  it("waits for a slow authorize, and loses no bytes that come meanwhile", async () => {
    const { port } = await start(mode);
    const client = await RawClient.connect(port);
    client.write(upgradeRequest({ path: PATH, headers: order({ resolves: { session: "late" } }) }));
    client.write(text('{"do":"who"}'));
    expect((await client.response()).status).toBe(101);
    expect(JSON.parse(await client.text()).session).toBe("late");
  });

  it("answers each fault of a request with its status", async () => {
    const { board, port } = await start(mode, { origins: ["https://good.example"] });
    const refused: Record<number, number> = {};
    for (const { name, headers, status } of FAULTS) {
      const answer = await ask({ port, headers });
      expect({ name, ...answer }).toMatchObject({ name, status, headers: { connection: "close" } });
      refused[status] = (refused[status] ?? 0) + 1;
      await vi.waitFor(() =>
        expect(board.stats()).toMatchObject({ connections: 0, upgrades: { accepted: 0, refused } }),
      );
      await vi.waitFor(() => expect(board.stats().shards[0]?.handshakes).toBe(0));
    }
  });

  it.each(["h2c", "foobar"])("answers an offer of %s as a plain request", async (protocol) => {
    const { port } = await start(mode, { path: "/chat" });
    for (const method of ["GET", "POST"]) {
      for (const [path, status] of [
        ["/chat", 426],
        ["/elsewhere", 404],
      ] as const) {
        const client = await RawClient.connect(port);
        const headers = { Upgrade: protocol, "Content-Length": "2" };
        client.write(`${upgradeRequest({ path, headers }).replace("GET", method)}hi`);
        expect((await client.response()).status).toBe(status);
        client.socket.end();
        await client.closed();
      }
    }
  });

  it("answers 500 to each failure of authorize, and reports it", async () => {
    const { board, port } = await start(mode);
    const failed = vi.fn<(error: Error) => void>();
    board.on("handshakeFailed", failed);
    for (const [index, { name, headers, error }] of FAILURES.entries()) {
      const answer = await ask({ port, headers });
      expect({ name, ...answer }).toMatchObject({ name, status: 500, body: "Internal Server Error\n" });
      await vi.waitFor(() => expect(failed).toHaveBeenCalledTimes(index + 1));
      expect(failed.mock.lastCall?.[0]).toMatchObject(error);
      expect(board.stats().upgrades.refused).toEqual({ 500: index + 1 });
    }
  });

  it("chooses the first of the client's subprotocols that the board supports", async () => {
    const { port } = await start(mode, { protocols: ["a", "b"] });
    const client = await RawClient.connect(port);
    client.write(upgradeRequest({ path: PATH, headers: { "Sec-WebSocket-Protocol": "c, b, a" } }));
    expect((await client.response()).headers["sec-websocket-protocol"]).toBe("b");
    expect((await who(client)).protocol).toBe("b");
  });

  it.each([
    { path: PATH, status: 426, extra: { upgrade: "websocket", connection: "Upgrade" } },
    { path: "/elsewhere", status: 404, extra: {} },
  ])("answers a plain GET of $path with $status, and keeps the connection for the next request", async (row) => {
    const { board, port } = await start(mode);
    const client = await RawClient.connect(port);
    for (let i = 0; i < 2; i++) {
      client.write(`GET ${row.path} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
      const response = await client.response();
      expect(response.status).toBe(row.status);
      expect(response.headers).toMatchObject(row.extra);
      const length = response.headers["content-length"] ?? "0";
      expect(["0", undefined]).toContain(length);
      if (response.headers["transfer-encoding"] !== undefined) await client.take("0\r\n\r\n".length);
    }
    client.write(upgradeRequest({ path: PATH }));
    expect((await client.response()).status).toBe(101);
    expect((await who(client)).params).toEqual({ room: "blue" });
    expect(board.stats().upgrades).toMatchObject({ accepted: 1, refused: {}, abandoned: 0 });
  });

  it("answers an upgrade of another path with 404", async () => {
    const { board, port } = await start(mode);
    expect((await ask({ port, path: "/elsewhere" })).status).toBe(404);
    expect(board.stats().connections).toBe(0);
  });

  it.each([
    { name: "bytes that aren't HTTP", bytes: "\x00\x01\x02garbage\r\n\r\n", status: 400 },
    {
      name: "headers beyond the limit",
      bytes: upgradeRequest({ headers: { "X-Big": "x".repeat(17_000) } }),
      status: 431,
    },
  ])("answers $name with $status", async ({ bytes, status }) => {
    const { board, port } = await start(mode);
    expect((await answerTo(port, bytes)).status).toBe(status);
    await vi.waitFor(() => expect(board.stats().upgrades).toMatchObject({ refused: { [status]: 1 }, abandoned: 0 }));
  });

  it("accepts headers just within the limit", async () => {
    const { port } = await start(mode);
    await RawClient.open({ port, path: PATH, headers: { "X-Big": "x".repeat(15_000) } });
  });

  it.each([
    ["nothing is sent", ""],
    ["the request line is cut", "GET / HT"],
    ["the headers are cut", upgradeRequest().slice(0, 60)],
    ["only the last line end is missing", upgradeRequest().slice(0, -2)],
  ])("closes and counts a peer when %s", async (_, half) => {
    const handshakeTimeoutMs = 1_000;
    const { board, port } = await start(mode, { handshakeTimeoutMs });
    const startedAt = performance.now();
    const client = await RawClient.connect(port);
    if (half !== "") client.write(half);
    expect(await client.rest()).not.toContain("101");
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(handshakeTimeoutMs - 1);
    await vi.waitFor(() => expect(board.stats().shards[0]?.handshakes).toBe(0));
    expect(board.stats().upgrades).toMatchObject({ accepted: 0, abandoned: 0, failed: 0, timedOut: 1 });
    const next = await RawClient.open({ port, path: PATH });
    expect((await who(next)).params).toEqual({ room: "blue" });
  });

  it("closes and counts a handshake whose authorize never resolves", async () => {
    const { board, port } = await start(mode, { handshakeTimeoutMs: 100 });
    const client = await RawClient.connect(port);
    client.write(upgradeRequest({ path: PATH, headers: order({ never: true }) }));
    expect(await client.rest()).toBe("");
    await vi.waitFor(() => expect(board.stats().upgrades.timedOut).toBe(1));
    await vi.waitFor(() => expect(board.stats().shards[0]?.handshakes).toBe(0));
    expect(board.stats().upgrades).toMatchObject({ accepted: 0, abandoned: 0, failed: 0 });
  });

  it("counts a peer that leaves while authorize is pending", async () => {
    const { board, port } = await start(mode);
    const client = await RawClient.connect(port);
    client.write(upgradeRequest({ path: PATH, headers: order({ never: true }) }));
    await new Promise((resolve) => setImmediate(resolve));
    client.reset();
    await vi.waitFor(() => expect(board.stats().upgrades.abandoned).toBe(1));
    await vi.waitFor(() => expect(board.stats().shards[0]?.handshakes).toBe(0));
  });

  it("gives every connection a different id", async () => {
    const { port } = await start(mode, {}, { shards: 2 });
    const ids = new Set<string>();
    for (let i = 0; i < 20; i++) ids.add((await who(await RawClient.open({ port, path: PATH }))).id);
    expect(ids.size).toBe(20);
  });

  it("answers pending requests with 503 when it closes, and stops listening", async () => {
    const { board, port } = await start(mode);
    const waiting = await RawClient.connect(port);
    waiting.write(upgradeRequest({ path: PATH, headers: order({ never: true }) }));
    // This connection begins later, so the earlier one has arrived when this one has.
    const open = await RawClient.open({ port, path: PATH });
    const closing = board.close({ timeoutMs: 20_000 });
    expect((await waiting.response()).status).toBe(503);
    expect(await open.closeFrame()).toMatchObject({ code: 1001 });
    await expect(RawClient.connect(port)).rejects.toMatchObject({ code: "ECONNREFUSED" });
    open.write(close(1001));
    open.socket.end();
    expect(await closing).toEqual({ closed: 1, dropped: 0, cut: 0 });
    expect(board.stats().upgrades).toMatchObject({ accepted: 1, refused: { 503: 1 }, failed: 0 });
  });

  it("opens 200 connections at once, each with its own answers, spread over the shards", async () => {
    const { board, port } = await start(mode, {}, { shards: 2, actor: "authorizing" });
    const clients = await Promise.all(Array.from({ length: 200 }, () => RawClient.open({ port, path: PATH })));
    expect(board.stats()).toMatchObject({ connections: 200, upgrades: { accepted: 200 } });
    for (const { connections } of board.stats().shards) expect(connections).toBeGreaterThan(60);
    const ids = await Promise.all(clients.map(async (client) => (await who(client)).id));
    expect(new Set(ids).size).toBe(200);
  });

  it.each([
    { name: "ws", socketClass: WsWebSocket },
    { name: "Node's own", socketClass: WebSocket },
  ])("accepts a connection of the client $name", async ({ socketClass }) => {
    const { port } = await start(mode, { protocols: ["chat"] });
    const url = `ws://127.0.0.1:${port}${PATH}`;
    const peer = await Peer.open(socketClass as unknown as StandardSocketClass, url, ["chat"]);
    expect(peer.socket.protocol).toBe("chat");
    peer.sendJson({ do: "send", bytes: 70_000 });
    expect(await peer.next()).toHaveLength(70_000);
    expect(await peer.next()).toMatch(/^result /);
    expect(await peer.close(1000)).toMatchObject({ code: 1000, wasClean: true });
  });

  it("leaves no descriptor, however its peers leave", async () => {
    const { board, port } = await start(mode, { handshakeTimeoutMs: 1_000 }, { shards: 2 });
    const leave: ((client: RawClient) => Promise<unknown>)[] = [
      async (client) => client.reset(),
      async (client) => client.socket.end(),
      async (client) => {
        client.write("GET / HT");
        await client.closed();
      },
      async (client) => {
        client.write("no HTTP\r\n\r\n");
        await client.closed();
      },
      async (client) => {
        client.write(upgradeRequest({ path: PATH, headers: order({ never: true }) }));
        client.reset();
      },
      async (client) => {
        client.write(upgradeRequest({ path: PATH }));
        await client.response();
        client.reset();
      },
      async (client) => {
        client.write(upgradeRequest({ path: PATH, headers: order({ gives: { status: 401 } }) }));
        await client.closed();
      },
    ];
    const wave = async (): Promise<void> => {
      await Promise.all(
        Array.from({ length: 70 }, async (_, i) => {
          const client = await RawClient.connect(port);
          // On a busy machine a handshake may take longer than it may: one more way to leave.
          await leave[i % leave.length]?.(client).catch(() => {});
          await client.closed();
        }),
      );
      await vi.waitFor(() => {
        expect(board.stats().connections).toBe(0);
        for (const { handshakes } of board.stats().shards) expect(handshakes).toBe(0);
      }, 10_000);
    };
    await wave();
    const before = descriptors();
    for (let i = 0; i < 3; i++) await wave();
    await vi.waitFor(() => expect(descriptors()).toBeLessThanOrEqual(before), 10_000);
  });
});

describe("a shard that does the handshakes and dies", () => {
  it("closes its connections, and the main thread answers with 503 until the shard is replaced", async () => {
    const { board, port } = await start("shard");
    const failed = vi.fn();
    board.on("handshakeFailed", failed);
    const lost = once(board as unknown as NodeJS.EventEmitter, "shardLost");
    const replaced = once(board as unknown as NodeJS.EventEmitter, "shardReplaced");
    const silent = await Promise.all(Array.from({ length: 10 }, () => RawClient.connect(port)));
    await vi.waitFor(() => expect(board.stats().shards[0]?.handshakes).toBe(10));
    const killer = await RawClient.connect(port);
    const restart = holdRestarts();
    killer.write(upgradeRequest({ path: PATH, headers: order({ exits: true }) }));
    await lost;
    expect((await ask({ port })).status).toBe(503);
    for (const client of [...silent, killer]) await client.closed();
    expect(board.stats()).toMatchObject({ upgrades: { accepted: 0, failed: 11, refused: { 503: 1 } } });
    expect(board.stats().shards[0]?.handshakes).toBe(0);
    expect(failed).not.toHaveBeenCalled();
    restart();
    await replaced;
    expect((await who(await RawClient.open({ port, path: PATH }))).params).toEqual({ room: "blue" });
  });
});

it("passes the session of an authorize in the shard to the actor itself, not a clone", async () => {
  const { port } = await start("shard");
  const client = await RawClient.open({ port, path: PATH, headers: order({ functions: true }) });
  expect((await who(client)).session).toBe("a function was here");
});

it("places a socket on the shard with the fewest connections and handshakes", async () => {
  const { board, port } = await start("shard", {}, { shards: 2 });
  for (let i = 1; i <= 6; i++) {
    await RawClient.connect(port);
    await vi.waitFor(() => expect(board.stats().shards.reduce((sum, { handshakes }) => sum + handshakes, 0)).toBe(i));
  }
  expect(board.stats().shards.map(({ handshakes }) => handshakes)).toEqual([3, 3]);
});

const unhandled = vi.fn<(reason: unknown) => void>();
process.on("unhandledRejection", unhandled);
afterAll(() => expect(unhandled).not.toHaveBeenCalled());
