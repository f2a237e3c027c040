/**
 * Clients that all come back at once with their positions, and a bystander meanwhile: at our server, and at a bare `ws`
 * server, which shows what the machine allows under this load. Used by `serve.ts`.
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { ServerProcess } from "../server-process.ts";
import { median } from "../statistics.ts";
import { JSON_COMMANDS, openAll, RawClient, subscribed } from "./client.ts";
import { raiseSession, type Settings } from "./run.ts";
import { API_KEY } from "./settings.ts";

const CHANNELS = 100;
const MISSED = 10;
const AT_ONCE = 50;
const SETTLE_MS = 1_000;
/** Time in which nobody comes back, for comparison. */
const REST_MS = 2_000;

/** A server with its bystander, and the bystander's figures so far, in ms. */
interface Contestant {
  readonly name: string;
  readonly server: ServerProcess;
  readonly bystander: ChildProcess;
  readonly p99s: number[];
}

const channelOf = (index: number): string => `history:return-${index % CHANNELS}`;

async function publishMissed(port: number): Promise<void> {
  const commands = Array.from({ length: CHANNELS * MISSED }, (_, index) => ({
    publish: { channel: channelOf(index), data: { number: Math.floor(index / CHANNELS) } },
  }));
  const response = await fetch(`http://127.0.0.1:${port}/api/batch`, {
    method: "POST",
    headers: { "X-API-Key": API_KEY },
    body: JSON.stringify({ commands }),
  });
  if (!response.ok) throw new Error(await response.text());
  await response.text();
}

function quantilesOf(latencies: readonly number[]): {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
} {
  const sorted = latencies.toSorted((a, b) => a - b);
  const at = (part: number): number => sorted[Math.floor(sorted.length * part)] ?? Number.NaN;
  return { p50: at(0.5), p99: at(0.99), max: sorted.at(-1) ?? Number.NaN };
}

function textOf(latencies: readonly number[]): string {
  const { p50, p99, max } = quantilesOf(latencies);
  return `p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms, longest ${max.toFixed(1)} ms of ${latencies.length}`;
}

/** Comes back from a position. Returns true if all that was missed came with the answer, in order. */
async function comeBack(port: number, index: number, epoch: string, offset: number) {
  const client = await RawClient.open(port, "/connection/websocket", JSON_COMMANDS.protocol);
  await client.ask(JSON_COMMANDS.connect(1, ""));
  const subscribe = { channel: channelOf(index), recover: true, epoch, offset };
  const answer = await client.ask(JSON.stringify({ id: 2, subscribe }));
  const { recovered, publications = [] } = JSON.parse(answer.toString()).subscribe ?? {};
  const offsets = publications.map((publication: { offset: number }) => publication.offset);
  const isRight =
    recovered === true && offsets.length === MISSED && offsets.every((o: number, i: number) => o === offset + 1 + i);
  return { client, isRight };
}

async function ask(bystander: ChildProcess, what: "begin" | "end"): Promise<number[]> {
  bystander.send(what);
  return (await once(bystander, "message"))[0];
}

async function measureRound({ name, server, bystander, p99s }: Contestant, count: number): Promise<void> {
  const { port } = server;
  const first = await openAll(count, AT_ONCE, (index) => subscribed(port, JSON_COMMANDS, channelOf(index)));
  const places = first.map(({ answer }) => {
    return JSON.parse(answer.toString()).subscribe as { readonly epoch: string; readonly offset?: number };
  });
  for (const { client } of first) client.socket.destroy();
  await publishMissed(port);
  await ask(bystander, "begin");
  await delay(REST_MS);
  const atRest = await ask(bystander, "end");
  await ask(bystander, "begin");
  const [startedAt, cpuBefore] = [performance.now(), server.cpuSeconds()];
  const back = await openAll(count, count, (index) => {
    const { epoch = "", offset = 0 } = places[index] ?? {};
    return comeBack(port, index, epoch, offset);
  });
  const seconds = (performance.now() - startedAt) / 1_000;
  const cpu = ((server.cpuSeconds() - cpuBefore) / count) * 1e6;
  const meanwhile = await ask(bystander, "end");
  p99s.push(quantilesOf(meanwhile).p99);
  const recovered = back.filter(({ isRight }) => isRight).length;
  console.log(
    `  ${name.padEnd(10)} ${recovered} of ${count} recovered in ${seconds.toFixed(1)} s, ${cpu.toFixed(0)} µs of CPU each; a bystander's echo ${textOf(meanwhile)}; at rest ${textOf(atRest)}`,
  );
  for (const { client } of back) client.socket.destroy();
  await delay(SETTLE_MS);
}

export async function measureReconnect(
  servers: Readonly<Record<string, ServerProcess>>,
  { rounds, clients }: Settings,
): Promise<void> {
  const count = 10 * clients;
  const contestants: Contestant[] = [];
  for (const [name, server] of Object.entries(servers)) {
    const bystander = fork(join(import.meta.dirname, "bystander.ts"), [String(server.port)]);
    await once(bystander, "message");
    contestants.push({ name, server, bystander, p99s: [] });
  }
  console.log(`\n${count} clients come back at once, each ${MISSED} publications behind`);
  const undo = raiseSession();
  for (let round = 0; round < rounds; round++) {
    for (const contestant of round % 2 === 0 ? contestants : contestants.toReversed())
      await measureRound(contestant, count);
  }
  undo();
  for (const { name, bystander, p99s } of contestants) {
    console.log(`  ${name.padEnd(10)} median of the bystander's p99: ${median(p99s).toFixed(1)} ms (bar 50)`);
    bystander.disconnect();
  }
}
