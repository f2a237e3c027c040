/**
 * Uses a board over io_uring in all ways that depend on the kernel, without a test runner, which emulated machines are
 * too slow for. Prints a line for each way. Exit status 3: there is no io_uring here.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { connect } from "node:net";
import { release } from "node:os";
import { setTimeout } from "node:timers/promises";
import { type RawData, WebSocket } from "ws";
import { type ListenOptions, Switchboard, SwitchboardError } from "../../src/index.ts";
import { actorUrl } from "../support/actor-url.ts";
import { text } from "../support/frames.ts";
import { RawClient } from "../support/raw-client.ts";

const CLIENTS = 50;
const LENGTHS = [0, 20, 4096, 65_536, 1_000_000];
const STORM = 200;

const entrances: Readonly<Record<string, Partial<ListenOptions>>> = {
  "handed over by the main thread": { handshake: "main" },
  "handshake in a shard": { handshake: "shard" },
  "accepted by a shard": { accept: "shard" },
};

async function step<T>(name: string, run: () => Promise<T>): Promise<T> {
  const begin = performance.now();
  const result = await run();
  console.log(`ok: ${name} (${((performance.now() - begin) / 1000).toFixed(1)} s)`);
  return result;
}

async function start(attach: Partial<ListenOptions>): Promise<{ board: Switchboard; port: number }> {
  const board = await Switchboard.start({
    actor: actorUrl("faulty"),
    sockets: "uring",
    shards: 2,
    warmUp: false,
    maxEventLoopDelayMs: 60_000,
    maxBufferedBytes: 16_000_000,
    compression: true,
  });
  const { port } = await board.listen({ port: 0, host: "127.0.0.1", ...attach });
  return { board, port };
}

async function open(port: number, perMessageDeflate: boolean): Promise<WebSocket> {
  const client = new WebSocket(`ws://127.0.0.1:${port}/`, { perMessageDeflate });
  await once(client, "open");
  return client;
}

async function close(client: WebSocket): Promise<void> {
  client.close(1000);
  await once(client, "close");
}

async function echo(client: WebSocket, message: Buffer): Promise<void> {
  client.send(message, { binary: true });
  const [answer] = (await once(client, "message")) as [RawData];
  assert.ok(message.equals(answer as Buffer), "the echo has other bytes");
}

/** Bytes that compress somewhat. */
function bytes(length: number, seed: number): Buffer {
  const all = Buffer.alloc(length);
  for (let at = 0; at < length; at++) all[at] = (at >> 3) * (seed + 1) + (at & seed);
  return all;
}

async function echoAll(port: number, compressed: boolean): Promise<void> {
  const clients = await Promise.all(Array.from({ length: CLIENTS }, () => open(port, compressed)));
  for (const length of LENGTHS) await Promise.all(clients.map((client, seed) => echo(client, bytes(length, seed))));
  await Promise.all(clients.map(close));
}

/** The client ends its direction at once, and still gets what it has asked for. */
async function halfClose(port: number): Promise<void> {
  const client = await RawClient.open({ port });
  client.write(text("last words"));
  client.socket.end();
  assert.equal(await client.text(), "last words");
  await client.closed();
}

/** Returns the number of clients that see the end of their connection. */
async function killShard(board: Switchboard, port: number, command: string): Promise<number> {
  const clients = await Promise.all(Array.from({ length: 20 }, () => RawClient.open({ port })));
  const shards = await Promise.all(
    clients.map((client) => {
      client.write(text("where"));
      return client.text();
    }),
  );
  const first = clients[0] as RawClient;
  const mates = clients.filter((_, index) => shards[index] === shards[0]);
  const others = clients.filter((_, index) => shards[index] !== shards[0]);
  const before = board.stats().connections;
  assert.equal(before, clients.length);
  first.write(text(command));
  await Promise.all(mates.map((client) => client.closed()));
  for (const client of others) {
    client.write(text("still here"));
    assert.equal(await client.text(), "still here");
    await client.close();
  }
  const again = await open(port, false);
  await echo(again, bytes(100, 1));
  await close(again);
  return mates.length;
}

function descriptors(): number {
  return readdirSync("/proc/self/fd").length;
}

/** Waits until the last connection has ended and all shards run. */
async function atRest(board: Switchboard): Promise<void> {
  const rests = (): boolean => board.stats().connections === 0 && board.stats().shards.every((shard) => shard.ready);
  while (!rests()) await setTimeout(20);
}

async function use(attach: Partial<ListenOptions>): Promise<void> {
  const { board, port } = await step("start", () => start(attach));
  assert.equal(board.stats().sockets.kind, "uring");
  await step(`${CLIENTS} clients echo ${LENGTHS.join(", ")} bytes`, () => echoAll(port, false));
  await step("the same compressed", () => echoAll(port, true));
  await step("half-close", () => halfClose(port));
  await step(`${STORM} connects and closes`, async () => {
    for (let at = 0; at < STORM; at++) await close(await open(port, false));
    await atRest(board);
  });
  for (const command of ["throw later", "exit"]) {
    const ended = await step(`a shard dies: ${command}`, () => killShard(board, port, command));
    console.log(`   ${ended} peers saw the end`);
    await atRest(board);
  }
  await step("close", async () => {
    const client = await open(port, true);
    const closed = once(client, "close");
    await board.close();
    assert.equal((await closed)[0], 1001);
    const peer = connect(port, "127.0.0.1");
    assert.equal((await once(peer, "error"))[0].code, "ECONNREFUSED");
  });
}

console.log(`Linux ${release()}, ${process.arch}, Node ${process.versions.node}`);
try {
  await (await start({})).board.close();
} catch (error) {
  if (!(error instanceof SwitchboardError) || error.code !== "ERR_NO_URING") throw error;
  console.log(`${error.code} ${error.message}`);
  process.exit(3);
}
const before = descriptors();
for (const [name, attach] of Object.entries(entrances)) {
  console.log(`-- ${name}`);
  await use(attach);
}
while (descriptors() > before) await setTimeout(20);
console.log(`ok: ${before} descriptors before, ${descriptors()} after`);
