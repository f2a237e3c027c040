/** Emulation behind nginx and HAProxy with their defaults: no message may wait for the next, or for a full buffer. */
import { describe, expect, it, vi } from "vitest";
import { isProxyMissing, proxies, startProxy } from "../support/proxy.ts";
import { CONNECT, emulate, LineStream, rpc, startServer } from "./server.ts";

/** Starts a proxy in front of a port. Returns the proxy's URL. */
const start = async (...args: Parameters<typeof startProxy>) => `http://127.0.0.1:${await startProxy(...args)}`;

describe.each(proxies)("behind $name", (proxy) => {
  const missing = isProxyMissing(proxy);

  it.skipIf(missing).each(["http_stream", "sse"])("%s brings each message at once, and the end", async (transport) => {
    const { port, board } = await startServer();
    const url = await start(proxy, port);
    const response = await fetch(`${url}/connection/${transport}`, { method: "POST", body: CONNECT });
    expect(response.status).toBe(200);
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    const read = async () => Buffer.from((await reader.read()).value ?? []).toString();
    const [, session = ""] = /"session":"([^"]*)"/.exec(await read()) ?? [];
    const [{ address: node } = { address: "" }] = (await board.connections()).connections;
    for (let id = 2; id < 5; id++) {
      expect(await emulate(url, { node, session }, rpc(id, "echo", "small"))).toBe(204);
      expect(await read()).toContain(`{"id":${id},"rpc":{"data":"small"}}`);
    }
    await emulate(url, { node, session }, rpc(5, "close", { code: 3001, reason: "shutdown" }));
    expect(await read()).toContain('"code":3001');
    expect((await reader.read()).done).toBe(true);
  });

  it.skipIf(missing)("the leaving of the client reaches the actor, with the next message at the latest", async () => {
    const { port } = await startServer();
    const url = await start(proxy, port);
    const stream = await LineStream.open(url);
    const connected = await stream.connected();
    stream.leave();
    await vi.waitFor(async () => expect(await emulate(url, connected, rpc(2, "echo"))).toBe(404));
  });
});
