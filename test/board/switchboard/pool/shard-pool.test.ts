import { expect, it, onTestFinished, vi } from "vitest";
import { BoardTopics } from "../../../../src/board/switchboard/board-topics.ts";
import { checkCloseOptions } from "../../../../src/board/switchboard/options/close-options.ts";
import { checkStartOptions } from "../../../../src/board/switchboard/options/start-options.ts";
import { ShardPool } from "../../../../src/board/switchboard/pool/shard-pool.ts";
import { MailRouter } from "../../../../src/runtime/mail/mail-router.ts";
import { actorUrl } from "../../../support/actor-url.ts";

it("replaces a shard that the main thread ends", async () => {
  const owner = {
    event: vi.fn(),
    published: vi.fn(),
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
