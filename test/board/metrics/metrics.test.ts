import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Gauge, Registry } from "prom-client";
import { expect, it, onTestFinished, vi } from "vitest";
import { createMetrics } from "../../../src/board/metrics/index.ts";
import { SHARD_METRICS } from "../../../src/board/metrics/metric-specs.ts";
import { Counters } from "../../../src/runtime/stats/counters.ts";
import { startBoard } from "../../support/board.ts";
import { clientFrame, text } from "../../support/frames.ts";
import { RawClient } from "../../support/raw-client.ts";

/** Value of one line of the exposition format. */
function sample(exposition: string, series: string): number {
  const line = exposition.split("\n").find((one) => one.startsWith(`${series} `));
  return Number(line?.slice(series.length + 1) ?? Number.NaN);
}

it("shows the board's counts, by shard, in Prometheus' format", async () => {
  const { board, port } = await startBoard({ shards: 2 });
  const metrics = createMetrics(board);
  const [staying, closing, breaking] = [
    await RawClient.open({ port }),
    await RawClient.open({ port }),
    await RawClient.open({ port }),
  ];
  staying.write(text("hello"));
  await staying.frame();
  await closing.close();
  breaking.write(clientFrame(0x3, "reserved"));
  await breaking.closeFrame();
  await vi.waitFor(() => expect(board.stats().connections).toBe(1));
  await expect(RawClient.open({ port, headers: { "Sec-WebSocket-Key": "x" } })).rejects.toThrow("400");

  const shown = await metrics.text();
  expect(sample(shown, 'switchboard_connections{shard="0"}')).toBe(1);
  expect(sample(shown, 'switchboard_connections_opened_total{shard="0"}')).toBe(2);
  expect(sample(shown, 'switchboard_connections_opened_total{shard="1"}')).toBe(1);
  expect(sample(shown, 'switchboard_messages_received_total{shard="0"}')).toBe(1);
  expect(sample(shown, 'switchboard_sent_bytes_total{shard="0"}')).toBe(7);
  expect(sample(shown, 'switchboard_shard_ready{shard="1"}')).toBe(1);
  expect(sample(shown, 'switchboard_connections_closed_total{shard="1",code="1000"}')).toBe(1);
  expect(sample(shown, 'switchboard_connections_closed_total{shard="0",code="1002"}')).toBe(1);
  expect(sample(shown, 'switchboard_upgrades_total{outcome="accepted",status=""}')).toBe(3);
  expect(sample(shown, 'switchboard_upgrades_total{outcome="refused",status="400"}')).toBe(1);
  expect(sample(shown, 'switchboard_handoff_seconds_count{shard="0"}')).toBe(2);
  expect(sample(shown, 'switchboard_handoff_seconds_bucket{le="+Inf",shard="0"}')).toBe(2);
  expect(sample(shown, 'switchboard_handoff_seconds_sum{shard="0"}')).toBeGreaterThan(0);
  for (const { name, type } of Object.values(SHARD_METRICS)) {
    expect(shown).toContain(`# TYPE switchboard_${name} ${type}`);
  }
  expect(shown).toContain("# TYPE switchboard_handoff_seconds histogram");
});

it("shows the current values each time, and never the sum of earlier answers", async () => {
  const { board, port } = await startBoard();
  const metrics = createMetrics(board);
  const client = await RawClient.open({ port });
  for (let i = 1; i <= 3; i++) {
    client.write(text("hello"));
    await client.frame();
    expect(sample(await metrics.text(), 'switchboard_messages_received_total{shard="0"}')).toBe(i);
  }
});

it("shows the time that publishes took to another thread", async () => {
  const { board, port } = await startBoard({ actor: "scripted" });
  const client = await RawClient.open({ port });
  client.write(text('{"do":"subscribe","topic":"news"}'));
  await client.text();
  board.publish("news", "hello");
  await client.text();
  expect(sample(await createMetrics(board).text(), 'switchboard_bus_lag_seconds_count{shard="0"}')).toBe(1);
});

it("registers with the user's own metrics and labels, under the user's prefix", async () => {
  const registry = new Registry();
  registry.setDefaultLabels({ app: "chat" });
  new Gauge({ name: "rooms", help: "Rooms.", registers: [registry] }).set(3);
  const counters = new Counters();
  const upgrades = counters.upgrades.snapshot();
  const shards = [{ shard: 0, state: "ready" as const, ready: true, failed: false, ...counters.snapshot() }];
  const board = {
    stats: () => ({
      connections: 0,
      publishesDropped: 0,
      publishesFailed: 0,
      deadLetters: 0,
      sockets: { kind: "node" as const, reason: "the default" },
      acceptsFailed: 0,
      engine: undefined,
      cluster: undefined,
      upgrades,
      shards,
    }),
  };
  const shown = await createMetrics(board, { registry, prefix: "ws_" }).text();
  expect(sample(shown, 'rooms{app="chat"}')).toBe(3);
  expect(sample(shown, 'ws_connections{shard="0",app="chat"}')).toBe(0);
  expect(sample(shown, 'ws_board_info{sockets="node",reason="the default",app="chat"}')).toBe(1);
});

it("shows the engine: whether it is up, what it counts, and publications that it didn't store", async () => {
  const { board } = await startBoard({ topics: { "room:*": { history: { size: 10 } } } });
  const metrics = createMetrics(board);
  await board.publish("room:1", "one").stored;
  expect(sample(await metrics.text(), 'switchboard_engine_up{engine="memory"}')).toBe(1);
  // The engine tells its gauges once a second.
  await vi.waitFor(async () => {
    expect(sample(await metrics.text(), 'switchboard_engine_publications{engine="memory"}')).toBe(1);
  });
  expect(sample(await metrics.text(), "switchboard_board_publishes_failed_total")).toBe(0);
  await board.close();
  await expect(board.publish("room:1", "two").stored).rejects.toThrow();
  expect(sample(await metrics.text(), "switchboard_board_publishes_failed_total")).toBe(1);
});

it("shows no engine where there is none", async () => {
  const { board } = await startBoard();
  expect(await createMetrics(board).text()).not.toMatch(/^switchboard_engine/m);
});

it("sums the buckets of a histogram", async () => {
  const counters = new Counters();
  for (const seconds of [0.000_01, 0.000_05, 0.003, 60]) counters.busLag.observe(seconds);
  const shards = [{ shard: 0, state: "ready" as const, ready: true, failed: false, ...counters.snapshot() }];
  const board = {
    stats: () => ({
      connections: 0,
      publishesDropped: 0,
      publishesFailed: 0,
      engine: undefined,
      cluster: undefined,
      deadLetters: 0,
      sockets: { kind: "node" as const, reason: "the default" },
      acceptsFailed: 0,
      upgrades: counters.upgrades.snapshot(),
      shards,
    }),
  };
  const shown = await createMetrics(board).text();
  const bucket = (le: string): number => sample(shown, `switchboard_bus_lag_seconds_bucket{le="${le}",shard="0"}`);
  expect([bucket("0.00005"), bucket("0.0025"), bucket("0.005"), bucket("5"), bucket("+Inf")]).toEqual([2, 2, 3, 3, 4]);
  expect(sample(shown, 'switchboard_bus_lag_seconds_sum{shard="0"}')).toBeCloseTo(60.003_06);
});

it("answers requests as a listener of a server", async () => {
  const { board } = await startBoard();
  const server = createServer(createMetrics(board).handler).listen(0);
  onTestFinished(() => void server.close());
  const response = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/metrics`);
  expect(response.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
  expect(sample(await response.text(), 'switchboard_connections{shard="0"}')).toBe(0);
});
