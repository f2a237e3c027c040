/**
 * Two workers of `node:cluster`, each a board on the same port, for tests. Prints a line for each worker that listens.
 * On SIGTERM both boards close, and all processes end.
 */
import cluster from "node:cluster";
import { once } from "node:events";
import { createServer } from "node:http";
import { type ListenOptions, Switchboard } from "../../../src/index.ts";
import { actorUrl } from "../actor-url.ts";

const options: ListenOptions = JSON.parse(process.argv[2] ?? "{}");
const WORKERS = 2;

if (cluster.isPrimary) {
  const workers = Array.from({ length: WORKERS }, () => cluster.fork());
  for (const worker of workers) worker.on("message", (message) => console.log(message));
  process.once("SIGTERM", () => {
    for (const worker of workers) worker.send("close");
  });
} else {
  const board = await Switchboard.start({ actor: actorUrl("echo"), shards: 2, maxEventLoopDelayMs: 60_000 });
  const server = createServer();
  if ("attached" in options) {
    board.attach(server);
    server.listen(options.port, options.host);
    await once(server, "listening");
    process.send?.("listening");
  } else {
    await board.listen(options).then(
      () => process.send?.("listening"),
      (error: Error) => process.send?.(`failed: ${error}`),
    );
  }
  process.once("message", async () => {
    process.send?.(`connections ${board.stats().upgrades.accepted}`);
    await board.close({ timeoutMs: 1_000 });
    server.close();
    process.disconnect?.();
  });
}
