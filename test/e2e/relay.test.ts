import { once } from "node:events";
import { readdirSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { type AddressInfo, connect, type Socket } from "node:net";
import { connect as tlsConnect } from "node:tls";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import WebSocket from "ws";
import type { Switchboard } from "../../src/index.ts";
import { startBoard, type TestBoardOptions } from "../support/board.ts";
import { selfSigned } from "../support/certificate.ts";
import { binary, close, ping, text } from "../support/frames.ts";
import { RawClient, upgradeRequest } from "../support/raw-client.ts";
import { unixPath } from "../support/streams.ts";

const MIB = 1024 * 1024;
const BINARY = 0x2;
const PONG = 0xa;

/** One way in which connections reach a board that can't move their sockets. */
interface Entrance {
  readonly board: Switchboard;
  readonly url: string;
  readonly dial: () => Promise<Peer>;
}

interface Peer {
  readonly client: RawClient;
  readonly vanish: () => void;
}

async function serve(server: Server, address: { port: number; host: string } | { path: string }): Promise<void> {
  server.listen(address);
  await once(server, "listening");
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
}

async function startForced({ attach, ...options }: TestBoardOptions): Promise<Entrance> {
  const { board, port } = await startBoard({ ...options, sockets: "relay", ...(attach && { attach }) });
  const dial = async (): Promise<Peer> => {
    const client = await RawClient.connect(port);
    return { client, vanish: () => client.reset() };
  };
  return { board, url: `ws://127.0.0.1:${port}`, dial };
}

async function startTls({ attach, ...options }: TestBoardOptions): Promise<Entrance> {
  const { board } = await startBoard(options);
  const { key, cert } = selfSigned();
  const server = createTlsServer({ key, cert });
  board.attach(server, attach);
  await serve(server, { port: 0, host: "127.0.0.1" });
  const { port } = server.address() as AddressInfo;
  const dial = async (): Promise<Peer> => {
    const below = connect({ port, host: "127.0.0.1" });
    const socket: Socket = tlsConnect({ socket: below, ca: cert, servername: "localhost" });
    await once(socket, "secureConnect");
    return { client: new RawClient(socket), vanish: () => below.resetAndDestroy() };
  };
  return { board, url: `wss://localhost:${port}`, dial };
}

async function startUnix({ attach, ...options }: TestBoardOptions): Promise<Entrance> {
  const { board } = await startBoard(options);
  const path = unixPath();
  const server = createServer();
  board.attach(server, attach);
  await serve(server, { path });
  const dial = async (): Promise<Peer> => {
    const socket = connect(path);
    await once(socket, "connect");
    return { client: new RawClient(socket), vanish: () => socket.destroy() };
  };
  return { board, url: `ws+unix://${path}:/`, dial };
}

async function open({ dial }: Entrance, head: Buffer = Buffer.alloc(0)): Promise<Peer> {
  const peer = await dial();
  peer.client.write(Buffer.concat([Buffer.from(upgradeRequest()), head]));
  expect((await peer.client.response()).status).toBe(101);
  return peer;
}

async function noConnections(board: Switchboard): Promise<void> {
  await vi.waitFor(() => expect(board.stats().connections).toBe(0), 10_000);
}

const descriptors = (): number => readdirSync("/proc/self/fd").length;

/** Measures the peak memory of this process from now until `stop`. */
function watchMemory(): { stop: () => number } {
  const before = process.memoryUsage.rss();
  let most = before;
  const timer = setInterval(() => {
    most = Math.max(most, process.memoryUsage.rss());
  }, 10);
  return {
    stop: () => {
      clearInterval(timer);
      return Math.max(most, process.memoryUsage.rss()) - before;
    },
  };
}

describe.each([
  { name: "a TCP socket that is relayed because of an option", start: startForced },
  { name: "a TLS socket of an https server", start: startTls },
  { name: "a Unix socket", start: startUnix },
])("$name", ({ start }) => {
  it("carries messages sent with the request, pings, large messages and the close handshake", async () => {
    const entrance = await start({});
    const { client } = await open(entrance, text("early"));
    expect(await client.text()).toBe("early");
    client.write(ping("x"));
    expect(await client.frame()).toMatchObject({ opcode: PONG, payload: Buffer.from("x") });
    const large = Buffer.alloc(MIB).map((_, i) => i % 251);
    client.write(binary(large));
    const echoed = await client.frame();
    expect(echoed.opcode).toBe(BINARY);
    expect(echoed.payload.equals(large)).toBe(true);
    expect(entrance.board.stats()).toMatchObject({ connections: 1, upgrades: { accepted: 1 } });
    client.write(close(1000, "bye"));
    expect(await client.closeFrame()).toEqual({ code: 1000, reason: "bye" });
    await client.closed();
    await noConnections(entrance.board);
    const [shard] = entrance.board.stats().shards;
    expect(shard).toMatchObject({ connectionsOpened: 1, messagesReceived: 2, messagesSent: 2, abnormalClosures: 0 });
  });

  it("carries messages that arrive while authorize is pending", async () => {
    const asked = Promise.withResolvers<void>();
    const decide = Promise.withResolvers<void>();
    const authorize = async () => {
      asked.resolve();
      await decide.promise;
      return { session: { user: "ada" } };
    };
    const { client } = await (await start({ actor: "scripted", attach: { authorize } })).dial();
    const half = text('{"do":"who"}');
    client.write(Buffer.concat([Buffer.from(upgradeRequest()), half.subarray(0, 5)]));
    await asked.promise;
    await new Promise<void>((resolve) => client.socket.write(half.subarray(5), () => resolve()));
    for (let i = 0; i < 10; i++) await new Promise((resolve) => setImmediate(resolve));
    decide.resolve();
    expect((await client.response()).status).toBe(101);
    expect(JSON.parse(await client.text())).toMatchObject({ session: { user: "ada" } });
  });

  it("works with the client of another project, a hundred at a time", async () => {
    const { url, board } = await start({ shards: 2 });
    const { cert: ca } = selfSigned();
    const echo = async (_: unknown, i: number): Promise<void> => {
      const socket = new WebSocket(url, { ca });
      await once(socket, "open");
      socket.send(`hello ${i}`);
      expect(String((await once(socket, "message"))[0])).toBe(`hello ${i}`);
      socket.close(1000);
      expect((await once(socket, "close"))[0]).toBe(1000);
    };
    await Promise.all(Array.from({ length: 100 }, echo));
    await noConnections(board);
    expect(board.stats()).toMatchObject({ upgrades: { accepted: 100, failed: 0, abandoned: 0 } });
  });

  it("stops reading while its actor is busy, and loses nothing", async () => {
    const gate = new SharedArrayBuffer(4);
    const entrance = await start({ actor: "gated", attach: { authorize: () => ({ session: { gate } }) } });
    const { client } = await open(entrance);
    const count = 64;
    const one = binary(Buffer.alloc(MIB, "m"));
    const memory = watchMemory();
    let sent = 0;
    const sendAll = async (): Promise<void> => {
      for (; sent < count; sent++) await new Promise<void>((resolve) => client.socket.write(one, () => resolve()));
    };
    const all = sendAll();
    const received = (): number => entrance.board.stats().shards[0]?.bytesReceived ?? 0;
    let before = -1;
    await vi.waitFor(
      () => {
        const now = received();
        const still = now > 0 && now === before;
        before = now;
        expect(still).toBe(true);
      },
      { timeout: 10_000, interval: 300 },
    );
    expect(received()).toBeLessThan(8 * MIB);
    expect(sent).toBeLessThan(count / 2);
    expect(memory.stop()).toBeLessThan(40 * MIB);
    Atomics.store(new Int32Array(gate), 0, count);
    Atomics.notify(new Int32Array(gate), 0);
    for (let i = 0; i < count; i++) expect(await client.text()).toBe("handled mmmmmmmmmm");
    await all;
    expect(received()).toBe(count * one.length);
  });

  it("is closed with 1013 when its peer doesn't read, and costs no more memory than maxBufferedBytes", async () => {
    const entrance = await start({ actor: "scripted", maxBufferedBytes: MIB, closeTimeoutMs: 500 });
    const { client } = await open(entrance);
    client.socket.pause();
    const memory = watchMemory();
    client.write(Buffer.concat(Array.from({ length: 16_000 }, () => text('{"do":"send","bytes":65536}'))));
    await noConnections(entrance.board);
    // A gigabyte was sent.
    expect(memory.stop()).toBeLessThan(200 * MIB);
    expect(entrance.board.stats().shards[0]).toMatchObject({ slowConsumersClosed: 1, abnormalClosures: 0 });
  });

  it("delivers the messages sent before and the 1013 when its peer reads at last", async () => {
    const entrance = await start({ actor: "scripted", maxBufferedBytes: 256 * 1024 });
    const { client } = await open(entrance);
    client.socket.pause();
    client.write(Buffer.concat(Array.from({ length: 1_000 }, () => text('{"do":"send","bytes":65536}'))));
    await vi.waitFor(() => expect(entrance.board.stats().shards[0]?.slowConsumersClosed).toBe(1), 10_000);
    client.socket.resume();
    let frame = await client.frame();
    while (frame.opcode !== 0x8) frame = await client.frame();
    expect(frame.payload.readUInt16BE()).toBe(1013);
  });

  it("is reported as closed when its peer vanishes, also with bytes on the way to the peer", async () => {
    const entrance = await start({ actor: "scripted", maxBufferedBytes: 8 * MIB });
    const { client, vanish } = await open(entrance);
    client.write(text('{"do":"who"}'));
    await client.text();
    client.socket.pause();
    client.write(Buffer.concat(Array.from({ length: 64 }, () => text('{"do":"send","bytes":65536}'))));
    await vi.waitFor(() => expect(entrance.board.stats().shards[0]?.messagesReceived).toBe(65), 10_000);
    vanish();
    await noConnections(entrance.board);
    expect(entrance.board.stats().shards[0]).toMatchObject({ abnormalClosures: 1 });
  });

  it("closes when its shard dies, and the next connection is served", async () => {
    const entrance = await start({ actor: "scripted" });
    entrance.board.on("shardLost", () => {});
    const replaced = new Promise((resolve) => entrance.board.once("shardReplaced", resolve));
    const peers = await Promise.all(Array.from({ length: 20 }, () => open(entrance)));
    peers[0]?.client.write(text('{"do":"exit"}'));
    const lost = new Promise((resolve) => entrance.board.once("shardLost", resolve));
    await lost;
    await Promise.all(peers.map(({ client }) => client.closed()));
    await replaced;
    const { client } = await open(entrance);
    client.write(text('{"do":"who"}'));
    expect(JSON.parse(await client.text())).toMatchObject({ shard: 0 });
    expect(entrance.board.stats()).toMatchObject({ connections: 1, upgrades: { accepted: 21 } });
  });

  it("closes in order with the board, and is dropped when its peer doesn't answer", async () => {
    const entrance = await start({});
    const polite = await Promise.all(Array.from({ length: 5 }, () => open(entrance)));
    const silent = await open(entrance);
    const closing = entrance.board.close({ timeoutMs: 2_500 });
    for (const { client } of polite) {
      expect(await client.closeFrame()).toMatchObject({ code: 1001 });
      client.write(close(1001));
      await client.closed();
    }
    expect(await closing).toEqual({ closed: 5, dropped: 1, cut: 0 });
    await silent.client.closed();
  });

  it("leaves no descriptor and no unhandled rejection, however it ends", async () => {
    const rejected = vi.fn();
    process.on("unhandledRejection", rejected);
    onTestFinished(() => void process.off("unhandledRejection", rejected));
    const entrance = await start({});
    const ways: ((peer: Peer) => void)[] = [
      ({ client }) => client.write(close(1000)),
      ({ vanish }) => vanish(),
      ({ client }) => void client.socket.end(),
      ({ client }) => client.write(Buffer.concat([text("unread"), close(1001)])),
      ({ client }) => client.write(Buffer.from("nonsense")),
    ];
    const wave = async (): Promise<void> => {
      const leave = async (_: unknown, i: number): Promise<void> => {
        const peer = await open(entrance, text("hello"));
        expect(await peer.client.text()).toBe("hello");
        ways[i % ways.length]?.(peer);
        peer.client.socket.resume().end();
        await peer.client.closed();
      };
      await Promise.all(Array.from({ length: 100 }, leave));
      await noConnections(entrance.board);
    };
    await wave();
    const before = descriptors();
    for (let i = 0; i < 3; i++) await wave();
    await vi.waitFor(() => expect(descriptors()).toBeLessThanOrEqual(before), 10_000);
    expect(entrance.board.stats()).toMatchObject({ connections: 0, upgrades: { accepted: 400, failed: 0 } });
    expect(rejected).not.toHaveBeenCalled();
  });
});
