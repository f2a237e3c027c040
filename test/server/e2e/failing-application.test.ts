/** Applications that fail when they are asked about a client. */
import type { ServerResponse } from "node:http";
import { describe, expect, it } from "vitest";
import { startApplication } from "../hooks/support/application.ts";
import { API_KEY, SECRET, startTestServer } from "../support/server.ts";
import { open, token } from "./support/raw-token.ts";

const TOKENS_ONLY = {
  client: { token: { hmac_secret_key: SECRET, audience: "us" } },
  http_api: { key: API_KEY },
  channel: { without_namespace: {} },
};

describe("an application", () => {
  const fails: readonly (readonly [string, (response: ServerResponse) => void])[] = [
    ["never answers", () => {}],
    ["begins and never ends", (response) => void response.write('{"result":')],
    ["answers with 500", (response) => void response.writeHead(500).end()],
    ["answers nonsense", (response) => void response.end("<html>")],
    ["answers another type", (response) => void response.end('{"result":{"user":[]}}')],
    ["answers a code of ours", (response) => void response.end('{"error":{"code":3,"message":"x"}}')],
    ["cuts the connection", (response) => void response.destroy()],
  ];
  it.each(fails)("that %s gives its client error 100 in time, and nobody else waits", async (_, answer) => {
    const application = await startApplication(answer);
    const server = await startTestServer(
      {
        ...TOKENS_ONLY,
        client: {
          ...TOKENS_ONLY.client,
          proxy: { connect: { enabled: true, endpoint: application.url, timeout: "300ms" } },
        },
      },
      1,
    );
    const bystander = await open(server.ws);
    await bystander.call({ connect: { token: token({ sub: "a", aud: "us" }) } });
    const client = await open(server.ws);
    const refused = client.call({ connect: {} });
    // The bystander is in the same shard.
    expect(await bystander.call({ unsubscribe: { channel: "news" } })).toHaveProperty("unsubscribe");
    expect(await refused).toMatchObject({ error: { code: 100, temporary: true } });
    expect(bystander.isClosed).toBe(false);
  });

  it("that never answers a call doesn't hold up what its client does next", async () => {
    const application = await startApplication(() => {});
    const server = await startTestServer(
      {
        ...TOKENS_ONLY,
        rpc: { proxy: { endpoint: application.url, timeout: "60s" }, without_namespace: { proxy_enabled: true } },
      },
      1,
    );
    const client = await open(server.ws);
    await client.call({ connect: { token: token({ sub: "a", aud: "us" }) } });
    for (let i = 0; i < 10; i++) client.call({ rpc: { method: "hang" } }).catch(() => {});
    expect(await client.call({ unsubscribe: { channel: "news" } })).toHaveProperty("unsubscribe");
  });
});
