import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect, it, onTestFinished } from "vitest";
import { WebSocket } from "ws";
import type { Address, Switchboard } from "../../../src/index.ts";
import { startBoard, type TestBoardOptions } from "../../support/board.ts";
import { CountedClient } from "../../support/counted-client.ts";
import { clientFrame } from "../../support/frames.ts";
import { RawClient, upgradeRequest } from "../../support/raw-client.ts";
import { missingUring } from "../../wire/native/availability.ts";

const index = new URL("../../../src/index.ts", import.meta.url).href;

/** The actor of `CountedClient`, in a version whose state has another shape than that of the version before. */
function counting(version: number): string {
  return `
    import { Actor } from ${JSON.stringify(index)};
    export default class Counting extends Actor {
      static moves = ${version};
      #count = 0;
      suspended() {
        return { ["count" + ${version}]: this.#count };
      }
      resumed(state, version) {
        this.#count = state["count" + version];
      }
      received(message) {
        if (message.text === "version") {
          this.send("${version} on " + this.shard);
          return;
        }
        const answer = Buffer.allocUnsafe(4 + message.byteLength);
        answer.writeUInt32BE(this.#count++);
        message.bytes.copy(answer, 4);
        this.send(answer);
      }
      closed(code) {
        Actor.report("closed " + code);
      }
    }
  `;
}

/** An actor that doesn't move. */
const STAYING = `
  import { Actor } from ${JSON.stringify(index)};
  export default class Staying extends Actor {
    received(message) {
      this.send(message);
    }
  }
`;

interface Reloadable {
  readonly board: Switchboard;
  readonly port: number;
  /** Writes another version of the actor module. */
  write(source: string): Promise<void>;
}

async function startReloadable(source: string, options: TestBoardOptions = {}): Promise<Reloadable> {
  const folder = await mkdtemp(join(tmpdir(), "switchboard-reload-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const file = join(folder, "actor.mjs");
  const write = (text: string): Promise<void> => writeFile(file, text);
  await write(source);
  const { board, port } = await startBoard({ actor: pathToFileURL(file), shards: 2, ...options });
  return { board, port, write };
}

async function openClients(count: number, port: number): Promise<CountedClient[]> {
  const clients = await Promise.all(Array.from({ length: count }, () => CountedClient.open({ port, thinkMs: 5 })));
  onTestFinished(() => {
    for (const { socket } of clients) socket.destroy();
  });
  return clients;
}

/** Sends a text and resolves with the next message. */
function ask(socket: WebSocket, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const closed = (code: number): void => reject(new Error(`closed with ${code}`));
    socket.once("close", closed);
    socket.once("message", (data) => {
      socket.off("close", closed);
      resolve(String(data));
    });
    socket.send(text);
  });
}

async function open(port: number): Promise<WebSocket> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/`);
  onTestFinished(() => socket.terminate());
  await new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject));
  return socket;
}

it("puts new code under connections that answer all the time, again and again", async () => {
  const { board, port, write } = await startReloadable(counting(1));
  const reports: unknown[] = [];
  board.on("reported", ({ value }) => reports.push(value));
  const clients = await openClients(30, port);
  const probe = await open(port);
  expect(await ask(probe, "version")).toMatch(/^1 on/);
  const opened = (): number => board.stats().shards.reduce((sum, { connectionsOpened }) => sum + connectionsOpened, 0);
  for (const version of [2, 3]) {
    await write(counting(version));
    const { moved, closed, ms } = await board.reload();
    expect({ moved, closed }).toEqual({ moved: 31, closed: 0 });
    expect(ms).toBeGreaterThan(0);
    expect(await ask(probe, "version")).toMatch(new RegExp(`^${version} on`));
    expect(board.stats().connections).toBe(31);
    expect(opened()).toBe(31);
  }
  await Promise.all(clients.map((client) => client.stop()));
  expect(clients.flatMap(({ errors }) => errors)).toEqual([]);
  expect(reports.filter((report) => report !== "closed 1006")).toEqual([]);
});

it("takes turns with evacuations and single moves that are asked for at the same time", async () => {
  const { board, port } = await startReloadable(counting(1));
  const clients = await openClients(20, port);
  for (const shard of [0, 1]) {
    const before = board.evacuate(shard);
    const reloaded = board.reload();
    const after = [board.evacuate(shard), board.rebalance()];
    const [address] = (await board.connections()).connections.map((one) => one.address);
    const moved = address === undefined ? undefined : await board.move(address, shard);
    expect(await reloaded).toMatchObject({ moved: 20, closed: 0 });
    expect((await before).stayed).toEqual({});
    expect(moved === undefined || moved.moved || moved.reason === "busy").toBe(true);
    await Promise.all(after);
  }
  await Promise.all(clients.map((client) => client.stop()));
  expect(clients.flatMap(({ errors }) => errors)).toEqual([]);
});

it("lists connections while new threads still load a module", async () => {
  const { board, port, write } = await startReloadable(counting(1));
  for (let i = 0; i < 3; i++) await ask(await open(port), "version");
  const gate = join(await mkdtemp(join(tmpdir(), "switchboard-gate-")), "open");
  onTestFinished(() => rm(dirname(gate), { recursive: true }));
  await write(`
    import { existsSync } from "node:fs";
    while (!existsSync(${JSON.stringify(gate)}));
    ${counting(2)}
  `);
  const reloaded = board.reload();
  const listed = board.connections().catch((error: Error) => error);
  const { connections } = (await listed) as Awaited<ReturnType<Switchboard["connections"]>>;
  await writeFile(gate, "");
  expect(connections).toHaveLength(3);
  expect(await reloaded).toMatchObject({ moved: 3, closed: 0 });
});

it("rejects with the error of a module that can't be loaded, and changes nothing", async () => {
  const { board, port, write } = await startReloadable(counting(1));
  const clients = await openClients(10, port);
  const probe = await open(port);
  const lost: unknown[] = [];
  board.on("shardLost", (loss) => lost.push(loss));
  await write("throw new RangeError('broken on purpose');");
  await expect(board.reload()).rejects.toThrow("broken on purpose");
  expect(await ask(probe, "version")).toMatch(/^1 on/);
  await write(counting(2));
  expect(await board.reload()).toMatchObject({ moved: 11, closed: 0 });
  expect(await ask(probe, "version")).toMatch(/^2 on/);
  await Promise.all(clients.map((client) => client.stop()));
  expect(clients.flatMap(({ errors }) => errors)).toEqual([]);
  expect(lost).toEqual([]);
});

it("closes connections whose class doesn't move with 1012, and takes new ones with the new code", async () => {
  const { board, port, write } = await startReloadable(STAYING);
  const sockets = await Promise.all([open(port), open(port), open(port)]);
  const closes = sockets.map((socket) => new Promise((resolve) => socket.once("close", resolve)));
  await write(counting(1));
  expect(await board.reload()).toMatchObject({ moved: 0, closed: 3 });
  expect(await Promise.all(closes)).toEqual([1012, 1012, 1012]);
  expect(await ask(await open(port), "version")).toMatch(/^1 on/);
});

it("moves a port on which the shards accept with its queue: no connection is refused during a reload", async () => {
  const { board, port, write } = await startReloadable(counting(1), { attach: { accept: "shard" } });
  let isOver = false;
  const errors: string[] = [];
  let opened = 0;
  const openAllTheTime = async (): Promise<void> => {
    while (!isOver) {
      try {
        const [client] = await openClients(1, port);
        await client?.stop();
        errors.push(...(client?.errors ?? []));
        opened++;
      } catch (error) {
        errors.push(String(error));
      }
    }
  };
  const openers = [openAllTheTime(), openAllTheTime(), openAllTheTime()];
  for (const version of [2, 3]) {
    await write(counting(version));
    await board.reload();
  }
  isOver = true;
  await Promise.all(openers);
  expect(errors).toEqual([]);
  expect(opened).toBeGreaterThan(0);
  expect(await ask(await open(port), "version")).toMatch(/^3 on/);
});

const REQUEST = upgradeRequest();

/** Connects, and sends the first bytes of a request. */
async function begin(port: number, bytes: number): Promise<RawClient> {
  const client = await RawClient.connect(port);
  onTestFinished(() => void client.socket.destroy());
  if (bytes > 0) client.write(REQUEST.slice(0, bytes));
  return client;
}

/** Sends the rest of a request, and asks the actor for its version. Resolves with the status and the answer. */
async function finish(client: RawClient, bytes: number): Promise<string> {
  client.write(REQUEST.slice(bytes));
  const { status } = await client.response();
  client.write(clientFrame(0x1, "version"));
  return `${status}, ${await client.text()}`;
}

const HALF = 40;

const WAYS: [way: string, options: TestBoardOptions][] = [
  ["from the main thread", { attach: { handshake: "shard" } }],
  ["that the shards accept", { attach: { accept: "shard" } }],
  ["of clients that are counted", { attach: { handshake: "shard" }, maxConnectionsPerAddress: 6 }],
];
if (missingUring === undefined) WAYS.push(["over io_uring", { attach: { accept: "shard" }, sockets: "uring" }]);

it.each(WAYS)("gives sockets %s with no request, or with half of one, to the new threads", async (_way, options) => {
  const { board, port, write } = await startReloadable(counting(1), options);
  const lengths = [0, 0, 0, HALF, HALF, HALF];
  const clients = await Promise.all(lengths.map((bytes) => begin(port, bytes)));
  await expect.poll(() => board.stats().shards.reduce((sum, { handshakes }) => sum + handshakes, 0)).toBe(6);
  await write(counting(2));
  expect(await board.reload()).toMatchObject({ closed: 0 });
  const answers = clients.map((client, index) => finish(client, lengths[index] ?? 0));
  for (const answer of await Promise.all(answers)) expect(answer).toMatch(/^101, 2 on/);
  expect(board.stats().connections).toBe(6);
});

it("lets the new `authorize` answer a request that ends after the new thread has taken over", async () => {
  const authorizing = (version: number): string =>
    `${counting(version)} export const authorize = () => (${version} === 2 ? { session: 1 } : { status: 403 });`;
  const { board, port, write } = await startReloadable(authorizing(1), { attach: { handshake: "shard" }, shards: 1 });
  const client = await begin(port, HALF);
  await expect.poll(() => board.stats().shards[0]?.handshakes).toBe(1);
  await write(authorizing(2));
  const reloaded = board.reload();
  const probe = (): Promise<string> =>
    open(port).then(
      () => "taken",
      () => "refused",
    );
  await expect.poll(probe).toBe("taken");
  expect(await finish(client, HALF)).toMatch(/^101, 2 on/);
  expect(await reloaded).toMatchObject({ closed: 0 });
});

it("moves a connection that opens in the old thread, after an `opened` that takes a while", async () => {
  const gate = join(await mkdtemp(join(tmpdir(), "switchboard-gate-")), "open");
  onTestFinished(() => rm(dirname(gate), { recursive: true }));
  const slow = counting(1).replace("#count = 0;", "$& async opened() { await delay(500); }");
  const { board, port, write } = await startReloadable(
    `
      import { existsSync } from "node:fs";
      import { setTimeout as delay } from "node:timers/promises";
      ${slow}
      export const surveyed = () => 1;
      export async function authorize() {
        Actor.report("asked");
        while (!existsSync(${JSON.stringify(gate)})) await delay(5);
        return { session: 1 };
      }
    `,
    { attach: { handshake: "shard" }, shards: 1 },
  );
  const asked = new Promise((resolve) => board.once("reported", resolve));
  const opening = open(port);
  await asked;
  await write(`${counting(2)} export const surveyed = () => 2;`);
  const reloaded = board.reload();
  // Only new threads are asked.
  await expect.poll(() => board.survey(undefined)).toMatchObject([{ answer: 2 }]);
  await writeFile(gate, "");
  expect(await ask(await opening, "version")).toMatch(/^2 on/);
  expect(await reloaded).toMatchObject({ moved: 1, closed: 0 });
});

it("does one reload at a time, and none while the board closes", async () => {
  const { board } = await startReloadable(counting(1));
  const first = board.reload();
  await expect(board.reload()).rejects.toMatchObject({ code: "ERR_RELOADING" });
  await first;
  const second = board.reload();
  second.catch(() => {});
  const closed = board.close({ timeoutMs: 500 });
  await expect(board.reload()).rejects.toMatchObject({ code: "ERR_CLOSED" });
  await second.catch(({ code }) => expect(code).toBe("ERR_CLOSED"));
  await closed;
});

it("loses, doubles and reorders no mail to actors that a reload moves, and answers all asks", async () => {
  const { board, port } = await startBoard({ actor: "moving-mail", shards: 2 });
  const sockets = await Promise.all([open(port), open(port), open(port), open(port)]);
  const addresses = (await Promise.all(sockets.map((socket) => ask(socket, "address")))) as Address[];
  let isOver = false;
  let count = 0;
  const send = async (): Promise<void> => {
    for (; !isOver; count++) {
      const told = addresses.map((address) => board.tell(address, `board ${count}`));
      const asked = addresses.map((address) => board.ask(address, "ask"));
      const said = sockets.map((socket, index) => ask(socket, `tell|${addresses[(index + 1) % 4]}|peer|${count}|1`));
      expect(await Promise.all(told)).toEqual(addresses.map(() => ({ status: "accepted" })));
      expect(await Promise.all(asked)).toEqual(addresses.map(() => "ask answered"));
      expect(await Promise.all(said)).toEqual(addresses.map(() => "[]"));
    }
  };
  const sent = send();
  for (let i = 0; i < 2; i++) expect(await board.reload()).toMatchObject({ moved: 4, closed: 0 });
  isOver = true;
  await sent;
  const numbers = Array.from({ length: count }, (_, index) => index);
  for (const socket of sockets) {
    const got = JSON.parse(await ask(socket, "report")) as string[];
    for (const name of ["board", "peer"]) {
      expect(got.filter((text) => text.startsWith(name))).toEqual(numbers.map((number) => `${name} ${number}`));
    }
  }
});

it("moves connections with topics while threads of other shards, which are empty already, end", async () => {
  const { board, port } = await startBoard({ actor: "hopping", shards: 4 });
  const sockets = await Promise.all(Array.from({ length: 200 }, () => open(port)));
  for (const socket of sockets) socket.send("subscribe");
  await expect
    .poll(async () => (await board.connections({ limit: 200 })).connections.filter(({ topics }) => topics === 3).length)
    .toBe(200);
  for (let round = 0; round < 3; round++) {
    const { connections } = await board.connections({ limit: 200 });
    await Promise.all(connections.map(({ address }) => board.move(address, 3)));
    const { moved, closed } = await board.reload();
    expect({ moved, closed }).toEqual({ moved: 200, closed: 0 });
  }
});
