import { describe, expect, it } from "vitest";
import { hasFailed } from "../../src/load/report.ts";
import { actorUrl, startBoard } from "../support/board.ts";
import { selfSigned } from "../support/certificate.ts";
import { echo, forward, load, serve } from "./running.ts";

const fanout = new URL("../../bench/targets/actors/fanout.ts", import.meta.url);

async function board(actor: URL): Promise<string> {
  const { port } = await startBoard({ actor, maxPayloadBytes: 1024 * 1024 });
  return `ws://127.0.0.1:${port}/`;
}

const servers = [
  { name: "Switchboard", start: () => board(actorUrl("echo")) },
  { name: "ws", start: () => serve(echo) },
];

describe.each(servers)("an echo load on $name", ({ start }) => {
  it.each([
    { bytes: 0 },
    { bytes: 1, text: true },
    { bytes: 20, inflight: 16 },
    { bytes: 20, inflight: 100, text: true },
    { bytes: 5000, inflight: 4 },
    { bytes: 70_000, inflight: 8 },
    { bytes: 20, threads: 2 },
    { bytes: 300, rate: 500 },
    { bytes: 300, rate: 500, threads: 2, text: true },
    { bytes: 2000, text: true, compress: true },
  ])("is answered in full with %j", async (settings) => {
    const run = await load(await start(), settings);
    expect(run).toMatchObject({
      messages: { lost: 0, wrong: 0 },
      connections: { opened: 4, failed: 0, closed: 0 },
      errors: [],
    });
    expect(run.messages.received).toBeGreaterThan(0);
    expect(run.events).toEqual([{ event: "connected", connections: 4 }, { event: "start" }, { event: "end" }]);
    expect(run.latency.counts.reduce((sum, [, count]) => sum + count, 0)).toBeGreaterThanOrEqual(run.messages.received);
    expect(run.latency.p50).toBeGreaterThan(0);
    expect(run.latency.max).toBeGreaterThanOrEqual(run.latency.p999);
    expect(hasFailed(run)).toBe(false);
  });
});

it("sends at the given rate, shared by the threads", async () => {
  const run = await load(await serve(echo), { rate: 400, threads: 2, duration: 3 });
  // A busy machine may not run a thread at the end of the time.
  expect(run.messages.sent / run.seconds).toBeGreaterThan(300);
  expect(run.messages.sent / run.seconds).toBeLessThan(500);
});

it("counts bytes as they are on the wire", async () => {
  const { messages, bytes } = await load(await serve(echo), { bytes: 20 });
  expect(bytes.sent).toBe(messages.sent * (2 + 4 + 20));
  expect(bytes.received).toBe(messages.received * (2 + 20));
});

it.each([
  { connections: 1, inflight: 4 },
  { scenario: "fanout", connections: 3, inflight: 100 },
] as const)("sends compressed messages when the server negotiates compression, with %j", async (settings) => {
  const plain = await serve(forward);
  const compressing = await serve(forward, { perMessageDeflate: { threshold: 0 } });
  const perMessage: number[] = [];
  for (const url of [plain, compressing]) {
    const run = await load(url, { ...settings, bytes: 3000, compress: true });
    expect(run).toMatchObject({ messages: { lost: 0, wrong: 0 }, errors: [] });
    perMessage.push(run.bytes.sent / run.messages.sent);
  }
  expect(perMessage[0]).toBe(3008);
  expect(perMessage[1]).toBeLessThan(1500);
});

it("connects over TLS with a trusted certificate, and with any certificate if insecure", async () => {
  const { port } = await startBoard({ attach: { tls: selfSigned() } });
  const url = `wss://127.0.0.1:${port}/`;
  const trusting = await load(url, { insecure: true, inflight: 4, bytes: 30_000 });
  expect(trusting).toMatchObject({ messages: { lost: 0, wrong: 0 }, connections: { opened: 4 }, errors: [] });
  const distrusting = await load(url);
  expect(distrusting).toMatchObject({ connections: { opened: 0, failed: 4 } });
  expect(distrusting.errors[0]).toMatch(
    /^the server's certificate isn't trusted \(.+\); --insecure accepts any certificate \(4 times\)$/,
  );
});

it.each([
  { publishers: 1, inflight: 1 },
  { publishers: 1, inflight: 16 },
  { publishers: 3, inflight: 4, threads: 2 },
  { publishers: 2, rate: 200 },
])("delivers a fan-out in full with %j", async (settings) => {
  const run = await load(await board(fanout), { scenario: "fanout", connections: 6, ...settings });
  expect(run).toMatchObject({ messages: { lost: 0, wrong: 0 }, errors: [] });
  // Publishes near the ends of the counted time are delivered outside it.
  const slack = settings.publishers * (settings.inflight ?? 100) * 5;
  expect(Math.abs(run.messages.received - run.messages.sent * 5)).toBeLessThanOrEqual(slack);
  expect(run.messages.received).toBeGreaterThan(0);
});

it("reports missing, doubled and changed deliveries in a fan-out", async () => {
  const others = (change: (data: Buffer, number: number) => readonly Buffer[]) =>
    serve((socket, data, binary, number, server) => {
      for (const other of server.clients) {
        if (other !== socket) for (const one of change(data, number)) other.send(one, { binary });
      }
    });
  const settings = { scenario: "fanout", connections: 3, inflight: 4 } as const;
  const missing = await load(await others((data, number) => (number === 5 ? [] : [data])), settings);
  expect(missing.messages).toMatchObject({ lost: 2, wrong: 0 });
  const doubled = await load(await others((data, number) => (number === 5 ? [data, data] : [data])), settings);
  expect(doubled.messages).toMatchObject({ lost: 0, wrong: 2 });
  const changed = await load(
    await others((data, number) => [number === 5 ? Buffer.concat([data.subarray(0, -1), Buffer.of(0)]) : data]),
    settings,
  );
  expect(changed.messages.wrong).toBe(2);
});

it("opens, sends and closes over and over in a storm", async () => {
  let connections = 0;
  const url = await serve(echo, {}, () => connections++);
  const run = await load(url, { scenario: "storm", connections: 3 });
  expect(run).toMatchObject({ messages: { lost: 0, wrong: 0 }, connections: { failed: 0, closed: 0 }, errors: [] });
  expect(run.messages.received).toBeGreaterThan(3);
  expect(run.connections.opened).toBe(connections);
});

it.each([1, 3])("ends a storm when the total of connections has been made, by %i threads", async (threads) => {
  let connections = 0;
  const url = await serve(echo, {}, () => connections++);
  const run = await load(url, { scenario: "storm", connections: 3, threads, total: 20, duration: 1000 });
  expect(connections).toBe(20);
  expect(run).toMatchObject({ messages: { lost: 0, wrong: 0 }, connections: { opened: 20, failed: 0 }, errors: [] });
  expect(run.events.at(-1)).toEqual({ event: "end" });
});

it("reports each step of idle connections, and holds them until it is stopped", async () => {
  const open = new Set<object>();
  const pings: Promise<unknown>[] = [];
  const url = await serve(echo, {}, (socket) => {
    open.add(socket);
    socket.on("close", () => open.delete(socket));
    pings.push(new Promise((resolve) => socket.once("pong", resolve)));
    socket.ping();
  });
  let held = 0;
  const run = await load(url, { scenario: "idle", connections: 7, step: 3, duration: 1000 }, (event, stop) => {
    if (event.event !== "start") return;
    held = open.size;
    void Promise.all(pings).then(() => stop.abort());
  });
  expect(held).toBe(7);
  expect(run.events).toEqual([
    ...[3, 6, 7].map((connections) => ({ event: "connected", connections })),
    { event: "start" },
    { event: "end" },
  ]);
  expect(hasFailed(run)).toBe(false);
});
