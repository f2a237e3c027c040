import { beforeEach, expect, it, vi } from "vitest";
import type { Drainable } from "../../../src/board/connection/drainable.ts";
import { Drain, type DrainCounts } from "../../../src/board/shard/drain.ts";

const LATER_MS = 60_000;
const settings = { timeoutMs: LATER_MS, batch: 100, batchIntervalMs: LATER_MS, code: 1012, reason: "restarting" };

let log: string[] = [];
let connections = new Set<Drainable>();
let counts: DrainCounts | undefined;
/** Actors that aren't done. */
let actors = 0;

beforeEach(() => {
  log = [];
  connections = new Set();
  counts = undefined;
  actors = 0;
});

function connect(name: string): Drainable {
  const connection: Drainable = {
    drain: () => log.push(`tell ${name}`),
    closeDrained: (code, reason) => log.push(`close ${name} ${code} ${reason}`),
    destroy: () => log.push(`drop ${name}`),
  };
  connections.add(connection);
  actors++;
  return connection;
}

function start(changes: Partial<typeof settings> = {}): Drain {
  return new Drain(
    connections,
    () => actors,
    { ...settings, ...changes },
    (result) => {
      counts = result;
    },
  );
}

/** The connection is gone; its actor may still run. */
function close(drain: Drain, connection: Drainable, clean = true): void {
  connections.delete(connection);
  drain.connectionClosed(clean);
}

function endActor(drain: Drain): void {
  actors--;
  drain.actorEnded();
}

/** The connection is gone, and its actor is done. */
function leave(drain: Drain, connection: Drainable, clean = true): void {
  close(drain, connection, clean);
  endActor(drain);
}

it("tells every actor before it closes the first connection", () => {
  const [a, b] = [connect("a"), connect("b")];
  const drain = start();
  expect(log).toEqual(["tell a", "tell b", "close a 1012 restarting", "close b 1012 restarting"]);
  expect(counts).toBeUndefined();
  leave(drain, a);
  leave(drain, b, false);
  expect(counts).toEqual({ closed: 1, dropped: 1, cut: 0 });
});

it("is done at once when there are no connections", () => {
  start();
  expect(counts).toEqual({ closed: 0, dropped: 0, cut: 0 });
});

it("closes in batches, and skips those that left meanwhile", async () => {
  const [a, b, c, d] = ["a", "b", "c", "d"].map(connect) as [Drainable, Drainable, Drainable, Drainable];
  const drain = start({ batch: 2, batchIntervalMs: 20 });
  expect(log.slice(4)).toEqual(["close a 1012 restarting", "close b 1012 restarting"]);
  leave(drain, c);
  await vi.waitFor(() => expect(log.slice(6)).toEqual(["close d 1012 restarting"]));
  for (const connection of [a, b, d]) leave(drain, connection);
  expect(counts).toEqual({ closed: 4, dropped: 0, cut: 0 });
});

it("closes a connection that arrives in its turn: after those that wait, or at once when none do", async () => {
  const [a, b] = [connect("a"), connect("b")];
  const drain = start({ batch: 1, batchIntervalMs: 20 });
  const late = connect("late");
  drain.add(late);
  expect(log).toEqual(["tell a", "tell b", "close a 1012 restarting", "tell late"]);
  await vi.waitFor(() => expect(log.slice(4)).toEqual(["close b 1012 restarting", "close late 1012 restarting"]));
  for (const connection of [a, b, late]) leave(drain, connection);

  const latest = connect("latest");
  drain.add(latest);
  expect(log.slice(6)).toEqual(["tell latest", "close latest 1012 restarting"]);
});

it("drops what is left when the time is up, and what arrives then", async () => {
  const [a, b] = [connect("a"), connect("b")];
  const drain = start({ timeoutMs: 20, batch: 1 });
  await vi.waitFor(() => expect(log.slice(3)).toEqual(["drop a", "drop b"]));
  const late = connect("late");
  drain.add(late);
  expect(log.slice(5)).toEqual(["drop late"]);
  for (const connection of [a, b, late]) leave(drain, connection, false);
  expect(counts).toEqual({ closed: 0, dropped: 3, cut: 0 });
});

it("waits for actors whose connections are closed, also for those that closed before it began", () => {
  const a = connect("a");
  actors++;
  const drain = start();
  close(drain, a);
  endActor(drain);
  expect(counts).toBeUndefined();
  endActor(drain);
  expect(counts).toEqual({ closed: 1, dropped: 0, cut: 0 });
});

it("waits for a connection whose actor is done", () => {
  const a = connect("a");
  const drain = start();
  endActor(drain);
  expect(counts).toBeUndefined();
  close(drain, a);
  expect(counts).toEqual({ closed: 1, dropped: 0, cut: 0 });
});

it("cuts the actors that aren't done when the time is up, and counts them", async () => {
  const [a, b] = [connect("a"), connect("b")];
  const drain = start({ timeoutMs: 20 });
  leave(drain, a);
  close(drain, b);
  await vi.waitFor(() => expect(counts).toEqual({ closed: 2, dropped: 0, cut: 1 }));
});

it("drops what is left before the time is up, so that its actors have time", async () => {
  const a = connect("a");
  const drain = start({ timeoutMs: 2_000 });
  await vi.waitFor(() => expect(log.slice(2)).toEqual(["drop a"]), 4_000);
  close(drain, a, false);
  expect(counts).toBeUndefined();
  endActor(drain);
  expect(counts).toEqual({ closed: 0, dropped: 1, cut: 0 });
});
