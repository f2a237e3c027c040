import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { Connection } from "../../../src/board/connection/connection.ts";
import { ConnectionRegistry } from "../../../src/board/shard/connection-registry.ts";
import type { Address } from "../../../src/runtime/actor/address.ts";
import { createConnectionHost } from "../../support/connection-host.ts";
import { FakeTransport } from "../../support/fake-transport.ts";

const NOW = Date.UTC(2026, 0, 1);

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date"], now: NOW });
});
afterEach(() => {
  vi.useRealTimers();
});

/** Connections of one shard, with the addresses 0-0, 0-1, and so on. */
function connections(count: number): Connection[] {
  const host = createConnectionHost();
  return Array.from({ length: count }, (_, i) => {
    const identity = { id: `0-${i}`, session: undefined, params: {}, protocol: "", url: "/" };
    return new Connection(new FakeTransport(), identity, host);
  });
}

function filled(count: number): { directory: ConnectionRegistry; all: Connection[] } {
  const directory = new ConnectionRegistry();
  const all = connections(count);
  for (const connection of all) directory.add(connection);
  return { directory, all };
}

/** The addresses on all pages of this size. */
function paged(directory: ConnectionRegistry, limit: number): string[] {
  const found: string[] = [];
  for (let after = 0; ; ) {
    const page = directory.page(after, limit);
    const last = page.at(-1);
    if (last === undefined) return found;
    expect(page.length).toBeLessThanOrEqual(limit);
    found.push(...page.map(({ connection }) => connection.address));
    after = last.serial;
  }
}

const numbers = (directory: Iterable<Connection>): string[] => [...directory].map(({ address }) => address);

it("finds a connection by its address while it is open", () => {
  const { directory, all } = filled(2);
  expect(directory.get("0-1" as Address)).toBe(all[1]);
  expect(directory.delete(all[1] as Connection)).toBe(true);
  expect(directory.get("0-1" as Address)).toBeUndefined();
  expect(directory.delete(all[1] as Connection)).toBe(false);
  expect(directory.size).toBe(1);
});

it("is empty before the first connection and after the last", () => {
  const { directory, all } = filled(1);
  for (const connection of all) directory.delete(connection);
  expect([directory.size, numbers(directory), directory.page(0, 10)]).toEqual([0, [], []]);
  expect(new ConnectionRegistry().page(0, 10)).toEqual([]);
});

it.each([1, 2, 3, 6, 7, 100])("lists all connections in order, in pages of %i", (limit) => {
  const { directory } = filled(7);
  expect(paged(directory, limit)).toEqual(Array.from({ length: 7 }, (_, i) => `0-${i}`));
});

it.each([1, 2, 3, 10])("lists the remaining connections in order when every %i. has left", (nth) => {
  const { directory, all } = filled(20);
  const gone = all.filter((_, i) => i % nth === 0);
  for (const connection of gone) directory.delete(connection);
  const left = numbers(all.filter((connection) => !gone.includes(connection)));
  expect(paged(directory, 4)).toEqual(left);
  expect(numbers(directory)).toEqual(left);
  expect(directory.size).toBe(left.length);
});

it("continues after a serial whose connection has left, or whose slot was cleared meanwhile", () => {
  const { directory, all } = filled(10);
  const after = directory.page(0, 4).at(-1)?.serial ?? 0;
  for (const connection of all.slice(0, 8)) directory.delete(connection);
  expect(directory.page(after, 10).map(({ connection }) => connection.address)).toEqual(["0-8", "0-9"]);
});

it("lists when each connection was opened, with serials that grow even within a millisecond or when the clock is set back", () => {
  const directory = new ConnectionRegistry();
  const [first, second, third] = connections(3) as [Connection, Connection, Connection];
  directory.add(first);
  directory.add(second);
  vi.setSystemTime(NOW - 60_000);
  directory.add(third);
  const entries = directory.page(0, 3);
  expect(entries.map(({ openedAt }) => openedAt)).toEqual([NOW, NOW, NOW]);
  const serials = entries.map(({ serial }) => serial);
  expect(serials).toEqual(serials.toSorted((a, b) => a - b));
  expect(new Set(serials).size).toBe(3);
});

it("skips connections that leave during an iteration, and reaches those that are added", () => {
  const { directory, all } = filled(3);
  const late = connections(4)[3] as Connection;
  const seen: string[] = [];
  for (const connection of directory) {
    seen.push(connection.address);
    if (seen.length > 1) continue;
    directory.delete(all[1] as Connection);
    directory.add(late);
  }
  expect(seen).toEqual(["0-0", "0-2", "0-3"]);
});

it("finds by address what came before the first look-up and after it, also across many that have left", () => {
  const { directory, all } = filled(200);
  const [first, last, ...others] = [all[0], all[199], ...all.slice(1, 199)] as [
    Connection,
    Connection,
    ...Connection[],
  ];
  expect(directory.get(first.address)).toBe(first);
  directory.delete(first);
  directory.add(first);
  for (const connection of others) directory.delete(connection);
  expect([first, last, others[0]].map((one) => directory.get(one?.address as Address))).toEqual([
    first,
    last,
    undefined,
  ]);
  expect([...directory.addresses()]).toEqual(["0-199", "0-0"]);
});

it("continues an iteration over all connections when most of them leave meanwhile", () => {
  const { directory, all } = filled(200);
  const seen: string[] = [];
  for (const connection of directory) {
    seen.push(connection.address);
    if (seen.length === 10) for (const one of all.slice(0, 195)) directory.delete(one);
  }
  expect(seen.slice(10)).toEqual(["0-195", "0-196", "0-197", "0-198", "0-199"]);
});
