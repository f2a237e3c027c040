/** `switchboard run serve`: the server is replaced by new processes, and its clients notice nothing. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { whyNoPassing } from "../../../src/wire/native/pass-descriptors.ts";
import { superviseIn } from "../../cli/run/supervise.ts";
import type { RunningProgram } from "../../e2e/support/process.ts";
import { freePort } from "../../support/free-port.ts";
import { RedisServer } from "../../support/redis-server.ts";
import { API_KEY, INSECURE } from "../support/server.ts";
import { callApi } from "./clients.ts";
import { Way } from "./support/clients.ts";

vi.setConfig({ testTimeout: 120_000 });

const REPLACEMENTS = 2;
const CHANNEL = "kept";

/** Starts the supervisor with a server, and waits until the server listens. */
async function start(more: object): Promise<{ readonly supervisor: RunningProgram; readonly url: string }> {
  const folder = mkdtempSync(join(tmpdir(), "switchboard-serve-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "switchboard.json");
  const port = await freePort();
  const http_server = { address: "127.0.0.1", port };
  writeFileSync(file, JSON.stringify({ ...INSECURE, http_server, shards: 2, log: { format: "json" }, ...more }));
  const supervisor = superviseIn({}, "serve", "--config", file);
  await supervisor.logs(/"message":"listening"/);
  return { supervisor, url: `http://127.0.0.1:${port}` };
}

/** Replaces the server. Resolves when both processes have told so. */
async function replace(supervisor: RunningProgram): Promise<void> {
  supervisor.forget();
  supervisor.kill("SIGHUP");
  await supervisor.logs(/"message":"took over from another process"/);
  await supervisor.logs(/"message":"handed over to another process"/);
}

/** Publishes numbers until told to stop. Returns how many. */
function publishing(url: string): () => Promise<number> {
  let count = 0;
  let isOver = false;
  const done = (async () => {
    while (!isOver) {
      const publish = { channel: CHANNEL, data: count, idempotency_key: `number ${count}` };
      // A process that is replaced closes idle connections, perhaps just when a request comes: the same again.
      const answer = await callApi(url, API_KEY, "publish", publish).catch(() => undefined);
      if (answer?.error !== undefined) throw new Error(answer.error.message);
      if (answer !== undefined) count++;
    }
  })();
  return async () => {
    isOver = true;
    await done;
    return count;
  };
}

describe.skipIf(whyNoPassing() !== undefined)("switchboard run serve", () => {
  it("keeps its clients when it is replaced: each publication once, and no disconnect", async () => {
    const redis = await RedisServer.start();
    const { supervisor, url } = await start({ engine: { type: "redis", redis: { address: redis.url } } });
    const problems: string[] = [];
    const received: number[][] = [];
    for (const format of ["json", "protobuf", "json", "protobuf"] as const) {
      const way = new Way("websocket", format);
      const client = await way.connect(url);
      client.on("connecting", ({ code, reason }) => problems.push(`disconnected: ${code} ${reason}`));
      const numbers: number[] = [];
      received.push(numbers);
      const subscription = client.newSubscription(CHANNEL);
      subscription.on("publication", ({ data }) => numbers.push(way.value(data) as number));
      subscription.on("subscribing", ({ code }) => code !== 0 && problems.push(`interrupted: ${code}`));
      subscription.on("unsubscribed", ({ code }) => problems.push(`unsubscribed: ${code}`));
      subscription.subscribe();
      await subscription.ready();
    }
    const stop = publishing(url);
    for (let i = 0; i < REPLACEMENTS; i++) {
      const before = received[0]?.length ?? 0;
      await vi.waitFor(() => expect(received[0]?.length).toBeGreaterThan(before), { timeout: 60_000 });
      await replace(supervisor);
    }
    const count = await stop();
    const all = Array.from({ length: count }, (_, number) => number);
    await vi.waitFor(() => expect(received.map(({ length }) => length)).toEqual(received.map(() => count)), {
      timeout: 60_000,
    });
    for (const numbers of received) expect(numbers).toEqual(all);
    expect(problems).toEqual([]);
    // New clients are served, too.
    await new Way("websocket", "json").connect(url);
  });
});
