import { createServer, IncomingMessage } from "node:http";
import { Socket } from "node:net";
import { describe, expect, it, vi } from "vitest";
import type { UpgradeAnswer } from "../../../src/wire/upgrade/serve.ts";
import { connect, serveUpgrades, upgradeConnection } from "../../../src/wire/websocket/index.ts";
import type { UpgradeConnectionOptions, UpgradedConnection } from "../../../src/wire/websocket/upgrade-connection.ts";
import { text } from "../../support/frames.ts";
import { RawClient, upgradeRequest } from "../../support/raw-client.ts";
import { type CountedServer, echo, listen, nextText, startSocketServer } from "./servers.ts";

/** A server whose service may return anything for the upgrade it was given. */
async function serve(
  service: (connection: UpgradedConnection, request: IncomingMessage) => UpgradeAnswer | Promise<UpgradeAnswer>,
): Promise<CountedServer & { readonly connection: Promise<UpgradedConnection> }> {
  const { promise, resolve } = Promise.withResolvers<UpgradedConnection>();
  const server = createServer();
  serveUpgrades(server, (request) => {
    const connection = upgradeConnection(request);
    resolve(connection);
    return service(connection, request);
  });
  return { ...(await listen(server)), connection: promise };
}

describe("a request that is a handshake", () => {
  it("gets a 101 at once and becomes a WebSocket when the 101 has been sent", async () => {
    const { port, connection } = await serve(({ response }) => response);
    const client = await connect(`ws://127.0.0.1:${port}/`, { proxy: false });
    const { response, websocket } = await connection;
    expect(response).toMatchObject({ status: 101, headers: { Upgrade: "websocket", Connection: "Upgrade" } });
    void echo(await websocket);
    await client.send("hello");
    expect(await nextText(client)).toBe("hello");
    client.close();
  });

  it("loses none of the frames in its packet", async () => {
    const { port, nextSocket } = await startSocketServer();
    const client = await RawClient.open({ port, head: Buffer.concat([text("one"), text("two").subarray(0, 4)]) });
    const server = await nextSocket();
    expect(await nextText(server)).toBe("one");
    client.write(text("two").subarray(4));
    expect(await nextText(server)).toBe("two");
    client.reset();
    await server.closed;
  });

  it("chooses a subprotocol", async () => {
    const { port, nextSocket } = await startSocketServer({ protocols: ["b", "a"] });
    const client = await connect(`ws://127.0.0.1:${port}/`, { proxy: false, protocols: ["x", "a", "b"] });
    expect([client.protocol, (await nextSocket()).protocol]).toEqual(["a", "a"]);
    client.destroy();
  });
});

describe("a request that isn't a handshake", () => {
  it.each<[string, Record<string, string | undefined>, number]>([
    ["another version", { "Sec-WebSocket-Version": "8" }, 426],
    ["another protocol", { Upgrade: "foobar" }, 426],
    ["two Hosts", { Host: "localhost\r\nHost: localhost" }, 400],
    ["no key", { "Sec-WebSocket-Key": undefined }, 400],
    ["a foreign origin", { Origin: "https://evil.example" }, 403],
    ["10,000 subprotocols", { "Sec-WebSocket-Protocol": Array.from({ length: 1_000 }, (_, i) => `p${i}`).join() }, 400],
  ])("(%s) is answered, and its WebSocket rejects", async (_, headers, status) => {
    const { port, nextSocket, sockets } = await startSocketServer({ origins: ["https://example.com"] });
    const client = await RawClient.connect(port);
    client.write(upgradeRequest({ headers }));
    expect((await client.response()).status).toBe(status);
    await expect(nextSocket()).rejects.toMatchObject({ kind: "refused", code: "ERR_HANDSHAKE_REFUSED" });
    client.socket.end();
    await vi.waitFor(() => expect(sockets.size).toBe(0));
  });
});

describe("origins that a function decides on", () => {
  const origins = (origin: string, { url }: IncomingMessage): boolean => {
    if (url === "/throw") throw new Error("no table");
    return url === "/promise" ? (Promise.resolve(true) as unknown as boolean) : origin === "https://*.example.com";
  };
  it.each([
    { path: "/", origin: "https://*.example.com", status: 101 },
    { path: "/", origin: "https://a.example.com", status: 403 },
    { path: "/throw", origin: undefined, status: 101 },
    { path: "/throw", origin: "https://*.example.com", status: 500 },
    { path: "/promise", origin: "https://*.example.com", status: 500 },
  ])("answer $origin on $path with $status", async ({ path, origin, status }) => {
    const { port } = await startSocketServer({ origins });
    const client = await RawClient.connect(port);
    client.write(upgradeRequest({ path, headers: { Origin: origin } }));
    expect((await client.response()).status).toBe(status);
    client.socket.destroy();
  });
});

it.each([
  { origin: "https://a.b.example.com", status: 101 },
  { origin: "capacitor://localhost", status: 101 },
  { origin: "https://example.com", status: 403 },
  { origin: "https://evilexample.com", status: 403 },
])("answers $origin with $status for subdomains and apps in its list", async ({ origin, status }) => {
  const { port } = await startSocketServer({ origins: ["https://*.example.com", "capacitor://localhost"] });
  const client = await RawClient.connect(port);
  client.write(upgradeRequest({ headers: { Origin: origin } }));
  expect((await client.response()).status).toBe(status);
  client.socket.destroy();
});

describe("a WebSocket that never opens", () => {
  it("rejects when the service returns another answer", async () => {
    const { port, connection, sockets } = await serve(() => ({ status: 401 }));
    await expect(connect(`ws://127.0.0.1:${port}/`, { proxy: false })).rejects.toMatchObject({
      cause: { status: 401 },
    });
    await expect((await connection).websocket).rejects.toMatchObject({ code: "ERR_UPGRADE_REFUSED" });
    await vi.waitFor(() => expect(sockets.size).toBe(0));
  });

  it("rejects when the peer leaves while the service is busy", async () => {
    const busy = Promise.withResolvers<UpgradeAnswer>();
    const { port, connection, sockets } = await serve(() => busy.promise);
    const client = await RawClient.connect(port);
    client.write(upgradeRequest());
    const { response, websocket } = await connection;
    client.reset();
    await expect(websocket).rejects.toMatchObject({ code: "ERR_UPGRADE_ABANDONED" });
    busy.resolve(response);
    await vi.waitFor(() => expect(sockets.size).toBe(0));
  });

  it("causes no unhandled rejection when the promise isn't used", async () => {
    const unhandled = vi.fn();
    process.on("unhandledRejection", unhandled);
    const { port, sockets } = await serve(() => Promise.reject(new Error("on demand")));
    await expect(connect(`ws://127.0.0.1:${port}/`, { proxy: false })).rejects.toMatchObject({
      cause: { status: 500 },
    });
    await vi.waitFor(() => expect(sockets.size).toBe(0));
    await new Promise(setImmediate);
    process.off("unhandledRejection", unhandled);
    expect(unhandled).not.toHaveBeenCalled();
  });
});

it.each<[UpgradeConnectionOptions, string]>([
  [{ maxPayloadBytes: -1 }, "upgradeConnection: maxPayloadBytes takes an integer from 1 to 2147483647, got -1"],
  [{ maxFragments: Number.NaN }, "upgradeConnection: maxFragments takes an integer from 1 to 2147483647, got NaN"],
  [{ closeTimeoutMs: 2 ** 31 }, "closeTimeoutMs takes an integer from 1 to"],
  [{ pingIntervalMs: -1 }, "or 0 for no pings"],
  [{ protocols: ["a b"] }, "protocols takes an array of subprotocol names"],
  [{ origins: ["example.com"] }, 'got "example.com" at index 0, which has no scheme'],
  [{ shards: 2 } as UpgradeConnectionOptions, 'unknown option "shards"'],
])("refuses the options %j", (options, message) => {
  const request = Object.assign(new IncomingMessage(new Socket()), { method: "GET" });
  expect(() => upgradeConnection(request, options)).toThrow(message);
});
