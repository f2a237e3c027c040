import { once } from "node:events";
import { type AddressInfo, connect as connectSocket, createServer, type Server, type Socket } from "node:net";
import { expect, it, onTestFinished, vi } from "vitest";
import { ListeningSockets } from "../../../../src/board/switchboard/listen/listening-sockets.ts";
import { ReusePortListener } from "../../../../src/board/switchboard/listen/reuse-port-listener.ts";
import { type StartOptions, Switchboard } from "../../../../src/index.ts";
import { holdsByNumber } from "../../../../src/wire/passing/passed-sockets.ts";
import { connect } from "../../../../src/wire/websocket/index.ts";
import { actorUrl, startBoard } from "../../../support/board.ts";
import { selfSigned } from "../../../support/certificate.ts";
import { close, text } from "../../../support/frames.ts";
import { RawClient, upgradeRequest } from "../../../support/raw-client.ts";

function start(options: Partial<StartOptions> = {}, attach: object = {}): ReturnType<typeof startBoard> {
  return startBoard({ ...options, actor: "scripted", attach: { accept: "shard", ...attach } });
}

it.each([1, 2])("accepts with each of %i shards, and carries messages both ways", async (shards) => {
  const { board, port } = await start({ shards });
  const clients = await Promise.all(Array.from({ length: 64 }, () => RawClient.open({ port })));
  for (const client of clients) {
    client.write(text('{"do":"who"}'));
    expect(JSON.parse(await client.text())).toMatchObject({ params: {} });
  }
  const spread = board.stats().shards.map(({ connections }) => connections);
  expect(spread.reduce((sum, count) => sum + count)).toBe(64);
  for (const count of spread) expect(count).toBeGreaterThan(0);
  expect(board.stats().upgrades.accepted).toBe(64);
});

it("delivers frames that came in one packet with the request", async () => {
  const { port } = await start();
  const client = await RawClient.open({ port, head: text('{"do":"who"}') });
  expect(JSON.parse(await client.text())).toMatchObject({ shard: 0 });
});

it("accepts a request that comes in pieces, and the frames after it", async () => {
  const { board, port } = await start();
  const bytes = Buffer.concat([Buffer.from(upgradeRequest()), text('{"do":"who"}')]);
  const socket = connectSocket({ port, host: "127.0.0.1", noDelay: true });
  onTestFinished(() => void socket.destroy());
  await once(socket, "connect");
  for (const byte of bytes) await new Promise((resolve) => socket.write(Buffer.from([byte]), resolve));
  let answer = "";
  for await (const chunk of socket) {
    answer += chunk;
    if (answer.includes('"shard":0')) break;
  }
  expect(answer).toMatch(/^HTTP\/1.1 101 /);
  expect(board.stats().upgrades).toMatchObject({ accepted: 1, abandoned: 0, timedOut: 0 });
});

it("counts peers that send nothing, send half a request or leave, and keeps nothing of them", async () => {
  const { board, port } = await start({}, { handshakeTimeoutMs: 1_500 });
  const left = connectSocket({ port, host: "127.0.0.1" });
  await once(left, "connect");
  left.end();
  const silent = connectSocket({ port, host: "127.0.0.1" });
  const slow = connectSocket({ port, host: "127.0.0.1" });
  slow.write("GET / HTTP/1.1\r\nHost:");
  const [answer] = await Promise.all([
    once(slow, "data").then(([chunk]) => String(chunk)),
    once(silent.resume(), "close"),
    once(left.resume(), "close"),
  ]);
  expect(answer).toMatch(/^HTTP\/1.1 408 /);
  await vi.waitFor(() => {
    expect(board.stats().upgrades).toMatchObject({ accepted: 0, abandoned: 1, timedOut: 2 });
    expect(board.stats().shards[0]).toMatchObject({ acceptedHere: 3, departed: 3, handshakes: 0 });
  });
});

it("also speaks TLS", async () => {
  const { key, cert } = selfSigned();
  const { port } = await start({ shards: 2 }, { tls: { key, cert } });
  const socket = await connect(`wss://localhost:${port}/`, { tls: { ca: cert } });
  await socket.send('{"do":"who"}');
  for await (const message of socket) {
    expect(message.text).toContain('"shard"');
    break;
  }
});

it("rejects for a port that another server uses, even one that would share it", async () => {
  for (const reusePort of [false, true]) {
    const other = createServer().listen({ port: 0, host: "127.0.0.1", reusePort });
    onTestFinished(() => void other.close());
    await once(other, "listening");
    const { port } = other.address() as AddressInfo;
    for (const shards of [1, 2]) {
      const board = await Switchboard.start({ actor: actorUrl("echo"), shards });
      onTestFinished(() => void board.close());
      await expect(board.listen({ port, host: "127.0.0.1", accept: "shard" })).rejects.toThrow("EADDRINUSE");
    }
  }
});

it.each([1, 2])("accepts again after one of %i shards was replaced", async (shards) => {
  const { board, port } = await start({ shards });
  board.on("shardLost", () => {});
  const replaced = new Promise((resolve) => board.once("shardReplaced", resolve));
  const lost = await RawClient.open({ port });
  lost.write(text('{"do":"exit"}'));
  await lost.closed();
  await replaced;
  await Promise.all(Array.from({ length: 64 }, () => RawClient.open({ port })));
  for (const { connections } of board.stats().shards) expect(connections).toBeGreaterThan(0);
});

it("refuses connections once it closes", async () => {
  const { board, port } = await start({ shards: 2 });
  const client = await RawClient.open({ port });
  const closed = board.close();
  expect(await client.closeFrame()).toMatchObject({ code: 1001 });
  client.write(close(1001));
  await closed;
  await expect(RawClient.open({ port })).rejects.toThrow("ECONNREFUSED");
});

it("answers requests that aren't upgrades, and invalid upgrades", async () => {
  const { board, port } = await start({}, { path: "/chat" });
  expect((await fetch(`http://127.0.0.1:${port}/chat`)).status).toBe(426);
  expect((await fetch(`http://127.0.0.1:${port}/other`)).status).toBe(404);
  await expect(RawClient.open({ port, path: "/other" })).rejects.toThrow("404");
  await expect(RawClient.open({ port, path: "/chat", headers: { "Sec-WebSocket-Key": "x" } })).rejects.toThrow("400");
  await RawClient.open({ port, path: "/chat" });
  await vi.waitFor(() => {
    expect(board.stats().upgrades).toMatchObject({ accepted: 1, refused: { 400: 1, 404: 1 }, abandoned: 0 });
    expect(board.stats().shards[0]).toMatchObject({ connections: 1 });
  });
});

it.each([
  { options: { maxConnections: 10 }, needs: "a limit of connections or upgrades" },
  { options: { placement: "roundRobin" }, needs: "a placement" },
] as const)("refuses $options, which the main thread would have to look after", async ({ options, needs }) => {
  const board = await Switchboard.start({ actor: actorUrl("echo"), shards: 1, ...options });
  onTestFinished(() => void board.close());
  await expect(board.listen({ port: 0, accept: "shard" })).rejects.toThrow(`${needs} needs the main thread to accept`);
});

it("counts open connections without those that have ended", async () => {
  const { board, port } = await start();
  const clients = [await RawClient.open({ port }), await RawClient.open({ port })];
  await clients[0]?.close();
  await vi.waitFor(() => expect(board.stats().shards[0]).toMatchObject({ acceptedHere: 2, departed: 1 }));
});

it("rejects handshakes in the main thread", async () => {
  const board = await Switchboard.start({ actor: actorUrl("echo"), shards: 1 });
  onTestFinished(() => void board.close());
  await expect(board.listen({ port: 0, accept: "shard", handshake: "main" })).rejects.toThrow(
    'leave handshake out, or make it "shard"',
  );
});

const settings = { route: { handshakeTimeoutMs: 1_000 } };

it.each([
  {
    failing: [1],
    opens: true,
    name: "opens the port, and gives a shard its server later, when one shard can't get it",
  },
  { failing: [0, 1, 2], opens: false, name: "leaves nothing bound when no shard can get its server" },
])("$name", async ({ failing, opens }) => {
  const servers = new Map<number, Server>();
  const fails = new Set(failing);
  const acceptFailed = vi.fn<(error: Error) => void>();
  const { signal } = new AbortController();
  const late = Promise.withResolvers<void>();
  const port = new ReusePortListener(0, settings, {
    shards: 3,
    closing: signal,
    sockets: new ListeningSockets(false),
    forward: () => {},
    giveServer: (shard, server) => {
      if (fails.delete(shard)) {
        server.close();
        throw new Error("no descriptor left");
      }
      servers.set(shard, server);
      if (servers.size === 3) late.resolve();
    },
    acceptFailed,
  });
  onTestFinished(() => {
    port.close();
    for (const server of servers.values()) server.close();
  });
  const listening = port.listen(0, "127.0.0.1", signal);
  if (!opens) {
    await expect(listening).rejects.toThrow("no descriptor left");
    expect(servers.size).toBe(0);
    return;
  }
  const address = await listening;
  expect([...servers.keys()]).toEqual([0, 2]);
  expect(acceptFailed).toHaveBeenCalledOnce();
  await late.promise;
  expect(servers.get(1)?.address()).toEqual(address);
});

it("gives a replaced shard its port again after a failure, and reports the failure", async () => {
  const given: Server[] = [];
  const failures: Error[] = [];
  let fails = false;
  const { signal } = new AbortController();
  const reopened = Promise.withResolvers<void>();
  const port = new ReusePortListener(0, settings, {
    shards: 1,
    closing: signal,
    sockets: new ListeningSockets(false),
    forward: () => {},
    giveServer: (_, server) => {
      if (fails) {
        fails = false;
        server.close();
        throw new Error("no descriptor left");
      }
      if (given.push(server) === 2) reopened.resolve();
    },
    acceptFailed: (error) => failures.push(error),
  });
  onTestFinished(() => {
    port.close();
    for (const server of given) server.close();
  });
  const address = await port.listen(0, "127.0.0.1", signal);
  given[0]?.close();
  fails = true;
  await port.reopen(0);
  expect(failures.map(({ message }) => message)).toEqual(["no descriptor left"]);
  await reopened.promise;
  const peer = connectSocket(address.port, "127.0.0.1");
  await once(peer, "connect");
  peer.destroy();
});

it.skipIf(!holdsByNumber())(
  "leaves a port for takeovers to the other shards when one isn't started again",
  async () => {
    const servers = new Map<number, Server>();
    const { signal } = new AbortController();
    const port = new ReusePortListener(0, settings, {
      shards: 2,
      closing: signal,
      sockets: new ListeningSockets(true),
      forward: () => {},
      giveServer: (shard, server) => void servers.set(shard, server),
      acceptFailed: () => {},
    });
    onTestFinished(() => {
      port.close();
      for (const server of servers.values()) server.close();
    });
    const address = await port.listen(0, "127.0.0.1", signal);
    let accepted = 0;
    servers.get(0)?.on("connection", (socket: Socket) => {
      accepted++;
      socket.destroy();
    });
    servers.get(1)?.close();
    port.shardFailed(1);
    expect(port.descriptors).toHaveLength(1);
    // The kernel would give half of them to the other socket.
    const peers = Array.from({ length: 40 }, () => connectSocket(address.port, "127.0.0.1").resume());
    await Promise.all(peers.map((peer) => once(peer, "close")));
    expect(accepted).toBe(40);
  },
);

it("gives another shard its port again after one isn't started again", async () => {
  const servers = new Map<number, Server>();
  const { signal } = new AbortController();
  const port = new ReusePortListener(0, settings, {
    shards: 2,
    closing: signal,
    sockets: new ListeningSockets(false),
    forward: () => {},
    giveServer: (shard, server) => void servers.set(shard, server),
    acceptFailed: () => {},
  });
  onTestFinished(() => {
    port.close();
    for (const server of servers.values()) server.close();
  });
  const address = await port.listen(0, "127.0.0.1", signal);
  for (const server of servers.values()) server.close();
  servers.clear();
  port.shardFailed(1);
  await port.reopen(0);
  expect(servers.get(0)?.address()).toEqual(address);
});

it.skipIf(!holdsByNumber())(
  "gives a shard that is replaced during a takeover its port when the pause ends",
  async () => {
    const given: { readonly shard: number; readonly server: Server }[] = [];
    const failures: Error[] = [];
    const { signal } = new AbortController();
    let fails = false;
    const port = new ReusePortListener(0, settings, {
      shards: 2,
      closing: signal,
      sockets: new ListeningSockets(true),
      forward: () => {},
      giveServer: (shard, server) => {
        given.push({ shard, server });
        if (fails && shard === 0) throw new Error("no descriptor left");
      },
      acceptFailed: (error) => failures.push(error),
    });
    onTestFinished(() => {
      port.close();
      for (const { server } of given) server.close();
    });
    await port.listen(0, "127.0.0.1", signal);
    for (const { server } of given.splice(0)) server.close();
    port.pause();
    await port.reopen(1);
    expect(given).toEqual([]);
    // A shard that gets no socket is tried again later, and keeps no other shard waiting.
    fails = true;
    await port.goOn();
    expect(given.map(({ shard }) => shard)).toEqual([0, 1]);
    expect(failures.map(({ message }) => message)).toEqual(["no descriptor left"]);
  },
);
