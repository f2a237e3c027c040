import { Centrifuge } from "centrifuge";
import { expect, it, onTestFinished } from "vitest";
import { WebSocket } from "ws";
import { API_KEY, INSECURE, SECRET, startTestServer } from "../support/server.ts";

it("shows the clients and the application's endpoints, and no secret", async () => {
  const endpoint = "http://127.0.0.1:1/rpc?key=hush-hush";
  const server = await startTestServer({
    ...INSECURE,
    prometheus: { enabled: true },
    rpc: { proxy: { endpoint }, without_namespace: { proxy_enabled: true } },
    hooks: { secret: "hush-hush", disconnect: { enabled: true, endpoint } },
  });
  const client = new Centrifuge(server.ws, { websocket: WebSocket });
  onTestFinished(() => client.disconnect());
  const sub = client.newSubscription("news");
  sub.subscribe();
  client.connect();
  await sub.ready();
  await expect(client.rpc("nothing", {})).rejects.toMatchObject({ code: 100 });
  const text = await (await fetch(`${server.url}/metrics`)).text();
  const lines = text.split("\n");
  expect(lines).toContain("switchboard_server_clients 1");
  expect(lines).toContain("switchboard_server_subscriptions 1");
  expect(lines).toContain("switchboard_server_channels 1");
  expect(lines).toContain('switchboard_server_questions{endpoint="rpc",state="failures"} 1');
  expect(text).toContain("switchboard_connections{");
  for (const secret of [SECRET, API_KEY, "hush-hush"]) expect(text).not.toContain(`"${secret}`);
  expect(text).not.toContain("hush-hush");
});
