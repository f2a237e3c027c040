/**
 * Measures what a shard under full load leaves to the other work of its actors: timers, files and requests. Over Node's
 * sockets and over io_uring in turns, on one shard, with the order reversed every other round. Run by hand.
 *
 *     node bench/beside.ts [--rounds 4] [--connections 200] [--inflight 16] [--bytes 200] [--seconds 8]
 *
 * Prints milliseconds, median and 99th percentile: by the clock, and CPU of the shard's thread. The second says how
 * long the thread itself let the work wait, also on a busy machine.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { Switchboard } from "../src/index.ts";
import { connect } from "../src/wire/websocket/index.ts";
import type { Taken, Work } from "./targets/actors/beside.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "4" },
    connections: { type: "string", default: "200" },
    inflight: { type: "string", default: "16" },
    bytes: { type: "string", default: "200" },
    seconds: { type: "string", default: "8" },
  },
});

const SOCKETS = ["node", "uring"] as const;
const COMMAND = fileURLToPath(new URL("../src/cli/main.ts", import.meta.url));

for (let round = 0; round < Number(values.rounds); round++) {
  for (const sockets of round % 2 === 0 ? SOCKETS : SOCKETS.toReversed()) {
    const { taken, perSecond } = await measure(sockets);
    const figures = (["timer", "file", "fetch"] as const).map((kind) => `${kind} ${describe(taken[kind])}`);
    console.log(`${sockets.padEnd(5)} ${String(perSecond).padStart(8)} messages/s  ${figures.join("  ")}`);
  }
}

async function measure(sockets: (typeof SOCKETS)[number]): Promise<{ taken: Taken; perSecond: number }> {
  const board = await Switchboard.start({
    actor: new URL("./targets/actors/beside.ts", import.meta.url),
    sockets,
    shards: 1,
    pingIntervalMs: 0,
  });
  const { port } = await board.listen({ port: 0, host: "127.0.0.1", accept: "shard" });
  const url = `ws://127.0.0.1:${port}/`;
  const load = startLoad(url);
  const [asker] = await Promise.all([
    connect(url),
    until(() => board.stats().connections > Number(values.connections)),
  ]);
  const received = (): number => board.stats().shards[0]?.messagesReceived ?? 0;
  const before = received();
  asker.send(JSON.stringify({ forMs: Number(values.seconds) * 1000 }));
  const { value: answer } = await asker[Symbol.asyncIterator]().next();
  if (answer === undefined) throw new Error("the shard closed the connection");
  const perSecond = Math.round((received() - before) / Number(values.seconds));
  load.kill();
  await Promise.all([once(load, "exit"), board.close({ timeoutMs: 0 })]);
  return { taken: JSON.parse(answer.text), perSecond };
}

function startLoad(url: string): ChildProcess {
  const { connections, inflight, bytes } = values;
  const flags = ["--connections", connections, "--inflight", inflight, "--bytes", bytes, "--duration", "3600"];
  return spawn(process.execPath, [COMMAND, "bench", url, ...flags], { stdio: "ignore" });
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 20));
}

function describe(taken: Taken[Work]): string {
  const at = (what: "wall" | "cpu", part: number): string => {
    const sorted = taken.map((one) => one[what]).toSorted((a, b) => a - b);
    return (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN).toFixed(2);
  };
  return `${at("wall", 0.5)}/${at("wall", 0.99)} (CPU ${at("cpu", 0.5)}/${at("cpu", 0.99)})`;
}
