import { expect, it, onTestFinished, vi } from "vitest";
import { PendingQueries } from "../../../../src/board/switchboard/pool/pending-queries.ts";

it("rejects a query that the shard doesn't answer in time, and ignores its late answer", async () => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const queries = new PendingQueries();
  const serials: number[] = [];
  const answered = queries.ask<"disconnect">((serial) => serials.push(serial));
  const unanswered = queries.ask<"disconnect">((serial) => serials.push(serial));
  queries.settle(serials[0] as number, true);
  vi.advanceTimersByTime(5_000);
  expect(await answered).toBe(true);
  await expect(unanswered).rejects.toMatchObject({ code: "ERR_SHARD_UNRESPONSIVE" });
  expect(vi.getTimerCount()).toBe(0);
  queries.settle(serials[1] as number, true);
  queries.end();
  expect(await queries.ask(() => {})).toBeUndefined();
});
