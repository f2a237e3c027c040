/**
 * How the connections of a shard come to a stand together. The limits are long: a test that waits for one of them
 * fails.
 */
import { expect, it, onTestFinished } from "vitest";
import type { ShardPool } from "../../../src/board/switchboard/pool/shard-pool.ts";
import { whyNoPassing } from "../../../src/wire/native/pass-descriptors.ts";
import { listenFor, MovingPeer, passAllOut, startPool } from "../../support/shard-pool.ts";

const LONG = 600_000;

interface Stand {
  readonly pool: ShardPool;
  readonly others: readonly MovingPeer[];
  readonly slow: MovingPeer;
  /** Reasons of the moves that failed. */
  readonly failed: string[];
  calm(limitMs: number): Promise<unknown>;
  standStill(isLast: boolean): Promise<number | undefined>;
  suspendAll(): Promise<number | undefined>;
}

/** A shard with connections, of which one is to be slow. */
async function open(): Promise<Stand> {
  const failed: string[] = [];
  const pool = await startPool("moving", {
    event: (event) => {
      if (event.name === "moveFailed") failed.push(event.detail.reason);
    },
  });
  const port = await listenFor(pool);
  const all = await Promise.all(Array.from({ length: 4 }, () => MovingPeer.open(port)));
  const [slow, ...others] = all as [MovingPeer, ...MovingPeer[]];
  return {
    ...{ pool, others, slow, failed },
    calm: (limitMs) => pool.query(0, { kind: "calm", limitMs }, LONG),
    standStill: (isLast) => pool.query(0, { kind: "standStill", limitMs: LONG, fewLimitMs: 20, isLast }, LONG),
    suspendAll: () => pool.query(0, { kind: "suspendAll", limitMs: LONG, fewLimitMs: 20 }, LONG),
  };
}

it("waits for a handler while all others go on", async () => {
  const { slow, others, calm, standStill, failed } = await open();
  expect(await slow.ask("hold")).toBe("holding");
  const isCalm = calm(LONG);
  for (const other of others) expect(await other.ask("meanwhile")).toBe("meanwhile");
  others[0]?.socket.send("release");
  await isCalm;
  expect(await slow.next()).toBe("held");
  expect(await standStill(false)).toBe(0);
  expect(failed).toEqual([]);
});

it("tries again after a handler that began when all others were about to stand, and that one waits for them", async () => {
  const { slow, others, calm, standStill, suspendAll, failed } = await open();
  await calm(LONG);
  expect(await slow.ask("hold")).toBe("holding");
  expect(await standStill(false)).toBe(1);
  // Nobody waits for the handler.
  const isCalm = calm(LONG);
  for (const other of others) expect(await other.ask("meanwhile")).toBe("meanwhile");
  slow.socket.send("hold");
  others[0]?.socket.send("release");
  await isCalm;
  expect(await slow.next()).toBe("held");
  // It isn't read: its next handler doesn't begin.
  expect(await standStill(false)).toBe(0);
  expect(await suspendAll()).toBe(4);
  expect(failed).toEqual([]);
});

it("gives a handler up that doesn't end, and suspends all others without waiting for it", async () => {
  const { pool, slow, others, calm, standStill, suspendAll, failed } = await open();
  expect(await slow.ask("hold")).toBe("holding");
  await calm(0);
  expect(await standStill(true)).toBe(0);
  expect(failed).toEqual(["busy"]);
  expect(await suspendAll()).toBe(3);
  expect(pool.counters()[0]?.movesFailed).toBe(1);
  await pool.query(0, { kind: "resumeAll" });
  others[0]?.socket.send("release");
  expect(await slow.next()).toBe("held");
  expect(await slow.ask("still")).toBe("still");
});

it.each([
  { plan: "throw", reason: "failed" },
  { plan: "hang", reason: "failed" },
  { plan: "function", reason: "state" },
])(
  "reports a connection whose suspended plans to $plan, and waits no longer for it than others need",
  async ({ plan, reason }) => {
    const { pool, slow, others, calm, standStill, suspendAll, failed } = await open();
    await slow.ask(`plan ${plan}`);
    await calm(LONG);
    expect(await standStill(true)).toBe(0);
    expect(await suspendAll()).toBe(3);
    // The second round is for connections that have come meanwhile: `suspended` isn't called twice.
    expect(await suspendAll()).toBe(3);
    expect(failed).toEqual([reason]);
    await pool.query(0, { kind: "resumeAll" });
    for (const one of [slow, ...others])
      expect(await one.ask("log")).toMatch(/^opened, suspended on 0(, resumed 7 on 0)?$/);
  },
);

it("waits longer for many than for few whose suspended takes long", async () => {
  const { slow, others, calm, standStill, suspendAll, failed } = await open();
  for (const one of [slow, ...others]) await one.ask("plan slow");
  await calm(LONG);
  await standStill(true);
  expect(await suspendAll()).toBe(4);
  expect(failed).toEqual([]);
});

it.skipIf(whyNoPassing() !== undefined)(
  "leaves a connection behind that was given up, when all others go",
  async () => {
    const [{ pool, slow, calm, standStill, suspendAll }, next] = [await open(), await startPool("moving")];
    await slow.ask("hold");
    await calm(0);
    await standStill(true);
    await suspendAll();
    const passed = await passAllOut(pool);
    expect(passed).toHaveLength(3);
    expect(pool.counters()[0]?.connections).toBe(1);
    await next.query(0, { kind: "passIn", connections: passed, isReturn: false });
    expect(await next.query(0, { kind: "startPassed" })).toEqual({ running: 3, clientKeys: [] });
    onTestFinished(() => slow.socket.terminate());
  },
);
