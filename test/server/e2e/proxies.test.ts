/** The server behind nginx and HAProxy: each transport, the API, and the address of the client. */
import { once } from "node:events";
import { request } from "node:http";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import WebSocket from "ws";
import { CONNECT } from "../emulation/server.ts";
import { isProxyMissing, proxies, startProxy } from "../support/proxy.ts";
import { API_KEY, INSECURE, startTestServer } from "../support/server.ts";
import { callApi, connected, listen, TRANSPORTS } from "./clients.ts";

interface Connection {
  readonly transport: string;
  readonly remote_address: string;
}

describe.each(proxies)("behind $name", (proxy) => {
  it.skipIf(isProxyMissing(proxy)).each(TRANSPORTS)("%s carries publications of both sides", async (transport) => {
    const server = await startTestServer();
    const url = `http://127.0.0.1:${await startProxy(proxy, server.port)}`;
    const client = await connected(url, {}, transport);
    const heard = await listen(client, "news");
    await client.publish("news", "of the client");
    expect(await callApi(url, API_KEY, "publish", { channel: "news", data: "of the API" })).toMatchObject({
      result: { offset: 2 },
    });
    await vi.waitFor(() => expect(heard).toEqual(["of the client", "of the API"]));
    expect(
      await callApi(url, API_KEY, "disconnect", { user: "", disconnect: { code: 3011, reason: "again" } }),
    ).toEqual({
      result: {},
    });
    await client.ready();
    await vi.waitFor(() => expect(server.board.stats().connections).toBe(1));
    client.disconnect();
    // A stream that its client leaves ends at once; a proxy may tell it with the next message.
    await callApi(url, API_KEY, "publish", { channel: "news", data: "late" });
    await vi.waitFor(() => expect(server.board.stats().connections).toBe(0));
  });
});

describe.each(proxies)("the address of a client behind $name", (proxy) => {
  /** Connects over the proxy from another address than the proxy's, with a header that claims a third one. */
  async function addresses(trusted: readonly string[]): Promise<(readonly [transport: string, address: string])[]> {
    const server = await startTestServer({ ...INSECURE, http_server: { trusted_proxies: trusted } });
    const port = await startProxy(proxy, server.port);
    const headers = { "X-Forwarded-For": "192.0.2.7" };
    const from = { localAddress: "127.0.0.2", headers };
    const socket = new WebSocket(`ws://127.0.0.1:${port}/connection/websocket`, from);
    onTestFinished(() => socket.terminate());
    socket.on("open", () => socket.send(CONNECT));
    await once(socket, "message");
    for (const transport of ["sse", "http_stream"]) {
      const asked = request({ ...from, port, host: "127.0.0.1", method: "POST", path: `/connection/${transport}` });
      onTestFinished(() => void asked.destroy());
      asked.end(CONNECT);
      const [response] = await once(asked, "response");
      await once(response, "data");
    }
    const { result } = await callApi(server.url, API_KEY, "connections", { all_users: true });
    const all = Object.values(result?.["connections"] as Record<string, Connection>);
    return all.map((one) => [one.transport, one.remote_address] as const).toSorted();
  }

  const missing = isProxyMissing(proxy);

  it.skipIf(missing).each([
    { trusted: ["127.0.0.1", "::1"], address: "127.0.0.2" },
    { trusted: [], address: "127.0.0.1" },
  ])("is $address if $trusted are trusted", async ({ trusted, address }) => {
    expect(await addresses(trusted)).toEqual([
      ["http_stream", address],
      ["sse", address],
      ["websocket", address],
    ]);
  });
});

it("refuses an API for this machine only to clients of a proxy that tells other addresses", async () => {
  const http_api = { key: API_KEY, loopback_only: true };
  const server = await startTestServer({ ...INSECURE, http_api, http_server: { trusted_proxies: ["127.0.0.1"] } });
  const status = async (headers: Record<string, string>) => {
    const request = { method: "POST", body: "{}", headers: { "X-API-Key": API_KEY, ...headers } };
    return (await fetch(`${server.url}/api/info`, request)).status;
  };
  expect(await status({ "X-Forwarded-For": "192.0.2.7" })).toBe(403);
  expect(await status({})).toBe(200);
});
