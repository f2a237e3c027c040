/** Connections that leave a shard as descriptors and bytes, and go on in a shard of another pool. */
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { WebSocket } from "ws";
import type { PassedConnection } from "../../../src/board/shard/moving/messages.ts";
import { BoardTopics } from "../../../src/board/switchboard/board-topics.ts";
import { checkCloseOptions } from "../../../src/board/switchboard/options/close-options.ts";
import { checkStartOptions } from "../../../src/board/switchboard/options/start-options.ts";
import { ShardPool } from "../../../src/board/switchboard/pool/shard-pool.ts";
import { MailRouter } from "../../../src/runtime/mail/mail-router.ts";
import { whyNoPassing } from "../../../src/wire/native/pass-descriptors.ts";
import { whyNoUring } from "../../../src/wire/native/ring.ts";
import { createRawSocketServer } from "../../../src/wire/transport/raw-socket-server.ts";
import { actorUrl } from "../../support/actor-url.ts";

const LISTENER = 0;
const SOCKETS = whyNoUring() === undefined ? (["node", "uring"] as const) : (["node"] as const);

async function startPool(actor: string, sockets: "node" | "uring" = "node"): Promise<ShardPool> {
  const owner = {
    ...{ event: vi.fn(), reported: vi.fn(), shardLost: vi.fn(), shardReplaced: vi.fn(), shardFailed: vi.fn() },
    ...{ clientLeft: vi.fn(), moved: vi.fn(), published: vi.fn(), engineLost: vi.fn(), engineFailed: vi.fn() },
  };
  const mail = new MailRouter({ shard: undefined, mailReceived: () => "gone", mailUndelivered: () => {} });
  const topics = new BoardTopics(undefined, {
    ...{ engineHealthChanged: vi.fn(), engineLost: vi.fn(), controlReceived: vi.fn(), nodeChanged: vi.fn() },
  });
  const settings = checkStartOptions({ actor: actorUrl(actor), shards: 1, warmUp: false, compression: true });
  const pool = await ShardPool.start(settings, sockets, { topics, mail }, owner);
  pool.configure({ listenerId: LISTENER, settings: { route: { handshakeTimeoutMs: 10_000 } } });
  onTestFinished(async () => {
    await pool.close(checkCloseOptions({ timeoutMs: 0 }));
    topics.close();
  });
  return pool;
}

async function listen(pool: ShardPool): Promise<number> {
  const server = createRawSocketServer((socket) => void pool.handles[0]?.handOffRawSocket(socket, LISTENER, undefined));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  return (server.address() as AddressInfo).port;
}

/** A client that always has messages on their way, and checks what comes back, in order. */
class Client {
  readonly #socket: WebSocket;
  #sent = 0;
  #received = 0;
  #stopped = false;
  fault: string | undefined;
  readonly opened: Promise<unknown>;
  readonly #idle = Promise.withResolvers<void>();

  constructor(port: number, compressed: boolean) {
    this.#socket = new WebSocket(`ws://127.0.0.1:${port}/`, { perMessageDeflate: compressed });
    this.opened = once(this.#socket, "open");
    this.#socket.on("open", () => {
      for (let more = 0; more < 3; more++) this.#send();
    });
    this.#socket.on("message", (data: Buffer) => this.#check(data));
    this.#socket.on("error", () => {});
    this.#socket.on("close", (code) => this.#fail(`closed with ${code}`));
  }

  /** Sends no more, and resolves when all answers have come, or a fault. */
  async stop(): Promise<string | undefined> {
    this.#stopped = true;
    if (this.#received === this.#sent) this.#idle.resolve();
    await this.#idle.promise;
    this.#socket.terminate();
    return this.fault;
  }

  #body(number: number): Buffer {
    return Buffer.alloc(1 + ((number * 7_919) % 60_000), `${number} `);
  }

  #send(): void {
    this.#socket.send(this.#body(this.#sent++));
  }

  #check(data: Buffer): void {
    const number = this.#received++;
    if (data.readUInt32BE() !== number) this.#fail(`answer ${number} has the number ${data.readUInt32BE()}`);
    else if (!data.subarray(4).equals(this.#body(number))) this.#fail(`answer ${number} is another`);
    else if (!this.#stopped) this.#send();
    else if (this.#received === this.#sent) this.#idle.resolve();
  }

  #fail(what: string): void {
    if (this.#stopped && this.#received === this.#sent) return;
    this.fault ??= what;
    this.#idle.resolve();
  }
}

/** Takes all connections out of the shard of a pool. */
async function giveUp(pool: ShardPool): Promise<PassedConnection[]> {
  const all: PassedConnection[] = [];
  await pool.query(0, { kind: "suspendAll", limitMs: 20_000 }, 60_000);
  for (;;) {
    const some = await pool.query(0, { kind: "passOut", count: 8 }, 60_000);
    if (some === undefined || some.length === 0) return all;
    for (const { socket, state, shard } of some) {
      if ("descriptor" in socket) all.push({ descriptor: socket.descriptor, state, shard });
    }
  }
}

describe.skipIf(whyNoPassing() !== undefined)("connections that leave a shard as descriptors", () => {
  it("go on in another, and back, with every message once and in order", async () => {
    const pools = [await startPool("counting"), await startPool("counting")] as const;
    const port = await listen(pools[0]);
    const clients = Array.from({ length: 20 }, (_, index) => new Client(port, index % 2 === 0));
    await Promise.all(clients.map(({ opened }) => opened));
    for (let turn = 0; turn < 6; turn++) {
      const [from, to] = turn % 2 === 0 ? pools : [pools[1], pools[0]];
      const passed = await giveUp(from);
      expect(passed).toHaveLength(clients.length);
      expect(from.counters()[0]?.connections).toBe(0);
      expect(await to.query(0, { kind: "passIn", connections: passed, isReturn: false })).toEqual({});
      expect(await to.query(0, { kind: "startPassed" })).toEqual({ running: clients.length, clientKeys: [] });
      expect(to.counters()[0]?.connections).toBe(clients.length);
    }
    const faults = await Promise.all(clients.map((client) => client.stop()));
    expect(faults.filter((fault) => fault !== undefined)).toEqual([]);
  });

  it.each(SOCKETS)("go on together: each finds the others, over sockets of %s", async (sockets) => {
    const pools = [await startPool("asking", sockets), await startPool("asking", sockets)] as const;
    const port = await listen(pools[0]);
    const clients: { readonly socket: WebSocket; readonly address: string }[] = [];
    for (let opened = 0; opened < 4; opened++) {
      const socket = new WebSocket(`ws://127.0.0.1:${port}/`);
      onTestFinished(() => socket.terminate());
      clients.push({ socket, address: String((await once(socket, "message"))[0]) });
    }
    await pools[0].query(0, { kind: "suspendAll", limitMs: 20_000 }, 60_000);
    // The first asks the last, and the third one the second: one of the two begins before the other has begun.
    const asks = [
      [0, 3],
      [2, 1],
    ] as const;
    const answers = asks.map(async ([from, to]) => {
      const { socket } = clients[from] as (typeof clients)[0];
      socket.send(clients[to]?.address ?? "");
      return Promise.race([once(socket, "message"), once(socket, "close")]);
    });
    const passed = await giveUp(pools[0]);
    await pools[1].query(0, { kind: "passIn", connections: passed, isReturn: false });
    expect(await pools[1].query(0, { kind: "startPassed" })).toMatchObject({ running: 4 });
    expect((await Promise.all(answers)).map(([data]) => String(data))).toEqual(["1", "1"]);
  });

  it("stay if the class of their actor has no `moves`", async () => {
    const pool = await startPool("echo");
    const socket = new WebSocket(`ws://127.0.0.1:${await listen(pool)}/`);
    await once(socket, "open");
    expect(await giveUp(pool)).toEqual([]);
    socket.send("still here");
    expect(String((await once(socket, "message"))[0])).toBe("still here");
    socket.terminate();
  });

  it("are refused with a state that can't be read, and go on where they came from", async () => {
    const pool = await startPool("counting");
    const socket = new WebSocket(`ws://127.0.0.1:${await listen(pool)}/`);
    await once(socket, "open");
    const [passed] = await giveUp(pool);
    if (passed === undefined) throw new Error("nothing was given up");
    const broken = { ...passed, state: Buffer.from("broken") };
    const taken = await pool.query(0, { kind: "passIn", connections: [broken], isReturn: false });
    expect(taken?.error).toMatchObject({ message: expect.stringMatching(/deserialize/) });
    expect(await pool.query(0, { kind: "passIn", connections: [passed], isReturn: true })).toEqual({});
    expect(await pool.query(0, { kind: "startPassed" })).toEqual({ running: 1, clientKeys: [] });
    socket.send("on");
    expect((await once(socket, "message"))[0].toString()).toMatch(/on$/);
    socket.terminate();
  });
});
