/**
 * Measures the memory of a server whose subscribers never read, by `slowConsumerPolicy`. N connections subscribe to one
 * topic and stop reading. Then M mebibytes are published to the topic. Run by hand.
 *
 *     node bench/stalled.ts [--connections 10000] [--mebibytes 16] [--bytes 1000] [--policy dropOldest]
 *
 * Prints the resident memory of the server process before and after the publishes, the growth for each connection, and
 * the drops. The memory that the kernel holds for the sockets isn't included.
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { setTimeout as wait } from "node:timers/promises";
import { parseArgs } from "node:util";
import { type SlowConsumerPolicy, Switchboard } from "../src/index.ts";

const { values } = parseArgs({
  options: {
    connections: { type: "string", default: "10000" },
    mebibytes: { type: "string", default: "16" },
    bytes: { type: "string", default: "1000" },
    policy: { type: "string", default: "dropOldest" },
    server: { type: "boolean", default: false },
  },
});

if (values.server) await serve(values.policy as SlowConsumerPolicy);
else await measure();

async function serve(slowConsumerPolicy: SlowConsumerPolicy): Promise<void> {
  const actor = new URL("./targets/actors/fanout.ts", import.meta.url);
  const board = await Switchboard.start({ actor, shards: 1, slowConsumerPolicy, pingIntervalMs: 0 });
  const { port } = await board.listen({ port: 0, host: "127.0.0.1" });
  process.send?.({ port });
  process.on("message", async ({ count, bytes }: { count: number; bytes: number }) => {
    const message = Buffer.alloc(bytes, "x");
    for (let i = 0; i < count; i++) {
      board.publish("all", message);
      // Publish no faster than the shard delivers.
      if (i % 16 === 0) await untilDelivered(board, i);
    }
    await untilDelivered(board, count);
    process.send?.(board.stats().shards[0]);
  });
}

/** Waits until the shard has delivered this number of publishes to every connection that is still open. */
async function untilDelivered(board: Switchboard, publishes: number): Promise<void> {
  const isBehind = (): boolean => {
    const [shard] = board.stats().shards;
    return shard !== undefined && shard.deliveries < publishes * shard.connections;
  };
  while (isBehind()) await wait(5);
}

async function measure(): Promise<void> {
  const server = fork(import.meta.filename, ["--server", "--policy", values.policy]);
  const [{ port }] = (await once(server, "message")) as [{ port: number }];
  const count = Number(values.connections);
  for (let opened = 0; opened < count; opened += 100) await Promise.all(Array.from({ length: 100 }, () => open(port)));
  await wait(1_000);
  const before = residentBytes(server);
  const bytes = Number(values.bytes);
  server.send({ count: Math.ceil((Number(values.mebibytes) * 1024 * 1024) / bytes), bytes });
  const [stats] = await once(server, "message");
  const after = residentBytes(server);
  const { connections, messagesSent, droppedNewest, droppedOldest, conflated, slowConsumersClosed } = stats;
  console.log(
    `${values.policy}: ${mib(before)} MiB before, ${mib(after)} MiB after: ${((after - before) / count / 1024).toFixed(1)} KiB for each of ${count}`,
  );
  console.log(
    JSON.stringify({ connections, messagesSent, droppedNewest, droppedOldest, conflated, slowConsumersClosed }),
  );
  server.kill("SIGKILL");
  process.exit(0);
}

/** Opens a connection and stops reading from it. */
async function open(port: number): Promise<void> {
  const socket = connect({ port, host: "127.0.0.1" });
  socket.on("error", () => {});
  socket.write(
    "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
  );
  await once(socket, "data");
  socket.pause();
}

/** Reads the resident memory of a process from /proc (Linux), in bytes. */
function residentBytes({ pid }: ChildProcess): number {
  const [, kilobytes = "0"] = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
  return Number(kilobytes) * 1024;
}

function mib(bytes: number): string {
  return (bytes / 1024 / 1024).toFixed(0);
}
