import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished, vi } from "vitest";
import type { ShardQuery } from "../../../../src/board/shard/queries.ts";
import type { ShardHandle } from "../../../../src/board/switchboard/pool/shard-handle.ts";
import { standStill } from "../../../../src/board/switchboard/takeover/stand-still.ts";
import { listenFor, MovingPeer, startPool } from "../../../support/shard-pool.ts";

it("lets all others go on while a handler blocks its shard that began when all were about to stand", async () => {
  const folder = mkdtempSync(join(tmpdir(), "stand-still-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "end");
  const pool = await startPool("moving", { shards: 2 });
  const other = await MovingPeer.open(await listenFor(pool, 0));
  const blocking = await MovingPeer.open(await listenFor(pool, 1));
  const [first, second] = pool.handles as [ShardHandle, ShardHandle];
  const asked: string[] = [];
  /** The second shard, which is blocked as soon as it has been calm. */
  const blocked: Pick<ShardHandle, "query"> = {
    async query<Query extends ShardQuery>(query: Query, timeoutMs?: number) {
      asked.push(query.kind);
      const answer = await second.query(query, timeoutMs);
      if (asked.length > 1) return answer;
      blocking.socket.send(`block ${file}`);
      await vi.waitFor(() => expect(existsSync(`${file}.held`)).toBe(true));
      return answer;
    },
  };
  const stood = standStill([first, blocked], 600_000);
  // The shard doesn't stand, so everybody is let go on.
  await vi.waitFor(() => expect(asked).toEqual(["calm", "standStill", "calm"]));
  expect(await other.ask("meanwhile")).toBe("meanwhile");
  writeFileSync(file, "");
  expect(await blocking.next()).toBe("blocked");
  await stood;
  expect(asked.slice(0, 4)).toEqual(["calm", "standStill", "calm", "standStill"]);
});
