import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, it, onTestFinished } from "vitest";
import { hasFailed } from "../../src/load/report.ts";
import { freePort } from "../support/free-port.ts";
import { echo, load, serve } from "./running.ts";

it.each([
  {
    what: "content",
    change: (data: Buffer) => Buffer.concat([data.subarray(0, 10), Buffer.alloc(10)]),
    error: /differs/,
  },
  { what: "length", change: (data: Buffer) => data.subarray(1), error: /binary message of 19 bytes/ },
  {
    what: "counter",
    change: (data: Buffer) => Buffer.concat([Buffer.from("oooo"), data.subarray(4)]),
    error: /wasn't|isn't the one/,
  },
])("reports a reply of the wrong $what", async ({ change, error }) => {
  const url = await serve((socket, data, binary, number) => {
    socket.send(number === 3 ? change(data) : data, { binary });
  });
  const run = await load(url, { connections: 1, inflight: 2, warmup: 0.05 });
  expect(run.messages.wrong).toBe(1);
  expect(run.errors[0]).toMatch(error);
  expect(hasFailed(run)).toBe(true);
});

it("reports a reply of the wrong type", async () => {
  const run = await load(await serve((socket, data) => socket.send(data, { binary: true })), { text: true });
  expect(run.messages.received).toBe(0);
  expect(run.messages.wrong).toBeGreaterThan(0);
  expect(run.errors[0]).toMatch(/^received a binary message of 20 bytes, which is not what was sent/);
});

it("reports a reply that is missing between others, and goes on", async () => {
  const url = await serve((socket, data, binary, number) => {
    if (number !== 4) socket.send(data, { binary });
  });
  const run = await load(url, { connections: 2, inflight: 4 });
  expect(run.messages).toMatchObject({ lost: 2, wrong: 0 });
  expect(run.messages.received).toBeGreaterThan(10);
  expect(run.errors).toEqual(["replies are missing between others (2 times)"]);
});

it("reports that the last replies are missing", async () => {
  const url = await serve((socket, data, binary, number) => {
    if (number < 3) socket.send(data, { binary });
  });
  const run = await load(url, { connections: 2, inflight: 1 });
  expect(run.messages).toMatchObject({ lost: 2, wrong: 0 });
  expect(run.errors).toEqual(["replies were missing 5 s after the last message"]);
});

it("reports a message that wasn't asked for", async () => {
  const run = await load(await serve(echo, {}, (socket) => socket.send("welcome")), { connections: 1 });
  expect(run.messages.wrong).toBe(1);
  expect(run.errors).toEqual(["received a text message of 7 bytes, which is not what was sent"]);
});

it("skips the given number of greeting messages", async () => {
  const greet = (socket: { send(text: string): void }): void => {
    socket.send("welcome");
    socket.send("to the jungle");
  };
  const run = await load(await serve(echo, {}, greet), { greeting: 2 });
  expect(run.messages).toMatchObject({ lost: 0, wrong: 0 });
  expect(run.messages.received).toBeGreaterThan(0);
});

it("ends early, and reports what was lost, when the server closes all connections", async () => {
  const url = await serve((socket, data, binary, number) => {
    if (number < 2) socket.send(data, { binary });
    else socket.close(1011, "tired");
  });
  const run = await load(url, { duration: 1000 });
  expect(run).toMatchObject({
    messages: { lost: 4 },
    connections: { opened: 4, failed: 0, closed: 4 },
    errors: ["the server closed with 1011 (tired) (4 times)"],
  });
});

it("distinguishes a connection that ends without a close frame from one that is closed", async () => {
  const run = await load(await serve((socket) => socket.terminate()), { duration: 1000, connections: 1 });
  expect(run.connections.closed).toBe(1);
  expect(run.errors[0]).toMatch(/^the server (ended the connection without a close frame|reset the connection)/);
});

it("ends at once, with the reason, when the server refuses the handshake", async () => {
  const run = await load(await serve(echo, { verifyClient: () => false }), { duration: 1000 });
  expect(run).toMatchObject({
    messages: { sent: 0 },
    connections: { opened: 0, failed: 4, closed: 0 },
    errors: ["the server answered 401 instead of 101 (4 times)"],
  });
});

it.each(["echo", "fanout", "storm", "idle"] as const)("ends %s at once when nobody listens", async (scenario) => {
  const run = await load(`ws://127.0.0.1:${await freePort()}/`, {
    scenario,
    duration: 1000,
    warmup: scenario === "idle" ? 0 : 1000,
  });
  expect(run.connections).toMatchObject({ opened: 0, closed: 0 });
  expect(run.errors[0]).toMatch(/^no server listens there \(ECONNREFUSED\)/);
});

it("reports a server that doesn't speak HTTP/1.1, or that answers another key", async () => {
  const server = createServer();
  server.on("upgrade", (request, socket) => {
    socket.end(
      request.url === "/key"
        ? "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n"
        : "SSH-2.0-OpenSSH_9.6\r\n\r\n",
    );
  });
  server.listen(0);
  onTestFinished(() => {
    server.close();
  });
  const url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const other = await load(`${url}/other`, { connections: 1 });
  expect(other.errors).toEqual(["the server doesn't answer in HTTP/1.1"]);
  const key = await load(`${url}/key`, { connections: 1 });
  expect(key.errors).toEqual(["the server's Sec-WebSocket-Accept doesn't answer our key"]);
});

it("measures latency in an open loop from the time at which a message should have been sent", async () => {
  // The server stalls once while messages become due. All of these messages have waited, not just the first.
  const STALL_MS = 400;
  let stalled = false;
  const url = await serve((socket, data, binary, number) => {
    if (number === 20 && !stalled) {
      stalled = true;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, STALL_MS);
    }
    socket.send(data, { binary });
  });
  const run = await load(url, { connections: 1, rate: 200, duration: 1 });
  expect(run.messages).toMatchObject({ lost: 0, wrong: 0 });
  const slow = run.latency.counts.filter(([micros]) => micros > 100e3).reduce((sum, [, count]) => sum + count, 0);
  // 300 ms of the stall at 200 per second.
  expect(slow).toBeGreaterThan(40);
  expect(run.latency.p90).toBeGreaterThan((STALL_MS * 1e3) / 4);
});
