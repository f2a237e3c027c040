/** What a start that fails says to operators. */
import { expect, it } from "vitest";
import { parseConfig } from "../../../src/server/config/load.ts";
import { Log } from "../../../src/server/serve/log.ts";
import { startServer } from "../../../src/server/serve/server.ts";
import { API_KEY } from "../support/server.ts";

it("says what is wrong with the config, and names no file of ours", async () => {
  const file = { http_api: { key: API_KEY }, shards: 1, rpc: { proxy: { endpoint: "http://127.0.0.1:1" } } };
  const loaded = parseConfig(JSON.stringify(file), { file: "test.json" });
  if (loaded.kind === "faults") throw new Error(JSON.stringify(loaded.faults));
  const { config } = loaded;
  // The check of the config lets no such header pass.
  const rpc = { ...config.proxy.rpc, enabled: true, staticHttpHeaders: { "a b": "secret" } };
  const log = new Log({ level: "none", format: "text" });
  const started = startServer({ config: { ...config, proxy: { ...config.proxy, rpc } }, version: "0.0.0", log });
  await expect(started).rejects.toMatchObject({
    code: "ERR_OPTION",
    message: 'rpc.proxy.http.static_headers: name or value of "a b" can\'t stand in a header',
  });
});
