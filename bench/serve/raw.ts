/**
 * A board with one shard that accepts WebSockets as `switchboard serve` does, with the actor of `raw-actor.ts`. Prints
 * `listening on PORT`. SIGTERM ends it.
 */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Switchboard } from "../../src/index.ts";
import { HISTORY_SIZE } from "./settings.ts";

const board = await Switchboard.start({
  actor: new URL("./raw-actor.ts", import.meta.url),
  shards: 1,
  topics: { "history:*": { history: { size: HISTORY_SIZE, ttlMs: 600_000 } } },
  pingIntervalMs: 0,
});
const http = createServer();
board.attach(http, { path: "/:topic(.*)" });
http.listen(0, "127.0.0.1", () => console.log(`listening on ${(http.address() as AddressInfo).port}`));
process.once("SIGTERM", () => process.exit(0));
