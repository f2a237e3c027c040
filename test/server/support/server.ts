/** A server for tests, with a config as its file would have it. */
import { onTestFinished } from "vitest";
import { parseConfig } from "../../../src/server/config/load.ts";
import { Log } from "../../../src/server/serve/log.ts";
import { type RunningServer, startServer } from "../../../src/server/serve/server.ts";

export const SECRET = "secret";
export const API_KEY = "test-api-key";

/** Everything allowed, as the suites of the official clients want it. */
export const INSECURE = {
  client: { insecure: true, token: { hmac_secret_key: SECRET }, allowed_origins: ["*"] },
  http_api: { key: API_KEY },
  sse: { enabled: true },
  http_stream: { enabled: true },
  channel: {
    without_namespace: {
      presence: true,
      join_leave: true,
      force_push_join_leave: true,
      history_size: 100,
      history_ttl: "300s",
      force_recovery: true,
      allowed_delta_types: ["fossil"],
      allow_tags_filter: true,
    },
    namespaces: [] as object[],
  },
};

export interface TestServer extends RunningServer {
  readonly port: number;
  readonly url: string;
  readonly ws: string;
  readonly logged: readonly string[];
}

/** Starts a server that ends with the test. */
export async function startTestServer(file: object = INSECURE, shards = 2): Promise<TestServer> {
  const server = await launchTestServer(file, shards);
  onTestFinished(() => server.close());
  return server;
}

/** Starts a server that the caller closes. */
export async function launchTestServer(file: object = INSECURE, shards = 2, port = 0): Promise<TestServer> {
  const text = JSON.stringify({ shards, ...file });
  const env = { SWITCHBOARD_HTTP_SERVER_PORT: `${port}`, SWITCHBOARD_HTTP_SERVER_ADDRESS: "127.0.0.1" };
  const loaded = parseConfig(text, { file: "test.json", env });
  if (loaded.kind === "faults") throw new Error(JSON.stringify(loaded.faults));
  const logged: string[] = [];
  const log = new Log({ level: "debug", format: "text" }, (line) => logged.push(line));
  const server = await startServer({ config: loaded.config, version: "0.0.0", log });
  const host = `127.0.0.1:${server.address.port}`;
  return {
    ...server,
    port: server.address.port,
    url: `http://${host}`,
    ws: `ws://${host}/connection/websocket`,
    logged,
  };
}
