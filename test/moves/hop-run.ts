/** Starts threads with subscribers that hop between them while all threads publish, and sums up what they counted. */
import { once } from "node:events";
import { MessageChannel, type MessagePort, Worker } from "node:worker_threads";
import type { HopCounts, HopOrder, HopSettings, Way } from "./hoppers.ts";

export interface HopRun {
  readonly way: Way;
  /** Moves after which the run ends. */
  readonly moves: number;
  readonly subscribers?: number;
  readonly batch?: number;
  /** Publishes of all threads. */
  readonly publishesPerSecond?: number;
}

type HopReport =
  | { readonly kind: "ready" | "stoppedMoving" }
  | { readonly kind: "moves"; readonly moves: number }
  | { readonly kind: "finished"; readonly counts: HopCounts };

/** Threads with subscribers; a further thread, in the place of the main thread, only publishes. */
const SHARDS = 3;

/** Runs until the moves are done, and returns the sums. */
export async function runHoppers(run: HopRun): Promise<Omit<HopCounts, "life">> {
  const { way, moves, subscribers = 60, batch = 4, publishesPerSecond = 8_000 } = run;
  const ports = mesh(SHARDS + 1);
  const threads = ports.map((ends, life) => {
    const workerData: HopSettings = {
      life,
      ports: ends,
      subscribers: life === 0 ? 0 : subscribers / SHARDS,
      batch,
      publishesPerSecond: publishesPerSecond / ports.length,
      way,
    };
    return new Worker(new URL("hoppers.ts", import.meta.url), {
      workerData,
      transferList: ends.map(({ port }) => port),
    });
  });
  const failed = Promise.withResolvers<never>();
  for (const thread of threads) thread.on("error", failed.reject);
  const order = (kind: HopOrder["kind"]): void => {
    for (const thread of threads) thread.postMessage({ kind } satisfies HopOrder);
  };
  try {
    await Promise.race([Promise.all(threads.map((thread) => report(thread, "ready"))), failed.promise]);
    const moved = Promise.all(threads.slice(1).map((thread) => report(thread, "stoppedMoving")));
    const enough = movesDone(threads, moves);
    order("publish");
    await Promise.race([enough, failed.promise]);
    order("stopMoving");
    await Promise.race([moved, failed.promise]);
    const counts = finished(threads, subscribers);
    order("stopPublishing");
    return await Promise.race([counts, failed.promise]);
  } finally {
    await Promise.all(threads.map((thread) => thread.terminate()));
  }
}

/** Returns the ends of ports between each two threads, by thread. */
function mesh(count: number): { readonly life: number; readonly port: MessagePort }[][] {
  const ends: { life: number; port: MessagePort }[][] = Array.from({ length: count }, () => []);
  for (let one = 0; one < count; one++) {
    for (let other = one + 1; other < count; other++) {
      const { port1, port2 } = new MessageChannel();
      ends[one]?.push({ life: other, port: port1 });
      ends[other]?.push({ life: one, port: port2 });
    }
  }
  return ends;
}

async function report(thread: Worker, kind: HopReport["kind"]): Promise<void> {
  while (true) {
    const [message] = (await once(thread, "message")) as [HopReport];
    if (message.kind === kind) return;
  }
}

function movesDone(threads: readonly Worker[], moves: number): Promise<void> {
  const done = new Map<Worker, number>();
  return new Promise((resolve) => {
    for (const thread of threads) {
      thread.on("message", (message: HopReport) => {
        if (message.kind !== "moves") return;
        done.set(thread, message.moves);
        if ([...done.values()].reduce((sum, one) => sum + one, 0) >= moves) resolve();
      });
    }
  });
}

/** Resolves when every subscriber is somewhere and has got the end of every topic. */
function finished(threads: readonly Worker[], subscribers: number): Promise<Omit<HopCounts, "life">> {
  const all = new Map<number, HopCounts>();
  return new Promise((resolve) => {
    for (const thread of threads) {
      thread.on("message", (message: HopReport) => {
        if (message.kind !== "finished") return;
        all.set(message.counts.life, message.counts);
        const total = sum([...all.values()]);
        if (all.size === threads.length && total.hoppers === subscribers) resolve(total);
      });
    }
  });
}

function sum(counts: readonly HopCounts[]): Omit<HopCounts, "life"> {
  const total = { hoppers: 0, moves: 0, calledOff: 0, delivered: 0, doubled: 0, missed: 0 };
  for (const one of counts) for (const name of Object.keys(total) as (keyof typeof total)[]) total[name] += one[name];
  return total;
}
