/** Nodes that die, and nodes with wrong clocks, as processes of their own over a real Redis server. */
import { fileURLToPath } from "node:url";
import { expect, it, onTestFinished, vi } from "vitest";
import { RunningProgram } from "../e2e/support/process.ts";
import type { RedisNodeProgram } from "../support/programs/redis-node.ts";
import { startRedisNode } from "../support/redis-nodes.ts";
import { RedisServer } from "../support/redis-server.ts";
import { LIMITS } from "../support/stream-model.ts";

const program = fileURLToPath(new URL("../support/programs/redis-node.ts", import.meta.url));

async function runNode(settings: RedisNodeProgram): Promise<RunningProgram> {
  const running = new RunningProgram(process.execPath, [program, JSON.stringify(settings)]);
  onTestFinished(() => running.destroy());
  await running.prints(/^ready$/m);
  return running;
}

it("a node killed with -9 is gone, and its members leave within their time, each once; nobody else is disturbed", async () => {
  const server = await RedisServer.start();
  const options = { url: server.url, presenceTtlMs: 3_000 };
  const nodes = [await startRedisNode(options, "here"), await startRedisNode(options, "there")];
  const [here, there] = nodes as [(typeof nodes)[0], (typeof nodes)[0]];
  for (const { owner } of nodes) await owner.subscribe("t");
  for (const { engine } of nodes) {
    const member = {
      address: `${engine === here.engine ? "here" : "there"}-0`,
      node: "n",
      user: "user-0",
      info: undefined,
    };
    await engine.join("t", member, { leaveGraceMs: 0, changes: true });
  }
  const dying = await runNode({
    options: { ...options, nodeTtlMs: 1_500 },
    id: "dying",
    clockAheadMs: 0,
    topic: "t",
    members: 1_000,
    publications: 10,
  });
  await vi.waitFor(() => expect(here.owner.changes).toHaveLength(1_002));
  expect(await here.engine.memberStats("t")).toEqual({ connections: 1_002, users: 10 });

  const killedAt = performance.now();
  await dying.destroy();
  for (const { owner } of nodes) {
    await vi.waitFor(() => expect(owner.nodes.at(-1)).toEqual({ id: "dying", facts: undefined }));
    await vi.waitFor(() => expect(owner.changes.length).toBeGreaterThanOrEqual(2_002));
  }
  // A busy machine may be late, but never early: no member leaves before it can be known that its node is dead.
  expect(performance.now() - killedAt).toBeGreaterThan(500);
  expect(await there.engine.memberStats("t")).toEqual({ connections: 2, users: 1 });
  for (const { owner } of nodes) {
    const left = owner.changes.filter(({ kind }) => kind === "left");
    expect(new Set(left.map(({ member }) => member.address)).size).toBe(1_000);
    expect(left.filter(({ member }) => member.node !== "dying")).toEqual([]);
    // User 0 is still there, with the members of the other nodes.
    expect(new Set(left.filter(({ ofUser }) => ofUser).map(({ member }) => member.user)).size).toBe(9);
    expect([owner.losses, owner.doubts, owner.healths]).toEqual([0, 0, []]);
    expect(owner.texts("t")).toHaveLength(10);
  }
});

it.each([-600_000, 600_000])("a clock that is wrong by %i ms changes nothing", async (clockAheadMs) => {
  const server = await RedisServer.start();
  // A process that a busy machine doesn't run for so long is gone indeed.
  const options = { url: server.url, presenceTtlMs: 5_000, nodeTtlMs: 5_000 };
  const here = await startRedisNode(options, "here");
  await here.owner.subscribe("t");
  const member = { address: "here-0", node: "here", user: "ann", info: undefined };
  await here.engine.join("t", member, { leaveGraceMs: 0, changes: true });
  const other = await runNode({
    options,
    id: "other",
    clockAheadMs,
    topic: "t",
    members: 2,
    publications: 3,
  });
  await vi.waitFor(() => expect(here.owner.texts("t")).toEqual(["t 1", "t 2", "t 3"]));
  const { records } = await here.engine.history("t", { limit: 10 }, LIMITS);
  expect(records.map(({ offset }) => offset)).toEqual([1, 2, 3]);
  const skew = Math.max(...records.map(({ timeMs }) => Math.abs(timeMs - Date.now())));
  expect(skew).toBeLessThan(300_000);
  await vi.waitFor(() => expect(here.owner.nodes.at(-1)).toEqual({ id: "other", facts: "{}" }));
  // Each side renews its members, and sweeps those of the other, several times.
  const calls = async (): Promise<number> =>
    Number(/cmdstat_zrangebyscore:calls=(\d+)/.exec(String(await server.command("INFO", "commandstats")))?.[1] ?? 0);
  await vi.waitFor(async () => expect(await calls()).toBeGreaterThan(8));
  expect(await here.engine.memberStats("t")).toEqual({ connections: 3, users: 3 });
  expect(here.owner.changes.filter(({ kind }) => kind === "left")).toEqual([]);
  other.kill("SIGKILL");
  await vi.waitFor(() => expect(here.owner.changes.filter(({ kind }) => kind === "left")).toHaveLength(2));
});

it("a restart without data keeps everybody present, and reports nobody as joined again", async () => {
  const server = await RedisServer.start();
  const options = { url: server.url, presenceTtlMs: 3_000 };
  const [here, there] = [await startRedisNode(options), await startRedisNode(options)];
  await here.owner.subscribe("t");
  const rule = { leaveGraceMs: 0, changes: true };
  for (const [index, { engine }] of [here, there].entries()) {
    for (const user of ["ann", "bob"]) {
      await engine.join("t", { address: `${user}-${index}`, node: `${index}`, user, info: undefined }, rule);
    }
  }
  await server.kill();
  for (const { owner } of [here, there]) await owner.becomes("down");
  // This one leaves while nobody can be told.
  await there.engine.leave("t", "bob-1", rule);
  await server.start();
  for (const { owner } of [here, there]) await owner.becomes("up");
  await vi.waitFor(async () => expect(await here.engine.memberStats("t")).toEqual({ connections: 3, users: 2 }));
  const doubts = (): number => here.owner.doubts + there.owner.doubts;
  const before = doubts();
  await there.engine.leave("t", "ann-1", rule);
  await here.engine.leave("t", "ann-0", rule);
  const changes = (): string[] =>
    here.owner.changes.map(({ kind, member, ofUser }) => `${kind} ${member.address} ${ofUser}`);
  await vi.waitFor(() => {
    // On a busy machine a link may be down once more: its owner is then told to doubt what it knows, and nobody hears of
    // its leaves.
    if (doubts() > before) return;
    expect(changes().slice(4)).toEqual(["left ann-1 false", "left ann-0 true"]);
  });
  expect(await here.engine.memberStats("t")).toEqual({ connections: 1, users: 1 });
});

it("a node that stops leaves the end of the grace times to the others", async () => {
  const server = await RedisServer.start();
  const [here, there] = [await startRedisNode({ url: server.url }), await startRedisNode({ url: server.url })];
  await here.owner.subscribe("t");
  const rule = { leaveGraceMs: 200, changes: true };
  await there.engine.join("t", { address: "a", node: "there", user: "ann", info: undefined }, rule);
  await there.engine.leave("t", "a", rule);
  await there.engine.stop();
  // The time of presence is a minute: only the end of the grace time can be what reports the leave.
  await vi.waitFor(() => expect(here.owner.changes.map(({ kind }) => kind)).toEqual(["joined", "left"]), 5_000);
});
