/** Connections that leave a shard as descriptors and bytes, and go on in a shard of another pool. */
import { once } from "node:events";
import { fstatSync } from "node:fs";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { WebSocket } from "ws";
import { whyNoPassing } from "../../../src/wire/native/pass-descriptors.ts";
import { whyNoUring } from "../../../src/wire/native/ring.ts";
import { giveUpAll, listenFor, startPool } from "../../support/shard-pool.ts";

const SOCKETS = whyNoUring() === undefined ? (["node", "uring"] as const) : (["node"] as const);

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

function inodeOf(descriptor: number): number | undefined {
  try {
    return fstatSync(descriptor).ino;
  } catch {
    return undefined;
  }
}

describe.skipIf(whyNoPassing() !== undefined)("connections that leave a shard as descriptors", () => {
  it("go on in another, and back, with every message once and in order", async () => {
    const pools = [await startPool("counting"), await startPool("counting")] as const;
    const port = await listenFor(pools[0]);
    const clients = Array.from({ length: 20 }, (_, index) => new Client(port, index % 2 === 0));
    await Promise.all(clients.map(({ opened }) => opened));
    for (let turn = 0; turn < 6; turn++) {
      const [from, to] = turn % 2 === 0 ? pools : [pools[1], pools[0]];
      const passed = await giveUpAll(from);
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
    const pools = [await startPool("asking", { sockets }), await startPool("asking", { sockets })] as const;
    const port = await listenFor(pools[0]);
    const clients: { readonly socket: WebSocket; readonly address: string }[] = [];
    for (let opened = 0; opened < 4; opened++) {
      const socket = new WebSocket(`ws://127.0.0.1:${port}/`);
      onTestFinished(() => socket.terminate());
      clients.push({ socket, address: String((await once(socket, "message"))[0]) });
    }
    await pools[0].query(0, { kind: "suspendAll", limitMs: 20_000, fewLimitMs: 20_000 }, 60_000);
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
    const passed = await giveUpAll(pools[0]);
    await pools[1].query(0, { kind: "passIn", connections: passed, isReturn: false });
    expect(await pools[1].query(0, { kind: "startPassed" })).toMatchObject({ running: 4 });
    expect((await Promise.all(answers)).map(([data]) => String(data))).toEqual(["1", "1"]);
  });

  it("can send their sockets ahead, and go on meanwhile, also one that ends", async () => {
    const pool = await startPool("counting");
    const port = await listenFor(pool);
    const clients = Array.from({ length: 5 }, () => new Client(port, false));
    await Promise.all(clients.map(({ opened }) => opened));
    const first = await pool.query(0, { kind: "lend", count: 3, first: 10 });
    expect(first?.map(({ number }) => number)).toEqual([10, 11, 12]);
    expect(await clients.pop()?.stop()).toBeUndefined();
    const second = await pool.query(0, { kind: "lend", count: 3, first: 13 });
    const lent = [...(first ?? []), ...(second ?? [])];
    expect(await pool.query(0, { kind: "lend", count: 3, first: 20 })).toEqual([]);
    await vi.waitFor(() => expect(pool.counters()[0]?.connections).toBe(clients.length));
    const inodes = new Map(lent.map(({ number, descriptor }) => [number, inodeOf(descriptor)]));
    const late = new Client(port, false);
    await late.opened;
    const passed = await giveUpAll(pool);
    expect(passed.filter(({ ahead }) => ahead === undefined)).toHaveLength(1);
    for (const { descriptor, ahead } of passed) {
      if (ahead !== undefined) expect(inodes.get(ahead)).toBe(inodeOf(descriptor));
    }
    await pool.query(0, { kind: "passIn", connections: passed, isReturn: true });
    expect(await pool.query(0, { kind: "startPassed" })).toMatchObject({ running: clients.length + 1 });
    expect(await Promise.all([...clients, late].map((client) => client.stop()))).toEqual(Array(5).fill(undefined));
  });

  it("stay if the class of their actor has no `moves`", async () => {
    const pool = await startPool("echo");
    const socket = new WebSocket(`ws://127.0.0.1:${await listenFor(pool)}/`);
    await once(socket, "open");
    expect(await giveUpAll(pool)).toEqual([]);
    socket.send("still here");
    expect(String((await once(socket, "message"))[0])).toBe("still here");
    socket.terminate();
  });

  it("are refused with a state that can't be read, and go on where they came from", async () => {
    const pool = await startPool("counting");
    const socket = new WebSocket(`ws://127.0.0.1:${await listenFor(pool)}/`);
    await once(socket, "open");
    const [passed] = await giveUpAll(pool);
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
