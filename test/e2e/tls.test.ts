import { once } from "node:events";
import { readdirSync } from "node:fs";
import { request } from "node:https";
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from "node:tls";
import { afterAll, expect, it, onTestFinished, vi } from "vitest";
import { WebSocket as WsWebSocket } from "ws";
import type { ListenOptions, Switchboard, TlsOptions } from "../../src/index.ts";
import { startBoard, type TestBoardOptions } from "../support/board.ts";
import { createCertificate } from "../support/certificate.ts";
import { close, ping, text } from "../support/frames.ts";
import { RawClient, upgradeRequest } from "../support/raw-client.ts";
import { projectFolder, run } from "./support/process.ts";

const localhost = createCertificate("localhost");
const descriptors = (): number => readdirSync("/proc/self/fd").length;

function start(tls: Partial<TlsOptions> = {}, listen: Partial<ListenOptions> = {}, options: TestBoardOptions = {}) {
  return startBoard({ attach: { tls: { ...localhost, ...tls }, ...listen }, ...options });
}

/** A client over TLS that writes bytes itself. Trusts the certificate for localhost. */
async function connect(port: number, options: ConnectionOptions = {}): Promise<RawClient & { socket: TLSSocket }> {
  const socket = connectTls({ port, host: "127.0.0.1", ca: localhost.cert, ...options });
  onTestFinished(() => {
    socket.on("error", () => {}).destroy();
  });
  await once(socket, "secureConnect");
  return new RawClient(socket) as RawClient & { socket: TLSSocket };
}

async function open(port: number, options: ConnectionOptions = {}, head = Buffer.alloc(0)) {
  const client = await connect(port, options);
  client.write(Buffer.concat([Buffer.from(upgradeRequest()), head]));
  expect((await client.response()).status).toBe(101);
  return client;
}

async function expectEcho(client: RawClient, message = "hello"): Promise<void> {
  client.write(text(message));
  expect(await client.text()).toBe(message);
}

/** The name in the certificate that the server presents for a server name. */
async function nameFor(port: number, servername: string): Promise<string | undefined> {
  const client = await open(port, { servername, rejectUnauthorized: false });
  await expectEcho(client);
  const { subject } = client.socket.getPeerCertificate();
  await client.close();
  return String(subject.CN);
}

function handshakesOf(board: Switchboard): number {
  return board.stats().shards.reduce((sum, { handshakes }) => sum + handshakes, 0);
}

it("serves a connection whose first frames came right behind the request, in one TLS record, and closes it cleanly", async () => {
  const { board, port } = await start();
  const client = await open(port, {}, Buffer.concat([text("early"), ping("x"), text("half").subarray(0, 5)]));
  expect(await client.text()).toBe("early");
  expect(await client.frame()).toMatchObject({ opcode: 0xa, payload: Buffer.from("x") });
  client.write(text("half").subarray(5));
  expect(await client.text()).toBe("half");
  client.write(close(1000, "bye"));
  expect(await client.closeFrame()).toEqual({ code: 1000, reason: "bye" });
  await client.closed();
  await vi.waitFor(() => expect(board.stats()).toMatchObject({ connections: 0, upgrades: { accepted: 1 } }));
  expect(handshakesOf(board)).toBe(0);
});

it.each([0, 1, 125, 126, 65_535, 65_536, 1_000_000])("echoes a message of %i bytes", async (length) => {
  const { port } = await start();
  const client = await open(port);
  await expectEcho(client, "x".repeat(length));
});

it("works with the client of ws, which checks the certificate", async () => {
  const { port } = await start();
  const socket = new WsWebSocket(`wss://localhost:${port}/`, { ca: localhost.cert });
  await once(socket, "open");
  socket.send(Buffer.alloc(200_000, "a"));
  const [data, isBinary] = await once(socket, "message");
  expect([data.length, isBinary]).toEqual([200_000, true]);
  socket.close(1000, "done");
  expect((await once(socket, "close"))[0]).toBe(1000);
});

it("works with Node's own WebSocket, which checks the certificate", async () => {
  const { port } = await start();
  const program = `
    const { setDefaultCACertificates } = require("node:tls");
    setDefaultCACertificates([${JSON.stringify(localhost.cert)}]);
    const socket = new WebSocket("wss://localhost:${port}/");
    socket.onopen = () => socket.send("hello");
    socket.onmessage = ({ data }) => (console.log(data), socket.close(1000));
    socket.onerror = ({ error }) => console.error(error);
    socket.onclose = ({ code, wasClean }) => console.log(code, wasClean);`;
  const { stdout } = await run(process.execPath, ["-e", program], { cwd: projectFolder });
  expect(stdout).toBe("hello\n1000 true\n");
});

it("calls the actor module's authorize with the TLS socket as the request's socket", async () => {
  const { port } = await start({}, { path: "/chat/:room" }, { actor: "authorizing" });
  const client = await connect(port);
  client.write(upgradeRequest({ path: "/chat/blue?token=t" }));
  expect((await client.response()).status).toBe(101);
  client.write(text('{"do":"who"}'));
  expect(JSON.parse(await client.text())).toMatchObject({ session: { params: { room: "blue" }, token: "t" } });
});

it("answers requests that aren't upgrades: 426 on the path, 404 elsewhere", async () => {
  const { port } = await start({}, { path: "/chat" });
  for (const [path, status] of [
    ["/chat", 426],
    ["/elsewhere", 404],
  ]) {
    const asked = request({ port, host: "127.0.0.1", path: String(path), ca: localhost.cert, agent: false }).end();
    const [response] = await once(asked, "response");
    expect(response.statusCode).toBe(status);
    response.resume();
  }
});

it("answers headers beyond the limit with 431", async () => {
  const { board, port } = await start();
  const client = await connect(port);
  client.write(upgradeRequest({ headers: { "X-Big": "x".repeat(17_000) } }));
  expect((await client.response()).status).toBe(431);
  await vi.waitFor(() => expect(board.stats().upgrades.refused).toEqual({ 431: 1 }));
});

it("negotiates HTTP/1.1 by ALPN, and refuses clients that don't offer it", async () => {
  const { board, port } = await start();
  const client = await open(port, { ALPNProtocols: ["h2", "http/1.1"] });
  expect(client.socket.alpnProtocol).toBe("http/1.1");
  await expect(connect(port, { ALPNProtocols: ["h2"] })).rejects.toThrow(/no.application.protocol/i);
  await vi.waitFor(() => expect(board.stats().upgrades).toMatchObject({ accepted: 1, failed: 1, abandoned: 0 }));
});

it("refuses clients below the minimum TLS version", async () => {
  const { board, port } = await start({ minVersion: "TLSv1.3" });
  await expect(connect(port, { maxVersion: "TLSv1.2" })).rejects.toThrow(/version/i);
  expect((await open(port)).socket.getProtocol()).toBe("TLSv1.3");
  await vi.waitFor(() => expect(board.stats().upgrades).toMatchObject({ accepted: 1, failed: 1 }));
});

it("presents the certificate of the server name, and the main certificate for all other names", async () => {
  const servers = {
    "chat.example.com": createCertificate("chat.example.com"),
    "*.example.com": createCertificate("wild.example.com"),
  };
  const { port } = await start({ servers }, {}, { shards: 2 });
  expect(await nameFor(port, "chat.example.com")).toBe("chat.example.com");
  expect(await nameFor(port, "CHAT.Example.com")).toBe("chat.example.com");
  expect(await nameFor(port, "other.example.com")).toBe("wild.example.com");
  expect(await nameFor(port, "deep.other.example.com")).toBe("localhost");
  expect(await nameFor(port, "example.org")).toBe("localhost");
  expect(await nameFor(port, "")).toBe("localhost");
});

it("presents a replaced certificate to new connections, in every shard and in those started later, while open connections go on", async () => {
  const { board, port } = await start({}, {}, { shards: 2, actor: "faulty" });
  board.on("shardLost", () => {});
  const before = [await open(port), await open(port)];
  board.updateTls(port, { ...createCertificate("renewed"), servers: { "a.test": createCertificate("a.test") } });
  for (let i = 0; i < 4; i++) expect(await nameFor(port, "localhost")).toBe("renewed");
  expect(await nameFor(port, "a.test")).toBe("a.test");
  for (const client of before) await expectEcho(client);

  const replaced = once(board as unknown as NodeJS.EventEmitter, "shardReplaced");
  before[0]?.write(text("exit"));
  await replaced;
  for (let i = 0; i < 4; i++) expect(await nameFor(port, "localhost")).toBe("renewed");
});

it("lets clients resume their session in any shard, until the certificate is replaced", async () => {
  const { board, port } = await start({}, {}, { shards: 2, actor: "faulty" });
  const first = await connect(port);
  const ticket = once(first.socket, "session");
  first.write(upgradeRequest());
  await first.response();
  const [session] = await ticket;
  const shards = new Set<string>();
  const kept: RawClient[] = [];
  for (let i = 0; i < 4; i++) {
    const client = await open(port, { session });
    expect(client.socket.isSessionReused()).toBe(true);
    client.write(text("where"));
    shards.add(await client.text());
    kept.push(client);
  }
  expect(shards.size).toBe(2);
  board.updateTls(port, localhost);
  expect((await open(port, { session })).socket.isSessionReused()).toBe(false);
});

it("requests a certificate from clients when that is configured", async () => {
  const { board, port } = await start({ requestCert: true, ca: localhost.cert });
  await expectEcho(await open(port, { key: localhost.key, cert: localhost.cert }));
  // With TLS 1.3 a client hears of a refusal only after its own handshake.
  await expect(open(port)).rejects.toThrow();
  await expect(open(port, createCertificate("foreign"))).rejects.toThrow();
  await vi.waitFor(() => expect(handshakesOf(board)).toBe(0));
  expect(board.stats()).toMatchObject({ connections: 1, upgrades: { accepted: 1 } });
});

it.each([
  ["plain HTTP", upgradeRequest()],
  ["garbage", "\x16\x03garbage that is no TLS at all, and more of it than a record's header needs"],
  ["a handshake record of nothing but zeros", Buffer.concat([Buffer.of(0x16, 3, 1, 0, 40), Buffer.alloc(40)])],
])("closes and counts a client that speaks %s", async (_, bytes) => {
  const { board, port } = await start();
  const failed = vi.fn();
  board.on("handshakeFailed", failed);
  const client = await RawClient.connect(port);
  client.write(bytes);
  await client.closed();
  await vi.waitFor(() => expect(board.stats().upgrades.failed).toBe(1));
  await vi.waitFor(() => expect(handshakesOf(board)).toBe(0));
  expect(board.stats().upgrades).toEqual({
    accepted: 0,
    refused: {},
    abandoned: 0,
    timedOut: 0,
    failed: 1,
    passedOn: 0,
  });
  // Only the peer is to blame.
  expect(failed).not.toHaveBeenCalled();
  await expectEcho(await open(port));
});

/** The first flight of a TLS client. */
async function clientHello(port: number): Promise<Buffer> {
  const tap = await RawClient.connect(port);
  const { Duplex } = await import("node:stream");
  const sent = Promise.withResolvers<Buffer>();
  const stream = new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, done) {
      sent.resolve(chunk);
      done();
    },
  });
  const socket = connectTls({ socket: stream }).on("error", () => {});
  const hello = await sent.promise;
  socket.destroy();
  tap.socket.destroy();
  return hello;
}

it.each([
  ["sends nothing", 0],
  ["stops in its first record's header", 3],
  ["stops half way through its hello", 60],
  ["never goes on after its hello", Number.POSITIVE_INFINITY],
])("closes a client that %s after handshakeTimeoutMs, and counts it", async (_, length) => {
  const handshakeTimeoutMs = 1_000;
  const { board, port } = await start({}, { handshakeTimeoutMs });
  const hello = (await clientHello(port)).subarray(0, length);
  await vi.waitFor(() => expect(board.stats().upgrades.abandoned).toBe(1));
  const startedAt = performance.now();
  const client = await RawClient.connect(port);
  if (hello.length > 0) client.write(hello);
  await client.closed();
  expect(performance.now() - startedAt).toBeGreaterThanOrEqual(handshakeTimeoutMs - 1);
  await vi.waitFor(() => expect(handshakesOf(board)).toBe(0));
  expect(board.stats().upgrades).toEqual({
    accepted: 0,
    refused: {},
    abandoned: 1,
    timedOut: 1,
    failed: 0,
    passedOn: 0,
  });
});

it("answers 408 to a client that stops half way through its request, and closes it", async () => {
  const { board, port } = await start({}, { handshakeTimeoutMs: 1_500 });
  const client = await connect(port);
  client.write(upgradeRequest().slice(0, 60));
  expect((await client.response()).status).toBe(408);
  await client.closed();
  expect(board.stats().upgrades).toMatchObject({ timedOut: 1, abandoned: 0 });
});

it("opens 200 connections at once, spread over the shards, each with its own answers in order", async () => {
  const { board, port } = await start({}, {}, { shards: 2 });
  const peers = await Promise.all(Array.from({ length: 200 }, () => open(port)));
  expect(board.stats()).toMatchObject({ connections: 200, upgrades: { accepted: 200 } });
  for (const { connections } of board.stats().shards) expect(connections).toBeGreaterThan(60);
  await Promise.all(
    peers.map(async (peer, i) => {
      const sent = Array.from({ length: 20 }, (_, n) => `${i}: ${n}`);
      for (const message of sent) peer.write(text(message));
      for (const message of sent) expect(await peer.text()).toBe(message);
      await peer.close();
    }),
  );
  await vi.waitFor(() => expect(board.stats().connections).toBe(0));
});

it("answers pending requests with 503 when the board closes, stops listening, and closes open connections with 1001", async () => {
  const { board, port } = await start({}, {}, { actor: "authorizing" });
  const client = await open(port);
  const waiting = await connect(port);
  waiting.write(upgradeRequest({ headers: { "X-Authorize": '{"never":true}' } }));
  const half = await connect(port);
  client.write(text('{"do":"who"}'));
  await client.text();
  const closing = board.close({ timeoutMs: 20_000 });
  expect((await waiting.response()).status).toBe(503);
  expect(await client.closeFrame()).toMatchObject({ code: 1001 });
  half.write(upgradeRequest());
  expect((await half.response()).status).toBe(503);
  await expect(RawClient.connect(port)).rejects.toMatchObject({ code: "ECONNREFUSED" });
  client.write(close(1001));
  client.socket.end();
  expect(await closing).toEqual({ closed: 1, dropped: 0, cut: 0 });
});

it("closes pending handshakes when the board closes", async () => {
  const { board, port } = await start();
  const silent = await RawClient.connect(port);
  const idle = await connect(port);
  await vi.waitFor(() => expect(handshakesOf(board)).toBe(2));
  expect(await board.close({ timeoutMs: 0 })).toEqual({ closed: 0, dropped: 0, cut: 0 });
  await silent.closed();
  await idle.closed();
});

it("closes and counts the handshakes of a shard that dies, and those of the others go on", async () => {
  const { board, port } = await start({}, {}, { shards: 2, actor: "authorizing" });
  const lost = once(board as unknown as NodeJS.EventEmitter, "shardLost");
  const replaced = once(board as unknown as NodeJS.EventEmitter, "shardReplaced");
  const never = upgradeRequest({ headers: { "X-Authorize": '{"never":true}' } });
  const waiting = await Promise.all(Array.from({ length: 20 }, () => connect(port)));
  for (const client of waiting) client.write(never);
  const silent = await Promise.all(Array.from({ length: 20 }, () => RawClient.connect(port)));
  await vi.waitFor(() => expect(handshakesOf(board)).toBe(40));
  const inFirst = board.stats().shards.map(({ handshakes }) => handshakes);

  const killer = await connect(port);
  killer.write(upgradeRequest({ headers: { "X-Authorize": '{"exits":true}' } }));
  const [{ shard }] = await lost;
  await killer.closed();
  const ended = (inFirst[shard] ?? 0) + 1;
  let closed = 0;
  for (const client of [...waiting, ...silent]) void client.closed().then(() => closed++);
  await vi.waitFor(() => expect(closed).toBe(ended - 1));
  expect(board.stats().upgrades).toMatchObject({ accepted: 0, failed: ended });
  expect(handshakesOf(board)).toBe(40 - (inFirst[shard] ?? 0));
  await replaced;
  await expect(open(port)).resolves.toBeDefined();
});

it("leaves no descriptor, however its peers leave", async () => {
  const { board, port } = await start({}, { handshakeTimeoutMs: 3_000 }, { shards: 2 });
  const ways: (() => Promise<RawClient>)[] = [
    async () => {
      const client = await open(port);
      await client.close();
      return client;
    },
    async () => {
      const client = await open(port);
      client.socket.destroy();
      return client;
    },
    async () => {
      const client = await connect(port);
      client.write("no HTTP\r\n\r\n");
      return client;
    },
    async () => {
      const client = await connect(port);
      client.socket.end();
      return client;
    },
    async () => {
      const client = await RawClient.connect(port);
      client.write("no TLS at all");
      return client;
    },
    async () => {
      const client = await RawClient.connect(port);
      client.reset();
      return client;
    },
    async () => RawClient.connect(port),
  ];
  const wave = async (): Promise<void> => {
    // On a busy machine a handshake may take longer than it may: one more way to leave.
    const leave = (_: unknown, i: number) => ways[i % ways.length]?.().catch(() => undefined);
    const clients = await Promise.all(Array.from({ length: 70 }, leave));
    await Promise.all(clients.map((client) => client?.closed()));
    await vi.waitFor(() => {
      expect(board.stats().connections).toBe(0);
      expect(handshakesOf(board)).toBe(0);
    }, 10_000);
  };
  await wave();
  const before = descriptors();
  for (let i = 0; i < 3; i++) await wave();
  await vi.waitFor(() => expect(descriptors()).toBeLessThanOrEqual(before), 10_000);
  expect(board.stats().upgrades.accepted).toBeGreaterThan(0);
});

const unhandled = vi.fn<(reason: unknown) => void>();
process.on("unhandledRejection", unhandled);
afterAll(() => expect(unhandled).not.toHaveBeenCalled());
