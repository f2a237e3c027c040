/** Boards that die, and boards whose clocks are wrong by minutes, as clients and other boards see them. */
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { RedisServer } from "../support/redis-server.ts";
import { Bystander } from "./cluster/clients.ts";
import type { BoardMember } from "./cluster/messages.ts";
import { Cluster, seconds, TIMES, Trial } from "./cluster/trial.ts";

let cluster: Cluster;
let server: RedisServer;

beforeEach(async () => {
  cluster = new Cluster();
  server = await RedisServer.start({ outlivesTest: true });
});

afterEach(async () => {
  await cluster.end();
  await server.destroy();
});

it("a board killed with -9: its members leave in time, its clients come back elsewhere, nobody else notices", async () => {
  await cluster.add(3, server.port);
  const trial = await Trial.start(cluster, { presence: true });
  const dying = cluster.boards.at(-1);
  const topic = trial.topics[0] ?? "";
  if (dying === undefined) throw new Error("there is no board");
  const members = async (): Promise<readonly BoardMember[]> => (await cluster.boards[0]?.presence(topic)) ?? [];
  await vi.waitFor(async () => expect(await members()).toHaveLength(12));
  const before = new Set((await members()).map(({ address }) => address));
  // One client of the board never comes back.
  const away = trial.readers.pop();
  const others = trial.readers.filter(({ name }) => !name.startsWith("reader 2"));
  const events = cluster.boards.slice(0, 2).map((board) => board.events.length);

  trial.begin();
  const killedAt = performance.now();
  const killed = cluster.kill(dying);
  away?.end();
  await killed;
  trial.mended();
  await trial.recovers();
  await vi.waitFor(async () => expect(await members()).toHaveLength(11), { interval: 50 });
  const goneMs = performance.now() - killedAt;
  const after = await members();
  expect(after.filter(({ address }) => before.has(address))).toHaveLength(8);
  expect(after.filter(({ user }) => user?.startsWith("user-2"))).toHaveLength(3);
  expect(goneMs).toBeGreaterThan((TIMES.presenceTtlMs ?? 0) / 4);
  expect(others.flatMap(({ closes }) => closes)).toEqual([]);
  expect(cluster.boards.map((board) => board.events.length)).toEqual(events);
  await trial.end("a board is killed with -9", { told: 0, note: `its members gone after ${seconds(goneMs)}` });
});

it("clocks that differ by 20 minutes change nothing", async () => {
  await cluster.add(3, server.port, [-600_000, 0, 600_000]);
  const clocks = cluster.boards.map((_, home) => new Bystander(cluster, home));
  for (const clock of clocks) clock.connect();
  await vi.waitFor(() => {
    const minutes = clocks.map(({ clockAheadMs }) => `${(clockAheadMs / 60_000).toFixed(0)}`.replace("-0", "0"));
    expect(minutes.toSorted()).toEqual(["-10", "0", "10"]);
  });
  for (const clock of clocks) clock.end();
  const trial = await Trial.start(cluster, { presence: true });
  const topic = trial.topics[0] ?? "";
  const addresses = async (at: number): Promise<string[]> =>
    ((await cluster.boards[at]?.presence(topic)) ?? []).map(({ address }) => address).toSorted();
  await vi.waitFor(async () => expect(await addresses(0)).toHaveLength(12));
  const before = await addresses(0);
  trial.begin();
  // Each board renews its members, and sweeps those of the others, several times.
  const sweeps = async (): Promise<number> =>
    Number(/cmdstat_zrangebyscore:calls=(\d+)/.exec(String(await server.command("INFO", "commandstats")))?.[1] ?? 0);
  const sweptBefore = await sweeps();
  await vi.waitFor(async () => expect(await sweeps()).toBeGreaterThan(sweptBefore + 4 * 9));
  for (const at of [0, 1, 2]) expect(await addresses(at)).toEqual(before);
  // A client that comes back resumes.
  trial.mended();
  trial.readers[0]?.cut();
  await trial.until(() => trial.readers[0]?.closes.length === 1 && trial.readers[0].isLive);
  await trial.recovers();
  expect(cluster.boards.flatMap(({ events }) => events)).toEqual([]);
  await trial.end("clocks of the boards differ by 20 minutes", { told: 0 });
});
