/**
 * A differential check of recovery: a model against the server, over real sockets and both codecs, under random
 * publishes, cuts, removals and expiries. `RECOVERY_HISTORIES=20000` runs more of them.
 */
import fc from "fast-check";
import { expect, it, onTestFinished, vi } from "vitest";
import { RawClient } from "../support/raw-client.ts";
import { history, RECOVERY_CONFIG, runHistory } from "../support/recovery-history.ts";
import { startTestServer } from "../support/server.ts";

const HISTORIES = Number(process.env["RECOVERY_HISTORIES"] ?? 600);
vi.setConfig({ testTimeout: 120_000 + HISTORIES * 100 });
/** Histories that run at a time, each in a channel of its own. */
const TOGETHER = 30;

it("a subscriber gets exactly what the model says, after any history of its channel", async () => {
  const server = await startTestServer(RECOVERY_CONFIG);
  const publisher = await RawClient.connected(server.ws);
  onTestFinished(() => publisher.socket.terminate());
  await fc.assert(
    fc.asyncProperty(fc.array(history, { minLength: 1, maxLength: TOGETHER, size: "max" }), async (histories) => {
      await Promise.all(histories.map((one) => runHistory(server, publisher, one)));
    }),
    { numRuns: Math.ceil(HISTORIES / (TOGETHER / 2)), endOnFailure: process.env["RECOVERY_SHRINK"] === "no" },
  );
  expect(server.logged).toEqual([]);
});
