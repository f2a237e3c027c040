/** The actor of `bench/beside.ts`: echoes, and measures other work of its thread meanwhile. */
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { Actor, type Message } from "../../../src/index.ts";

/** Milliseconds between two pieces of work of a kind. Timers follow each other at once. */
const PAUSES_MS = { timer: 0, file: 3, fetch: 5 } as const;

export type Work = keyof typeof PAUSES_MS;
/** Milliseconds that each piece of work took: by the clock, and CPU of the thread in that time. */
export type Taken = Readonly<Record<Work, readonly { readonly wall: number; readonly cpu: number }[]>>;

/** A server of Node in this thread. */
const server = createServer((_, response) => response.end("fetched")).listen(0, "127.0.0.1");
server.unref();

const work: Readonly<Record<Work, () => Promise<unknown>>> = {
  timer: () => delay(1),
  file: () => readFile(import.meta.filename),
  fetch: async () => (await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)).text(),
};

/** Answers `{"forMs": …}` with `Taken`, as JSON, after that time. Echoes everything else. */
export default class Beside extends Actor {
  override async received(message: Message): Promise<void> {
    if (message.type === "binary") {
      this.send(message);
      return;
    }
    const until = performance.now() + JSON.parse(message.text).forMs;
    const kinds = (Object.keys(work) as Work[]).map(async (kind) => [kind, await repeat(kind, until)] as const);
    this.send(JSON.stringify(Object.fromEntries(await Promise.all(kinds))));
  }
}

async function repeat(kind: Work, until: number): Promise<Taken[Work]> {
  const taken: { wall: number; cpu: number }[] = [];
  while (performance.now() < until) {
    const [startedAt, cpuBefore] = [performance.now(), cpuMs()];
    await work[kind]();
    taken.push({ wall: performance.now() - startedAt, cpu: cpuMs() - cpuBefore });
    if (PAUSES_MS[kind] > 0) await delay(PAUSES_MS[kind]);
  }
  return taken;
}

function cpuMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}
