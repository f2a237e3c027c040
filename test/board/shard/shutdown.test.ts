import { beforeEach, expect, it, vi } from "vitest";
import type { ShutdownTarget } from "../../../src/board/connection/shutdown-target.ts";
import { Shutdown, type ShutdownCounts } from "../../../src/board/shard/shutdown.ts";

const LATER_MS = 60_000;
const settings = { timeoutMs: LATER_MS, batchSize: 100, batchIntervalMs: LATER_MS, code: 1012, reason: "restarting" };

let log: string[] = [];
let connections = new Set<ShutdownTarget>();
let counts: ShutdownCounts | undefined;
/** Number of actors that aren't done. */
let actors = 0;

beforeEach(() => {
  log = [];
  connections = new Set();
  counts = undefined;
  actors = 0;
});

function connect(name: string): ShutdownTarget {
  const connection: ShutdownTarget = {
    announceShutdown: () => log.push(`tell ${name}`),
    closeForShutdown: (code, reason) => log.push(`close ${name} ${code} ${reason}`),
    destroy: () => log.push(`drop ${name}`),
  };
  connections.add(connection);
  actors++;
  return connection;
}

function start(changes: Partial<typeof settings> = {}): Shutdown {
  return new Shutdown(
    connections,
    () => actors,
    { ...settings, ...changes },
    (result) => {
      counts = result;
    },
  );
}

/** Removes the connection. Its actor may still run. */
function close(shutdown: Shutdown, connection: ShutdownTarget, clean = true): void {
  connections.delete(connection);
  shutdown.connectionClosed(clean);
}

function endActor(shutdown: Shutdown): void {
  actors--;
  shutdown.actorEnded();
}

/** Removes the connection, and ends its actor. */
function leave(shutdown: Shutdown, connection: ShutdownTarget, clean = true): void {
  close(shutdown, connection, clean);
  endActor(shutdown);
}

it("tells every actor about the shutdown before it closes the first connection", () => {
  const [a, b] = [connect("a"), connect("b")];
  const shutdown = start();
  expect(log).toEqual(["tell a", "tell b", "close a 1012 restarting", "close b 1012 restarting"]);
  expect(counts).toBeUndefined();
  leave(shutdown, a);
  leave(shutdown, b, false);
  expect(counts).toEqual({ closed: 1, dropped: 1, cut: 0 });
});

it("is done at once when there are no connections", () => {
  start();
  expect(counts).toEqual({ closed: 0, dropped: 0, cut: 0 });
});

it("closes in batches, and skips connections that left meanwhile", async () => {
  const [a, b, c, d] = ["a", "b", "c", "d"].map(connect) as [
    ShutdownTarget,
    ShutdownTarget,
    ShutdownTarget,
    ShutdownTarget,
  ];
  const shutdown = start({ batchSize: 2, batchIntervalMs: 20 });
  expect(log.slice(4)).toEqual(["close a 1012 restarting", "close b 1012 restarting"]);
  leave(shutdown, c);
  await vi.waitFor(() => expect(log.slice(6)).toEqual(["close d 1012 restarting"]));
  for (const connection of [a, b, d]) leave(shutdown, connection);
  expect(counts).toEqual({ closed: 4, dropped: 0, cut: 0 });
});

it("closes a connection that arrives late in its turn: after those that wait, or at once when none do", async () => {
  const [a, b] = [connect("a"), connect("b")];
  const shutdown = start({ batchSize: 1, batchIntervalMs: 20 });
  const late = connect("late");
  shutdown.add(late);
  expect(log).toEqual(["tell a", "tell b", "close a 1012 restarting", "tell late"]);
  await vi.waitFor(() => expect(log.slice(4)).toEqual(["close b 1012 restarting", "close late 1012 restarting"]));
  for (const connection of [a, b, late]) leave(shutdown, connection);

  const latest = connect("latest");
  shutdown.add(latest);
  expect(log.slice(6)).toEqual(["tell latest", "close latest 1012 restarting"]);
});

it("drops the remaining connections at the deadline, and those that arrive later", async () => {
  const [a, b] = [connect("a"), connect("b")];
  const shutdown = start({ timeoutMs: 20, batchSize: 1 });
  await vi.waitFor(() => expect(log.slice(3)).toEqual(["drop a", "drop b"]));
  const late = connect("late");
  shutdown.add(late);
  expect(log.slice(5)).toEqual(["drop late"]);
  for (const connection of [a, b, late]) leave(shutdown, connection, false);
  expect(counts).toEqual({ closed: 0, dropped: 3, cut: 0 });
});

it("waits for actors whose connections are closed, also for those that closed before the shutdown", () => {
  const a = connect("a");
  actors++;
  const shutdown = start();
  close(shutdown, a);
  endActor(shutdown);
  expect(counts).toBeUndefined();
  endActor(shutdown);
  expect(counts).toEqual({ closed: 1, dropped: 0, cut: 0 });
});

it("waits for a connection whose actor is done", () => {
  const a = connect("a");
  const shutdown = start();
  endActor(shutdown);
  expect(counts).toBeUndefined();
  close(shutdown, a);
  expect(counts).toEqual({ closed: 1, dropped: 0, cut: 0 });
});

it("counts the actors that aren't done at the deadline as cut", async () => {
  const [a, b] = [connect("a"), connect("b")];
  const shutdown = start({ timeoutMs: 20 });
  leave(shutdown, a);
  close(shutdown, b);
  await vi.waitFor(() => expect(counts).toEqual({ closed: 2, dropped: 0, cut: 1 }));
});

it("drops the remaining connections before the deadline, so that their actors have time", async () => {
  const a = connect("a");
  const shutdown = start({ timeoutMs: 2_000 });
  await vi.waitFor(() => expect(log.slice(2)).toEqual(["drop a"]), 4_000);
  close(shutdown, a, false);
  expect(counts).toBeUndefined();
  endActor(shutdown);
  expect(counts).toEqual({ closed: 0, dropped: 1, cut: 0 });
});
