import { mkdtemp, rm, writeFile } from "node:fs/promises";
import type { IncomingMessage } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import fc from "fast-check";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { createPlacement, eligible, type Placed } from "../../../../src/board/switchboard/pool/placement.ts";
import type { Placement, ShardCandidate } from "../../../../src/index.ts";
import { startBoard } from "../../../support/board.ts";
import { text } from "../../../support/frames.ts";
import { RawClient, upgradeRequest } from "../../../support/raw-client.ts";

const shards = (...all: number[]): (ShardCandidate & { connections: number })[] =>
  all.map((connections, shard) => ({ shard, connections, eventLoopDelayMs: 0 }));

const request = { headers: {} } as unknown as IncomingMessage;
const placed = (room: string): Placed => ({ request, params: { room }, actor: undefined });
const byRoom = { stickyBy: (_: IncomingMessage, { room }: Readonly<Record<string, string>>) => room };

it.each<Placement>(["leastConnections", "roundRobin", byRoom, () => 0])(
  "%s finds nothing among nobody",
  (placement) => {
    expect(createPlacement(placement)([], placed("a"))).toBeUndefined();
  },
);

describe("least connections", () => {
  it("picks the shard with the fewest connections", () => {
    const all = shards(3, 1, 2);
    const place = createPlacement("leastConnections");
    for (let i = 0; i < 4; i++) expect(place(all, undefined)).toBe(all[1]);
  });

  it("alternates between equal shards", () => {
    const all = shards(1, 1, 1);
    const place = createPlacement("leastConnections");
    expect(new Set([0, 1, 2].map(() => place(all, undefined))).size).toBe(3);
  });

  it("always picks one of the least loaded shards, and spreads evenly when each pick counts", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 0, max: 200 }), (count, connections) => {
        const all = shards(...Array.from({ length: count }, () => 0));
        const place = createPlacement<(typeof all)[number]>("leastConnections");
        for (let i = 0; i < connections; i++) {
          const picked = place(all, undefined);
          if (picked === undefined) throw new Error("there is always one");
          expect(picked.connections).toBe(Math.min(...all.map((one) => one.connections)));
          picked.connections++;
        }
        const counts = all.map((one) => one.connections);
        expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
      }),
    );
  });
});

describe("round robin", () => {
  it("goes by shard number, whatever the connections, and continues there when a shard is passed over", () => {
    const [a, b, c] = shards(9, 0, 5);
    const place = createPlacement<ShardCandidate>("roundRobin");
    const all = [a, b, c].filter((one) => one !== undefined);
    const without = all.filter(({ shard }) => shard !== 1);
    const picks = [all, all, all, all, without, without, all, all].map((some) => place(some, undefined)?.shard);
    expect(picks).toEqual([0, 1, 2, 0, 2, 0, 1, 2]);
  });
});

describe("sticky", () => {
  it("keeps the shard of each key, and moves only the keys of a lost shard", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 12 }),
        fc.nat(),
        fc.array(fc.string(), { minLength: 1 }),
        (count, at, keys) => {
          const place = createPlacement(byRoom);
          const all = shards(...Array.from({ length: count }, (_, i) => i));
          const lost = at % count;
          const rest = all.filter(({ shard }) => shard !== lost);
          for (const key of keys) {
            const before = place(all, placed(key))?.shard;
            expect(place(all.toReversed(), placed(key))?.shard).toBe(before);
            const after = place(rest, placed(key))?.shard;
            if (before === lost) expect(after).not.toBe(lost);
            else expect(after).toBe(before);
          }
        },
      ),
    );
  });

  it("spreads keys evenly, also those of a lost shard", () => {
    const place = createPlacement(byRoom);
    const all = shards(0, 0, 0, 0);
    const counts = [0, 0, 0, 0];
    const moved = [0, 0, 0, 0];
    for (let i = 0; i < 40_000; i++) {
      const shard = place(all, placed(`room-${i}`))?.shard ?? -1;
      counts[shard] = (counts[shard] ?? 0) + 1;
      if (shard !== 0) continue;
      const next = place(all.slice(1), placed(`room-${i}`))?.shard ?? -1;
      moved[next] = (moved[next] ?? 0) + 1;
    }
    for (const count of counts) expect(Math.abs(count - 10_000)).toBeLessThan(500);
    for (const count of moved.slice(1)) expect(Math.abs(count - 10_000 / 3)).toBeLessThan(300);
  });

  it("places a connection without a key on the shard with the fewest connections", () => {
    expect(createPlacement({ stickyBy: () => undefined })(shards(2, 0, 1), placed("a"))?.shard).toBe(1);
  });

  it("rejects keys that aren't strings", () => {
    const place = createPlacement({ stickyBy: () => 5 as unknown as string });
    expect(() => place(shards(0), placed("a"))).toThrow(expect.objectContaining({ code: "ERR_PLACEMENT" }));
  });
});

describe("the shards that may take a connection", () => {
  const of = (...all: [connections: number, eventLoopDelayMs: number][]): ShardCandidate[] =>
    all.map(([connections, eventLoopDelayMs], shard) => ({ shard, connections, eventLoopDelayMs }));
  it.each([
    { name: "the shards below the limit", all: of([2, 0], [1, 0], [3, 0]), may: [1] },
    { name: "the shards that aren't late", all: of([0, 201], [1, 200], [1, 0]), may: [1, 2] },
    { name: "the least late shard when all are late", all: of([0, 900], [1, 300], [0, 500]), may: [1] },
    { name: "none when the only shard with room isn't running", all: of([2, 0], [5, 900]), may: [] },
    { name: "a late shard with room rather than a full one", all: of([2, 0], [1, 900]), may: [1] },
  ])("are $name", ({ all, may }) => {
    expect(eligible(all, 2, 200).map(({ shard }) => shard)).toEqual(may);
  });
});

async function shardOf(client: RawClient): Promise<number> {
  client.write(text('{"do":"who"}'));
  return JSON.parse(await client.text()).shard;
}

it("places two connections on different shards", async () => {
  const { port } = await startBoard({ actor: "scripted", shards: 2 });
  const first = await RawClient.open({ port });
  const second = await RawClient.open({ port });
  expect([await shardOf(first), await shardOf(second)].toSorted()).toEqual([0, 1]);
});

it("spreads 100 connections that come one after the other evenly", async () => {
  const { board, port } = await startBoard({ shards: 2 });
  for (let i = 0; i < 100; i++) await RawClient.open({ port });
  expect(board.stats().shards.map(({ connections }) => connections)).toEqual([50, 50]);
});

it("spreads 100 connections that come at once evenly, from an uneven start too", async () => {
  const { board, port } = await startBoard({ shards: 2 });
  await RawClient.open({ port });
  await Promise.all(Array.from({ length: 99 }, () => RawClient.open({ port })));
  expect(board.stats().shards.map(({ connections }) => connections)).toEqual([50, 50]);
});

it("fills up the shard whose connections have left", async () => {
  const { board, port } = await startBoard({ actor: "scripted", shards: 2 });
  const clients: RawClient[] = [];
  for (let i = 0; i < 10; i++) clients.push(await RawClient.open({ port }));
  for (const client of clients) if ((await shardOf(client)) === 0) await client.close();
  await vi.waitFor(() => expect(board.stats().connections).toBe(5));
  for (let i = 0; i < 5; i++) expect(await shardOf(await RawClient.open({ port }))).toBe(0);
});

it("alternates exactly between real shards", async () => {
  const { board, port } = await startBoard({ actor: "scripted", shards: 3, placement: "roundRobin" });
  const seen = [];
  for (let i = 0; i < 9; i++) seen.push(await shardOf(await RawClient.open({ port })));
  expect(seen).toEqual([0, 1, 2, 0, 1, 2, 0, 1, 2]);
  await Promise.all(Array.from({ length: 90 }, () => RawClient.open({ port })));
  expect(board.stats().shards.map(({ connections }) => connections)).toEqual([33, 33, 33]);
});

it("alternates also for handshakes in the shards", async () => {
  const { board, port } = await startBoard({ shards: 3, placement: "roundRobin", attach: { handshake: "shard" } });
  await Promise.all(Array.from({ length: 30 }, () => RawClient.open({ port })));
  expect(board.stats().shards.map(({ connections }) => connections)).toEqual([10, 10, 10]);
});

/** An actor that sends the number of its shard. A thread that loads it while the flag file exists never gets ready. */
async function hangingActor(): Promise<{ actor: URL; hang: () => Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), "placement-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const [actor, flag] = [join(folder, "actor.mjs"), join(folder, "flag")];
  const index = new URL("../../../../src/index.ts", import.meta.url).href;
  const source = `
    import { existsSync } from "node:fs";
    import { Actor } from ${JSON.stringify(index)};
    if (existsSync(${JSON.stringify(flag)})) await new Promise(() => setInterval(() => {}, 1_000));
    export default class extends Actor {
      received({ text }) {
        if (text === "exit") process.exit();
        this.send(JSON.stringify({ shard: this.shard }));
      }
    }`;
  await writeFile(actor, source);
  return { actor: pathToFileURL(actor), hang: () => writeFile(flag, "") };
}

it("moves the keys of a lost shard, and no others", async () => {
  const { actor, hang } = await hangingActor();
  const { board, port } = await startBoard({ actor, shards: 3, placement: byRoom, attach: { path: "/:room" } });
  board.on("shardLost", () => {});
  const rooms = Array.from({ length: 30 }, (_, i) => `room-${i}`);
  const whereAll = (): Promise<number[]> =>
    Promise.all(rooms.map(async (room) => shardOf(await RawClient.open({ port, path: `/${room}` }))));
  const before = await whereAll();
  expect(new Set(before).size).toBe(3);
  expect(await whereAll()).toEqual(before);
  await hang();
  const lost = before[0] ?? 0;
  const client = await RawClient.open({ port, path: `/${rooms[0]}` });
  client.write(text("exit"));
  await client.closed();
  await vi.waitFor(() => expect(board.stats().shards[lost]?.ready).toBe(false));
  const after = await whereAll();
  for (const [i, shard] of after.entries()) {
    if (before[i] === lost) expect(shard).not.toBe(lost);
    else expect(shard).toBe(before[i]);
  }
});

it("calls a function with the request and the shards, and answers 503 when it returns none", async () => {
  const seen: unknown[] = [];
  const { board, port } = await startBoard({
    ...{ actor: "scripted", shards: 2, attach: { path: "/:room" } },
    placement: ({ headers }, candidates, { room }) => {
      seen.push({ room, candidates: candidates.map(({ shard, connections }) => ({ shard, connections })) });
      return headers["x-shard"] === undefined ? undefined : Number(headers["x-shard"]);
    },
  });
  const client = await RawClient.open({ port, path: "/blue", headers: { "X-Shard": "1" } });
  expect(await shardOf(client)).toBe(1);
  const refused = await RawClient.connect(port);
  refused.write(upgradeRequest({ path: "/red" }));
  expect(await refused.response()).toMatchObject({ status: 503, headers: { "retry-after": "1" } });
  const both = (connections: number) => [
    { shard: 0, connections: 0 },
    { shard: 1, connections },
  ];
  expect(seen).toEqual([
    { room: "blue", candidates: both(0) },
    { room: "red", candidates: both(1) },
  ]);
  expect(board.stats().upgrades).toMatchObject({ accepted: 1, refused: { 503: 1 } });
});

it.each<{ name: string; placement: Placement; error: object }>([
  { name: "returns no candidate", placement: () => 7, error: { code: "ERR_PLACEMENT" } },
  { name: "returns a promise", placement: (async () => 0) as unknown as Placement, error: { code: "ERR_PLACEMENT" } },
  {
    name: "throws",
    placement: () => {
      throw new RangeError("no map");
    },
    error: { message: "no map" },
  },
])("answers 500 and reports it when the function $name", async ({ placement, error }) => {
  const { board, port } = await startBoard({ placement });
  const failed = vi.fn<(error: Error) => void>();
  board.on("handshakeFailed", failed);
  const client = await RawClient.connect(port);
  client.write(upgradeRequest());
  expect((await client.response()).status).toBe(500);
  await vi.waitFor(() => expect(failed.mock.calls[0]?.[0]).toMatchObject(error));
});

it.each<{ name: string; placement: Placement }>([
  { name: "a function", placement: () => 0 },
  { name: "a key", placement: byRoom },
])("refuses handshakes in the shards when placement is by $name", async ({ placement }) => {
  const { board } = await startBoard({ placement });
  const error = { kind: "configuration", code: "ERR_NEEDS_REQUEST" };
  await expect(board.listen({ port: 0, handshake: "shard" })).rejects.toMatchObject(error);
});

it("passes over a shard while its event loop is late, and uses it again afterwards", async () => {
  const gate = new Int32Array(new SharedArrayBuffer(4));
  // A busy machine doesn't leave the other shard waiting for so long.
  const maxEventLoopDelayMs = 2_000;
  const { board, port } = await startBoard({
    ...{ actor: "faulty", shards: 2, placement: "roundRobin" as const, maxEventLoopDelayMs },
    attach: { authorize: () => ({ session: { gate: gate.buffer } }) },
  });
  const open = async (): Promise<{ readonly client: RawClient; readonly where: string }> => {
    const client = await RawClient.open({ port });
    client.write(text("where"));
    return { client, where: await client.text() };
  };
  const { client: blocking, where } = await open();
  expect(where).toBe("shard 0");
  const delay = (): number => board.stats().shards[0]?.eventLoopDelayMs ?? -1;
  blocking.write(text("hold"));
  await vi.waitFor(() => expect(delay()).toBeGreaterThan(maxEventLoopDelayMs));
  for (let i = 0; i < 6; i++) expect((await open()).where).toBe("shard 1");
  Atomics.store(gate, 0, 1);
  Atomics.notify(gate, 0);
  expect(await blocking.text()).toBe("held");
  await vi.waitFor(() => expect(delay()).toBeLessThan(maxEventLoopDelayMs));
  expect([(await open()).where, (await open()).where].toSorted()).toEqual(["shard 0", "shard 1"]);
});
