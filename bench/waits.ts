/**
 * Looks for echoes that take long: connections of two processes are idle, send one message at a random time, and wait
 * for its echo. On one shard, by choice beside a full load and other work of the shard's thread. Run by hand.
 *
 *     node bench/waits.ts [--sockets uring] [--seconds 240] [--connections 20] [--pause 500] [--load]
 *
 * Prints for each process the number of echoes and their time in ms: median, 99th percentile, longest. Then the longest
 * time for which a thread of the server waited for a CPU between two looks (Linux): a longer echo has another cause.
 */
import { type ChildProcess, fork, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { Switchboard } from "../src/index.ts";
import { connect } from "../src/wire/websocket/index.ts";

const { values } = parseArgs({
  options: {
    sockets: { type: "string", default: "uring" },
    seconds: { type: "string", default: "240" },
    /** Connections of each process. */
    connections: { type: "string", default: "20" },
    /** Mean time between an echo and the next message of a connection, in ms. */
    pause: { type: "string", default: "500" },
    /** Adds 200 connections with 16 messages in flight, and timers, files and requests of the shard. */
    load: { type: "boolean", default: false },
    /** Set for the processes of the clients. */
    url: { type: "string" },
  },
});

const COMMAND = fileURLToPath(new URL("../src/cli/main.ts", import.meta.url));
const PROCESSES = 2;
const LOOK_MS = 250;
const seconds = Number(values.seconds);

if (values.url === undefined) await serve();
else await ask(values.url);

async function serve(): Promise<void> {
  const board = await Switchboard.start({
    actor: new URL("./targets/actors/beside.ts", import.meta.url),
    sockets: values.sockets === "node" ? "node" : "uring",
    shards: 1,
    pingIntervalMs: 0,
  });
  const { port } = await board.listen({ port: 0, host: "127.0.0.1", accept: "shard" });
  const url = `ws://127.0.0.1:${port}/`;
  const load = values.load ? await startLoad(url) : undefined;
  const waits = watchCpu();
  const args = [...process.argv.slice(2), "--url", url];
  const clients = Array.from({ length: PROCESSES }, () => fork(import.meta.filename, args));
  await Promise.all(clients.map((client) => once(client, "exit")));
  console.log(`longest wait of a thread for a CPU: ${waits().toFixed(0)} ms in ${LOOK_MS} ms or a little more`);
  load?.kill();
  await board.close({ timeoutMs: 0 });
}

async function startLoad(url: string): Promise<ChildProcess> {
  const flags = ["--connections", "200", "--inflight", "16", "--bytes", "200", "--duration", "86400"];
  const load = spawn(process.execPath, [COMMAND, "bench", url, ...flags], { stdio: "ignore" });
  const worker = await connect(url);
  worker.send(JSON.stringify({ forMs: seconds * 1_000 }));
  return load;
}

/**
 * Returns a function that tells the longest time in ms for which a thread of this process waited for a CPU within a
 * look.
 */
function watchCpu(): () => number {
  const before = new Map<string, number>();
  let longest = 0;
  const look = (): void => {
    for (const thread of readdirSync("/proc/self/task")) {
      const [, waitedNs = 0] = readFileSync(`/proc/self/task/${thread}/schedstat`, "latin1").split(" ").map(Number);
      longest = Math.max(longest, (waitedNs - (before.get(thread) ?? waitedNs)) / 1e6);
      before.set(thread, waitedNs);
    }
  };
  const timer = setInterval(look, LOOK_MS);
  return () => {
    clearInterval(timer);
    return longest;
  };
}

/** One process of clients. */
async function ask(url: string): Promise<void> {
  const until = performance.now() + seconds * 1_000;
  const taken: number[] = [];
  const body = Buffer.alloc(20);
  const client = async (): Promise<void> => {
    const socket = await connect(url);
    const echoes = socket[Symbol.asyncIterator]();
    while (performance.now() < until) {
      await delay(-Math.log(Math.random()) * Number(values.pause));
      const sentAt = performance.now();
      socket.send(body);
      const { done } = await echoes.next();
      if (done) throw new Error("the server closed the connection");
      taken.push(performance.now() - sentAt);
    }
  };
  await Promise.all(Array.from({ length: Number(values.connections) }, client));
  taken.sort((a, b) => a - b);
  const at = (part: number): string =>
    (taken[Math.min(taken.length - 1, Math.floor(taken.length * part))] ?? 0).toFixed(1);
  console.log(`${taken.length} echoes: ${at(0.5)} / ${at(0.99)} / ${at(1)} ms`);
  process.exit();
}
