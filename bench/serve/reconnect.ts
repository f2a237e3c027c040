/** Clients that all come back at once with their positions, and a bystander meanwhile. Used by `serve.ts`. */
import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import type { ServerProcess } from "../server-process.ts";
import { JSON_COMMANDS, openAll, RawClient, subscribed } from "./client.ts";
import type { Settings } from "./run.ts";
import { API_KEY } from "./settings.ts";

const CHANNELS = 100;
const MISSED = 10;
const AT_ONCE = 50;
const SETTLE_MS = 1_000;
/** Time in which nobody comes back, for comparison. */
const REST_MS = 2_000;

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

function quantiles(latencies: readonly number[]): string {
  const sorted = latencies.toSorted((a, b) => a - b);
  const at = (part: number): string => (sorted[Math.floor(sorted.length * part)] ?? Number.NaN).toFixed(1);
  return `p50 ${at(0.5)} ms, p99 ${at(0.99)} ms of ${sorted.length}`;
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

export async function measureReconnect(ours: ServerProcess, { rounds, clients }: Settings): Promise<void> {
  const { port } = ours;
  const count = 10 * clients;
  const bystander = new Worker(join(import.meta.dirname, "bystander.ts"), { workerData: { port } });
  await once(bystander, "message");
  const ask = async (what: "begin" | "end"): Promise<number[]> => {
    bystander.postMessage(what);
    return (await once(bystander, "message"))[0];
  };
  console.log(`\n${count} clients come back at once, each ${MISSED} publications behind`);
  for (let round = 0; round < rounds; round++) {
    const first = await openAll(count, AT_ONCE, (index) => subscribed(port, JSON_COMMANDS, channelOf(index)));
    const { epoch, offset = 0 } = JSON.parse(first[0]?.answer.toString() ?? "").subscribe;
    const epochs = first.map(
      ({ answer }) => JSON.parse(answer.toString()).subscribe as { epoch: string; offset?: number },
    );
    for (const { client } of first) client.socket.destroy();
    await publishMissed(port);
    await ask("begin");
    await delay(REST_MS);
    const atRest = quantiles(await ask("end"));
    await ask("begin");
    const [startedAt, cpuBefore] = [performance.now(), ours.cpuSeconds()];
    const back = await openAll(count, count, (index) =>
      comeBack(port, index, epochs[index]?.epoch ?? epoch, epochs[index]?.offset ?? offset),
    );
    const seconds = (performance.now() - startedAt) / 1_000;
    const cpu = ((ours.cpuSeconds() - cpuBefore) / count) * 1e6;
    const meanwhile = quantiles(await ask("end"));
    const recovered = back.filter(({ isRight }) => isRight).length;
    console.log(
      `  round ${round + 1}: ${recovered} of ${count} recovered in ${seconds.toFixed(1)} s, ${cpu.toFixed(0)} µs of CPU each; a bystander's echo ${meanwhile} (bar 50), at rest ${atRest}`,
    );
    for (const { client } of back) client.socket.destroy();
    await delay(SETTLE_MS);
  }
  await bystander.terminate();
}
