import { once } from "node:events";
import { createServer } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { describe, expect, it, vi } from "vitest";
import { type ListenOptions, Switchboard } from "../../../src/index.ts";
import { actorUrl, startBoard } from "../../support/board.ts";
import { CountedClient } from "../../support/counted-client.ts";
import { text } from "../../support/frames.ts";
import { RawClient, upgradeRequest } from "../../support/raw-client.ts";
import { missingUring } from "../../wire/native/availability.ts";

const LARGE = "x".repeat(1_000_000);
const ways: readonly (readonly [string, Partial<ListenOptions>])[] = [
  ["in the main thread", { handshake: "main" }],
  ["in the shards", { handshake: "shard" }],
  ["in shards that accept", { accept: "shard" }],
];

async function ask(client: RawClient, message: string): Promise<string> {
  client.write(text(message));
  return client.text();
}

describe.skipIf(missingUring !== undefined)("a board over io_uring", () => {
  it.each(ways)("echoes small and large messages, with handshakes %s", async (_, attach) => {
    const { board, port } = await startBoard({ sockets: "uring", shards: 2, attach, maxBufferedBytes: 8_000_000 });
    expect(board.stats().sockets).toEqual({ kind: "uring", reason: 'the option sockets: "uring"' });
    const clients = await Promise.all(Array.from({ length: 20 }, () => RawClient.open({ port })));
    for (const [index, client] of clients.entries()) expect(await ask(client, `hello ${index}`)).toBe(`hello ${index}`);
    expect(await ask(clients[0] as RawClient, LARGE)).toBe(LARGE);
    await Promise.all(clients.map((client) => client.close()));
    await vi.waitFor(() => expect(board.stats().connections).toBe(0));
  });

  it("takes the sockets of an attached server", async () => {
    const { board } = await startBoard({ sockets: "uring" });
    const server = createServer((_, response) => response.end("plain"));
    board.attach(server, { path: "/chat" });
    await once(server.listen(0), "listening");
    const { port } = server.address() as AddressInfo;
    const client = await RawClient.open({ port, path: "/chat", head: text("early") });
    expect(await client.text()).toBe("early");
    await client.close();
    server.close();
  });

  it("answers a request that isn't simple, in a shard that accepts", async () => {
    const { port } = await startBoard({ sockets: "uring", attach: { accept: "shard", path: "/chat" } });
    const response = await fetch(`http://127.0.0.1:${port}/elsewhere`);
    expect(response.status).toBe(404);
  });

  it("tells a peer that its request came too late, in a shard that accepts", async () => {
    const attach = { accept: "shard", handshakeTimeoutMs: 200 } as const;
    const { port } = await startBoard({ sockets: "uring", attach });
    const peer = connect(port, "127.0.0.1").on("error", () => {});
    peer.write("GET / HTTP/1.1\r\nHost:");
    expect(String((await once(peer, "data"))[0])).toMatch(/^HTTP\/1.1 408 /);
    peer.destroy();
  });

  it("accepts a client when its first bytes come, in a shard that accepts", async () => {
    const { board, port } = await startBoard({ sockets: "uring", attach: { accept: "shard" } });
    const acceptedHere = (): number | undefined => board.stats().shards[0]?.acceptedHere;
    // The port is the shard's from its first connection on at the latest.
    const clients = [await RawClient.open({ port })];
    // The kernel accepts a silent client after a second: a busy machine may take longer to open the next one.
    const silent = await vi.waitFor(async () => {
      const before = acceptedHere() ?? 0;
      const peer = connect(port, "127.0.0.1");
      await once(peer, "connect");
      clients.push(await RawClient.open({ port }));
      expect(acceptedHere()).toBe(before + 1);
      return peer;
    }, 20_000);
    silent.write(upgradeRequest());
    expect(String((await once(silent, "data"))[0])).toMatch(/^HTTP\/1.1 101 /);
    silent.destroy();
    await Promise.all(clients.map((client) => client.close()));
  });

  it("closes a client that says nothing, in a shard that accepts", async () => {
    const attach = { accept: "shard", handshakeTimeoutMs: 1_500 } as const;
    const { board, port } = await startBoard({ sockets: "uring", attach });
    const client = await RawClient.open({ port });
    await once(connect(port, "127.0.0.1").resume(), "close");
    expect(board.stats().upgrades.timedOut).toBe(1);
    await client.close();
  });

  it.each(["exit", "throw later", "overflow the stack later"])(
    "closes all connections of a shard that dies, and takes new ones on the same port: %s",
    async (command) => {
      const { board, port } = await startBoard({
        actor: "faulty",
        sockets: "uring",
        attach: { accept: "shard" },
      });
      const clients = await Promise.all(Array.from({ length: 10 }, () => RawClient.open({ port })));
      const replaced = once(board as unknown as NodeJS.EventEmitter, "shardReplaced");
      clients[0]?.write(text(command));
      await Promise.all(clients.map((client) => client.closed()));
      await replaced;
      const again = await vi.waitFor(() => RawClient.open({ port }));
      expect(await ask(again, "back")).toBe("back");
    },
  );

  it("moves connections that answer all the time, and a port, to new threads", async () => {
    const { board, port } = await startBoard({
      actor: "counting",
      sockets: "uring",
      shards: 2,
      attach: { accept: "shard" },
    });
    const clients = await Promise.all(Array.from({ length: 12 }, () => CountedClient.open({ port })));
    await vi.waitFor(() => expect(board.stats().connections).toBe(12));
    const { connections } = await board.connections();
    for (const { address } of connections) {
      expect(await board.move(address, 1 - Number.parseInt(address, 10))).toEqual({ moved: true });
    }
    expect(await board.reload()).toMatchObject({ moved: 12, closed: 0 });
    expect((await board.evacuate(0)).stayed).toEqual({});
    clients.push(await CountedClient.open({ port }));
    await Promise.all(clients.map((client) => client.stop()));
    expect(clients.flatMap(({ errors }) => errors)).toEqual([]);
    for (const { socket } of clients) socket.destroy();
  });
});

describe.skipIf(missingUring === undefined)("a board without io_uring", () => {
  it("can't start over it, and says why", async () => {
    const start = Switchboard.start({ actor: actorUrl("echo"), sockets: "uring" });
    await expect(start).rejects.toMatchObject({
      code: "ERR_NO_URING",
      message: expect.stringContaining(missingUring ?? ""),
    });
  });
});
