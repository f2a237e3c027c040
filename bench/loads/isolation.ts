/**
 * The load of the scenario `isolation`: the latency of other actors while one actor is busy. The connections on one
 * shard together send 1,000 messages a second, without waiting for replies. With `--burn` one more connection, on shard
 * 0, keeps its actor working without a break. The probed connections are on the other shard, or with `--probe same` on
 * shard 0.
 *
 *     node bench/loads/isolation.ts URL [--burn] [--probe other|same] [--connections 40] [--duration S] [--warmup S]
 */
import { parseArgs } from "node:util";
import { connect, type WebSocket } from "../../src/wire/websocket/index.ts";
import { quantile } from "../statistics.ts";
import { count } from "./counted.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    burn: { type: "boolean", default: false },
    probe: { type: "string", default: "other" },
    connections: { type: "string", default: "40" },
    duration: { type: "string", default: "5" },
    warmup: { type: "string", default: "1" },
  },
});
const BURNING_SHARD = "0";
const INTERVAL_MS = 1;
const PROBE_BYTES = 20;

interface Client {
  readonly socket: WebSocket;
  readonly shard: string;
}

const clients = await Promise.all(Array.from({ length: Number(values.connections) }, open));
const burner = clients.find(({ shard }) => shard === BURNING_SHARD);
const probes = clients.filter(
  (client) => client !== burner && (client.shard === BURNING_SHARD) === (values.probe === "same"),
);
if (burner === undefined || probes.length === 0) throw new Error("the server has fewer than two shards");

let counting = false;
let sent = 0;
let received = 0;
let wrong = 0;
let latencies: number[] = [];
const slips: number[] = [];

for (const probe of probes) void readReplies(probe.socket);
if (values.burn) void burn(burner.socket);

const firstAt = performance.now();
let ticks = 0;
const timer = setInterval(sendDue, INTERVAL_MS);

await count(
  { warmup: Number(values.warmup), duration: Number(values.duration) },
  {
    begin() {
      counting = true;
      latencies = [];
    },
    async end() {
      counting = false;
      clearInterval(timer);
      const [inTime, times] = [latencies.length, latencies];
      // On the busy shard a reply waits for a few pieces of work at most.
      const deadline = performance.now() + 2_000;
      while (received < sent && performance.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 10));
      const slipP99Ms = quantile(
        slips.map((slip) => [slip, 1]),
        0.99,
      );
      return { received: inTime, lost: sent - received, wrong, latencies: times, slipP99Ms };
    },
  },
);

/** Opens a connection and reads the number of its shard. */
async function open(): Promise<Client> {
  const socket = await connect(positionals[0] ?? "");
  const { value } = await socket[Symbol.asyncIterator]().next();
  return { socket, shard: value?.text ?? "" };
}

/**
 * Sends the messages that are due. Each message carries the time at which it was sent. The delay of the load itself is
 * counted apart, in `slips`.
 */
function sendDue(): void {
  const now = performance.now();
  for (; firstAt + ticks * INTERVAL_MS <= now; ticks++) {
    if (counting) slips.push(now - (firstAt + ticks * INTERVAL_MS));
    const message = Buffer.alloc(PROBE_BYTES);
    message.writeDoubleLE(performance.now(), 0);
    message.writeUInt8(counting ? 1 : 0, PROBE_BYTES - 1);
    void probes[ticks % probes.length]?.socket.send(message);
    sent++;
  }
}

async function readReplies(socket: WebSocket): Promise<void> {
  for await (const { bytes, type } of socket) {
    received++;
    if (type !== "binary" || bytes.length !== PROBE_BYTES) wrong++;
    else if (bytes[PROBE_BYTES - 1] === 1) {
      latencies.push((performance.now() - Buffer.from(bytes).readDoubleLE(0)) * 1000);
    }
  }
}

/** Keeps two pieces of work in flight, so that the actor always has one. */
async function burn(socket: WebSocket): Promise<void> {
  void socket.send("work");
  void socket.send("work");
  for await (const _ of socket) void socket.send("work");
}
