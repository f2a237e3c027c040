/**
 * The server of `switchboard serve` under test, with one shard. Prints `listening on PORT`. SIGTERM ends it.
 *
 *     node bench/serve/server.ts
 */
import { parseConfig } from "../../src/server/config/load.ts";
import { Log } from "../../src/server/serve/log.ts";
import { startServer } from "../../src/server/serve/server.ts";
import { API_KEY, HISTORY_SIZE, SECRET } from "./settings.ts";

const file = {
  shards: 1,
  client: { insecure: true, ping_interval: "600s", token: { hmac_secret_key: SECRET }, allowed_origins: ["*"] },
  http_server: { address: "127.0.0.1", port: 0 },
  http_api: { key: API_KEY },
  channel: {
    namespaces: [{ name: "history", history_size: HISTORY_SIZE, history_ttl: "600s", force_recovery: true }],
  },
};
const loaded = parseConfig(JSON.stringify(file), { file: "bench.json", env: {} });
if (loaded.kind === "faults") throw new Error(JSON.stringify(loaded.faults));
const log = new Log({ level: "warn", format: "text" });
const server = await startServer({ config: loaded.config, version: "0.0.0", log });
console.log(`listening on ${server.address.port}`);
process.once("SIGTERM", () => process.exit(0));
