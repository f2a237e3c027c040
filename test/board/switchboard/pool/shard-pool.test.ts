import { expect, it, onTestFinished, vi } from "vitest";
import { BoardTopics } from "../../../../src/board/switchboard/board-topics.ts";
import { checkCloseOptions } from "../../../../src/board/switchboard/options/close-options.ts";
import { checkStartOptions } from "../../../../src/board/switchboard/options/start-options.ts";
import { ShardPool } from "../../../../src/board/switchboard/pool/shard-pool.ts";
import { MailRouter } from "../../../../src/runtime/mail/mail-router.ts";
import { actorUrl } from "../../../support/actor-url.ts";
import { startPool } from "../../../support/shard-pool.ts";

it("replaces a shard that the main thread ends", async () => {
  const owner = {
    event: vi.fn(),
    published: vi.fn(),
    lateUpgrade: vi.fn(),
    reported: vi.fn(),
    shardLost: vi.fn(),
    shardReplaced: vi.fn(),
    shardFailed: vi.fn(),
    clientLeft: vi.fn(),
    moved: vi.fn(),
    engineLost: vi.fn(),
    engineFailed: vi.fn(),
  };
  const mail = new MailRouter({ shard: undefined, mailReceived: () => "gone", mailUndelivered: () => {} });
  const topics = new BoardTopics(undefined, {
    engineHealthChanged: () => {},
    engineLost: () => {},
    controlReceived: () => {},
    nodeChanged: () => {},
  });
  const pool = await ShardPool.start(
    checkStartOptions({ actor: actorUrl("echo"), shards: 2 }),
    "node",
    { topics, mail },
    owner,
  );
  onTestFinished(async () => {
    await pool.close(checkCloseOptions({ timeoutMs: 0 }));
    topics.close();
  });
  pool.terminate(1);
  await vi.waitFor(() => expect(owner.shardReplaced).toHaveBeenCalledWith(1), { timeout: 20_000 });
  const error = expect.objectContaining({ code: "ERR_SHARD_TERMINATED" });
  expect(owner.shardLost.mock.calls).toEqual([[{ shard: 1, reason: "terminated", connections: 0, error }]]);
  expect(pool.states()).toEqual(["ready", "ready"]);
  expect(owner.shardFailed).not.toHaveBeenCalled();
});

it("waits for the moves under way before a takeover, and refuses others", async () => {
  const pool = await startPool("echo");
  const { moveGate } = pool;
  const order: string[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  const moved = moveGate.run(() => promise).then(() => order.push("moved"));
  const paused = moveGate.pause().then(() => order.push("paused"));
  await expect(moveGate.run(() => Promise.resolve())).rejects.toMatchObject({ code: "ERR_MOVE_FAILED" });
  await pool.query(0, { kind: "settle" });
  expect(order).toEqual([]);
  resolve();
  await Promise.all([moved, paused]);
  expect(order).toEqual(["moved", "paused"]);
  moveGate.resume();
  expect(await moveGate.run(() => Promise.resolve("goes"))).toBe("goes");
});
