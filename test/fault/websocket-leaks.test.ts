import { readdirSync } from "node:fs";
import type { Socket } from "node:net";
import { expect, it, vi } from "vitest";
import { connect } from "../../src/wire/websocket/index.ts";
import { text } from "../support/frames.ts";
import { RawClient, upgradeRequest } from "../support/raw-client.ts";
import { echo, nextText, startRawServer, startSocketServer } from "../wire/websocket/servers.ts";

const WAVES = 5;
const descriptors = (): number => readdirSync("/proc/self/fd").length;

const badServers: ((socket: Socket) => void)[] = [
  (socket) => socket.destroy(),
  (socket) => socket.resetAndDestroy(),
  (socket) => socket.end("HTTP/1.1 101"),
  (socket) => socket.end("HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"),
  (socket) => socket.write("HTTP/1.1 101 S\r\n\r\n"),
  (socket) => socket.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"),
  (socket) => socket.write(`HTTP/1.1 101 S\r\nX: ${"x".repeat(100_000)}`),
  () => {},
];

const badClients: ((port: number) => Promise<void>)[] = [
  async (port) => (await RawClient.connect(port)).reset(),
  async (port) => {
    const client = await RawClient.connect(port);
    client.write(upgradeRequest().slice(0, 50));
    client.reset();
  },
  async (port) => {
    const client = await RawClient.connect(port);
    client.write(upgradeRequest());
    client.reset();
  },
  async (port) => {
    const client = await RawClient.open({ port, head: text("half").subarray(0, 7) });
    client.reset();
  },
  async (port) => {
    const client = await RawClient.open({ port, head: text("x", { rsv: 4 }) });
    await client.closeFrame();
    client.socket.end();
    await client.closed();
  },
  async (port) => {
    const client = await connect(`ws://127.0.0.1:${port}/`, { proxy: false });
    void client.send("unread");
    void client.ping();
    client.destroy();
    await client.closed;
  },
  async (port) => {
    const client = await connect(`ws://127.0.0.1:${port}/`, { proxy: false });
    await client.send("hello");
    expect(await nextText(client)).toBe("hello");
    client.close();
    await client.closed;
  },
];

it("has the same descriptors as before, and no unhandled rejection, after peers that failed at every step", async () => {
  const unhandled = vi.fn();
  process.on("unhandledRejection", unhandled);
  const echoing = await startSocketServer();
  const stop = { now: false };
  void (async () => {
    while (!stop.now) await echoing.nextSocket().then(echo, () => {});
  })();
  let serve: (socket: Socket) => void = () => {};
  const raw = await startRawServer((socket) => {
    socket.on("end", () => socket.end());
    serve(socket);
  });
  const runWave = async (): Promise<void> => {
    for (const bad of badServers) {
      serve = bad;
      const options = { proxy: false, handshakeTimeoutMs: bad.length === 0 ? 50 : 5_000 } as const;
      const attempts = Array.from({ length: 10 }, () => connect(`ws://127.0.0.1:${raw.port}/`, options));
      for (const { status } of await Promise.allSettled(attempts)) expect(status).toBe("rejected");
    }
    for (const bad of badClients) await Promise.all(Array.from({ length: 10 }, () => bad(echoing.port)));
    await vi.waitFor(() => expect(raw.sockets.size + echoing.sockets.size).toBe(0), 10_000);
  };
  await runWave();
  const before = descriptors();
  for (let wave = 0; wave < WAVES; wave++) await runWave();
  await vi.waitFor(() => expect(descriptors()).toBeLessThanOrEqual(before), 10_000);
  stop.now = true;
  process.off("unhandledRejection", unhandled);
  expect(unhandled).not.toHaveBeenCalled();
});
