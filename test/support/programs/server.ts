import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Switchboard } from "../../../src/index.ts";
import { actorUrl } from "../actor-url.ts";
import type { ServerOptions, ServerStory } from "../server-process.ts";

/**
 * A server for tests that may crash it: prints one JSON line for each event, and answers every request with its stats.
 */
const { start, actor, closeOnSignals, close, path, ownPort }: ServerOptions = JSON.parse(process.argv[2] ?? "{}");

function tell(story: ServerStory): void {
  console.log(JSON.stringify(story));
}

// A late event loop must not exclude a shard from new connections: the test machine may be busy at any time.
const board = await Switchboard.start({ maxEventLoopDelayMs: 60_000, ...start, actor: actorUrl(actor) });
for (const event of ["shardLost", "shardFailed"] as const) {
  board.on(event, ({ shard, reason, connections, error }) => {
    const { name, message } = error;
    const code = "code" in error ? error.code : undefined;
    tell({ event, shard, reason, connections, error: { name, message, code } });
  });
}
board.on("shardReplaced", ({ shard }) => tell({ event: "shardReplaced", shard }));
board.on("handshakeFailed", ({ message }) => tell({ event: "handshakeFailed", error: { message } }));

const server = createServer((_request, response) => {
  response.end(JSON.stringify({ ...board.stats(), ready: board.ready }));
});
board.attach(server, path === undefined ? {} : { path });
board.on("closing", () => tell({ event: "closing" }));
board.on("closed", (counts) => {
  tell({ event: "closed", ...counts });
  server.close();
  server.closeAllConnections();
});
if (closeOnSignals !== undefined) board.closeOnSignals(closeOnSignals);
if (close !== undefined) process.once("SIGUSR2", () => void board.close(close));
if (ownPort === true) await board.listen({ port: 0, host: "127.0.0.1" });
server.listen(0, "127.0.0.1");
await once(server, "listening");
tell({ event: "listening", port: (server.address() as AddressInfo).port });
