/** Boards that are taken over by other processes, with clients that know nothing of it and check every byte. */
import { once } from "node:events";
import { get } from "node:http";
import { describe, expect, it, onTestFinished } from "vitest";
import { WebSocket } from "ws";
import { whyNoPassing } from "../../../src/wire/native/pass-descriptors.ts";
import { whyNoUring } from "../../../src/wire/native/ring.ts";
import { allAnswered, expectAllRight, openClients } from "./counted-clients.ts";
import type { ServerOptions } from "./programs/server.ts";
import { ServerProcess, takeoverPath } from "./server-process.ts";

/** True in `npm run takeovers`: longer chains, and more ways. */
const all = process.env["TAKEOVERS"] === "all";
/** Version of the last process of a chain. */
const LAST = all ? 6 : 2;
const WAYS = [
  { way: "accepts in the main thread", listen: [{}] },
  { way: "accepts in the shards", listen: [{ accept: "shard" }] },
  { way: "has a server of the program's", listen: ["http"] as const },
  { way: "does handshakes in the main thread", listen: [{ handshake: "main" }] },
  { way: "uses io_uring", listen: [{ accept: "shard" }], sockets: "uring" },
];

describe.skipIf(whyNoPassing() !== undefined)("a board with the option takeover", () => {
  const ways = WAYS.slice(0, all ? undefined : 3).filter(
    ({ sockets }) => sockets !== "uring" || whyNoUring() === undefined,
  );
  it.each(ways)("gives everything to the next process when it $way", async ({ listen, sockets = "node" }) => {
    const start = { actor: "counting", sockets, takeover: takeoverPath(), shards: 2, warmUp: false };
    const options = { listen, start: start as ServerOptions["start"] };
    let old = new ServerProcess(options);
    const { ports } = await old.tells("listening");
    const port = ports[0] as number;
    const sizeOf = (number: number): number => 20 + ((number * 7_919) % 20_000);
    const clients = await openClients(20, { port, sizeOf, pieceBytes: 900, thinkMs: 5 });
    for (let version = 2; version <= LAST; version++) {
      const next = new ServerProcess(options);
      const taken = { connections: clients.length, predecessorDied: false, unclaimed: [] };
      expect(await next.tells("takenOver")).toMatchObject(taken);
      expect(await next.tells("listening")).toEqual({ event: "listening", ports });
      expect(await old.tells("handedOver")).toMatchObject({ connections: clients.length });
      const stderr = sockets === "uring" ? expect.stringMatching(/node:ffi, which is experimental/) : "";
      expect(await old.end()).toEqual({ code: 0, signal: null, stderr });
      await allAnswered(clients);
      clients.push(...(await openClients(2, { port })));
      old = next;
    }
    await expectAllRight(clients);
  });

  it.runIf(all)(
    "goes to a process that listens on fewer ports 10 s after its last call, and names the others",
    async () => {
      const start = { actor: "counting", takeover: takeoverPath(), shards: 1, warmUp: false };
      const old = new ServerProcess({ start, listen: [{}, {}] });
      const { ports } = await old.tells("listening");
      const [port, other] = ports as [number, number];
      const clients = [...(await openClients(3, { port })), ...(await openClients(3, { port: other }))];
      const next = new ServerProcess({ start, listen: [{ port }] });
      expect(await next.tells("listening")).toEqual({ event: "listening", ports: [port] });
      // The old process serves meanwhile.
      await allAnswered(clients);
      const { connections, unclaimed, ms } = await next.tells("takenOver");
      expect({ connections, unclaimed }).toEqual({ connections: 6, unclaimed: [`127.0.0.1:${other}`] });
      expect(ms).toBeGreaterThan(9_900);
      await allAnswered(clients);
      await expectAllRight(clients);
    },
  );

  it("brings every publish of all processes to every subscriber once, in order, while they move", async () => {
    const start = { actor: "ticking", takeover: takeoverPath(), shards: 2, warmUp: false };
    const run = (name: number) => new ServerProcess({ start, listen: [{}], ticks: String(name) });
    let old = run(0);
    const { ports } = await old.tells("listening");
    const clients = await Promise.all(Array.from({ length: 20 }, () => TickClient.open(ports[0] as number)));
    const published: number[] = [];
    for (let name = 1; name <= 2; name++) {
      const next = run(name);
      await next.tells("takenOver");
      const { ticks } = await old.tells("ended");
      published.push(ticks);
      await Promise.all(clients.map((client) => client.gets(name - 1, ticks)));
      old = next;
    }
    for (const { errors, nextOf } of clients) {
      expect(errors).toEqual([]);
      expect([nextOf.get("0"), nextOf.get("1")]).toEqual(published);
    }
  });

  it("moves actors that ask each other all the time, with every answer once", async () => {
    const start = { actor: "asking", takeover: takeoverPath(), shards: 2, warmUp: false };
    const old = new ServerProcess({ start, listen: [{}] });
    const { ports } = await old.tells("listening");
    const clients = await Promise.all(Array.from({ length: 20 }, () => AskClient.open(ports[0] as number)));
    // An actor that is asked asks nobody: it would answer only when it has its own answer.
    const asking = clients.slice(0, 10);
    for (const [index, client] of asking.entries()) client.ask(clients[10 + index]?.address ?? "");
    const next = new ServerProcess({ start, listen: [{}] });
    expect(await next.tells("takenOver")).toMatchObject({ connections: clients.length });
    await Promise.all(asking.map((client) => client.gets()));
    expect(clients.flatMap(({ errors }) => errors)).toEqual([]);
  });

  it("finishes the HTTP requests of the old process, and answers the others in the new one", async () => {
    const options = {
      start: { actor: "counting", takeover: takeoverPath(), shards: 1, warmUp: false },
      listen: ["http"] as const,
    };
    const old = new ServerProcess(options);
    const { ports } = await old.tells("listening");
    const url = `http://127.0.0.1:${ports[0]}`;
    const slow = fetch(`${url}/slow`);
    await old.tells("asked");
    const next = new ServerProcess(options);
    await next.tells("takenOver");
    expect(await (await fetch(url)).text()).toBe(String(next.program.pid));
    old.program.kill("SIGUSR2");
    expect(await (await slow).text()).toBe(String(old.program.pid));
    expect(await old.end()).toEqual({ code: 0, signal: null, stderr: "" });
  });

  it.runIf(all)("passes on a Unix socket of the program's", async () => {
    const takeover = takeoverPath();
    const socketPath = `${takeover}.http`;
    const options = {
      start: { actor: "counting", takeover, shards: 1, warmUp: false },
      listen: [{ path: socketPath }],
    };
    const ask = async (): Promise<string> => {
      const [response] = await once(get({ socketPath, agent: false }), "response");
      return String(await response.toArray());
    };
    let old = new ServerProcess(options);
    await old.tells("listening");
    for (let version = 2; version <= 3; version++) {
      expect(await ask()).toBe(String(old.program.pid));
      const next = new ServerProcess(options);
      await next.tells("takenOver");
      await old.end();
      old = next;
    }
    expect(await ask()).toBe(String(old.program.pid));
  });

  it("closes what can't move with 1012", async () => {
    const start = { actor: "echo", takeover: takeoverPath(), shards: 1, warmUp: false };
    const old = new ServerProcess({ start, listen: [{}] });
    const { ports } = await old.tells("listening");
    const socket = new WebSocket(`ws://127.0.0.1:${ports[0]}`);
    await once(socket, "open");
    const closed = once(socket, "close");
    const next = new ServerProcess({ start, listen: [{}] });
    expect(await next.tells("takenOver")).toMatchObject({ connections: 0 });
    const [code, reason] = await closed;
    expect([code, String(reason)]).toEqual([1012, "server is restarting"]);
    expect(await old.tells("closed")).toMatchObject({ closed: 1, dropped: 0 });
  });

  it("takes the path from the environment, and does without a takeover where there is none", async () => {
    const start = { actor: "counting", takeover: true, shards: 1, warmUp: false };
    const env = { SWITCHBOARD_TAKEOVER: takeoverPath() };
    const alone = new ServerProcess({ start, listen: [{}] });
    const old = new ServerProcess({ start, listen: [{}] }, env);
    for (const one of [alone, old]) await one.tells("listening");
    const next = new ServerProcess({ start, listen: [{}] }, env);
    expect(await next.tells("takenOver")).toMatchObject({ connections: 0, predecessorDied: false });
    expect(await old.end()).toMatchObject({ code: 0, stderr: "" });
  });
});

/** A client of an `Asking` actor, which says the same address again after each answer. */
class AskClient {
  readonly errors: string[] = [];
  readonly address: string;
  readonly #socket: WebSocket;
  #asked = "";
  #sum = 0;

  private constructor(socket: WebSocket, address: string) {
    this.#socket = socket;
    this.address = address;
    socket.on("message", (data) => {
      if (String(data) !== String(++this.#sum)) this.errors.push(`${data} in place of ${this.#sum}`);
      socket.send(this.#asked);
    });
    socket.on("close", (code) => this.errors.push(`closed with ${code} after ${this.#sum}`));
    onTestFinished(() => socket.terminate());
  }

  static async open(port: number): Promise<AskClient> {
    const socket = new WebSocket(`ws://127.0.0.1:${port}`);
    return new AskClient(socket, String((await once(socket, "message"))[0]));
  }

  ask(address: string): void {
    this.#asked = address;
    this.#socket.send(address);
  }

  /** Resolves when another answer has come. */
  async gets(): Promise<void> {
    if (this.errors.length === 0) await once(this.#socket, "message");
  }
}

/** A client of a `Ticking` actor, which counts what comes from each publisher. */
class TickClient {
  readonly errors: string[] = [];
  /** Number of the next tick, by the publisher's name. */
  readonly nextOf = new Map<string, number>();
  readonly #socket: WebSocket;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.on("message", (data) => this.#take(String(data)));
    socket.on("close", (code) => this.errors.push(`closed with ${code}`));
    onTestFinished(() => socket.terminate());
  }

  static async open(port: number): Promise<TickClient> {
    const socket = new WebSocket(`ws://127.0.0.1:${port}`);
    await once(socket, "message");
    return new TickClient(socket);
  }

  /** Resolves when so many ticks of a publisher have come. */
  async gets(name: number, ticks: number): Promise<void> {
    while ((this.nextOf.get(String(name)) ?? 0) < ticks) await once(this.#socket, "message");
  }

  #take(text: string): void {
    const [name = "", number = ""] = text.split(" ");
    // A client of the first process may have come later than its first tick.
    const expected = this.nextOf.get(name) ?? (name === "0" ? Number(number) : 0);
    if (Number(number) !== expected) this.errors.push(`${text} in place of ${expected}`);
    this.nextOf.set(name, Number(number) + 1);
  }
}
