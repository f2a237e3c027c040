/**
 * The server under attack, in a process of its own: two shards. Sends its port to its parent, answers every message
 * with its counts, and ends by itself after "close": anything that keeps the process alive then is a leak.
 */
import { once } from "node:events";
import { createServer } from "node:http2";
import type { AddressInfo } from "node:net";
import { Switchboard } from "../../src/index.ts";
import type { TargetCounts, TargetPorts } from "./target-process.ts";

const HANDSHAKE_TIMEOUT_MS = 2_000;

const board = await Switchboard.start({
  actor: new URL("./target-actor.ts", import.meta.url),
  shards: 2,
  compression: { contextTakeover: true },
  closeTimeoutMs: 2_000,
});
const events: Record<string, number> = { actorFailed: 0, handshakeFailed: 0, shardLost: 0, shardReplaced: 0 };
for (const event of ["actorFailed", "handshakeFailed", "shardLost", "shardReplaced"] as const) {
  board.on(event, () => {
    events[event] = (events[event] ?? 0) + 1;
  });
}
const { port } = await board.listen({ port: 0, host: "127.0.0.1", handshakeTimeoutMs: HANDSHAKE_TIMEOUT_MS });
const http2Server = createServer();
board.attach(http2Server, { handshakeTimeoutMs: HANDSHAKE_TIMEOUT_MS });
http2Server.listen(0, "127.0.0.1");
await once(http2Server, "listening");

let closing = false;
// The parent was killed: nobody else would end this process.
process.on("disconnect", () => {
  if (!closing) process.exit(1);
});
process.on("message", async (question) => {
  if (question === "close") {
    closing = true;
    await board.close({ timeoutMs: 1_000 });
    http2Server.close();
    process.disconnect?.();
    return;
  }
  const { connections, shards } = board.stats();
  const counts: TargetCounts = { connections, ready: shards.every(({ ready }) => ready), events };
  process.send?.(counts);
});
const ports: TargetPorts = { port, http2Port: (http2Server.address() as AddressInfo).port };
process.send?.(ports);
