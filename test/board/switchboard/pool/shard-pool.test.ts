import { expect, it, onTestFinished, vi } from "vitest";
import { checkCloseOptions } from "../../../../src/board/switchboard/options/close-options.ts";
import { checkStartOptions } from "../../../../src/board/switchboard/options/options.ts";
import { ShardPool } from "../../../../src/board/switchboard/pool/shard-pool.ts";
import { Bus } from "../../../../src/runtime/bus/bus.ts";
import { MailRouter } from "../../../../src/runtime/mail/mail-router.ts";
import { actorUrl } from "../../../support/actor-url.ts";

it("replaces a shard that the main thread ends", async () => {
  const owner = {
    actorFailed: vi.fn(),
    handshakeFailed: vi.fn(),
    acceptFailed: vi.fn(),
    shardLost: vi.fn(),
    shardReplaced: vi.fn(),
    shardFailed: vi.fn(),
    addressLeft: vi.fn(),
    handlerTimedOut: vi.fn(),
    slowConsumer: vi.fn(),
    abnormalClosure: vi.fn(),
    mailDied: vi.fn(),
  };
  const mail = new MailRouter({ shard: undefined, mailCame: () => "gone", mailDied: () => {} });
  const bus = new Bus({ publishDropped: () => {} });
  const pool = await ShardPool.start(checkStartOptions({ actor: actorUrl("echo"), shards: 2 }), { bus, mail }, owner);
  onTestFinished(async () => {
    await pool.close(checkCloseOptions({ drain: 0 }));
    bus.close();
  });
  pool.terminate(1);
  await vi.waitFor(() => expect(owner.shardReplaced).toHaveBeenCalledWith(1), { timeout: 20_000 });
  const error = expect.objectContaining({ code: "ERR_SHARD_TERMINATED" });
  expect(owner.shardLost.mock.calls).toEqual([[{ shard: 1, reason: "terminated", connections: 0, error }]]);
  expect(pool.states()).toEqual(["ready", "ready"]);
  expect(owner.shardFailed).not.toHaveBeenCalled();
});
