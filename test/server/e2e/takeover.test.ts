/** `switchboard run serve`: the server is replaced by new processes, and its clients notice nothing. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { whyNoPassing } from "../../../src/wire/native/pass-descriptors.ts";
import { superviseIn } from "../../cli/run/supervise.ts";
import { nodes } from "../../cli/run/without-ffi.ts";
import type { RunningProgram } from "../../e2e/support/process.ts";
import { freePort } from "../../support/free-port.ts";
import { RedisServer } from "../../support/redis-server.ts";
import { answering } from "../hooks/support/application.ts";
import { API_KEY, INSECURE } from "../support/server.ts";
import { callApi, connected, listen } from "./clients.ts";
import { beginRequest } from "./support/begun-request.ts";
import { Way } from "./support/clients.ts";

vi.setConfig({ testTimeout: 120_000 });

const REPLACEMENTS = 2;
const CHANNEL = "kept";

/** Starts the supervisor with a server, and waits until the server listens. */
async function start(
  more: object,
  node?: string,
): Promise<{ readonly supervisor: RunningProgram; readonly url: string; readonly port: number }> {
  const folder = mkdtempSync(join(tmpdir(), "switchboard-serve-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "switchboard.json");
  const port = await freePort();
  const http_server = { address: "127.0.0.1", port };
  writeFileSync(file, JSON.stringify({ ...INSECURE, http_server, shards: 2, log: { format: "json" }, ...more }));
  const supervisor = superviseIn({}, ...(node === undefined ? [] : ["--node", node]), "serve", "--config", file);
  await supervisor.logs(/"message":"listening"/);
  return { supervisor, url: `http://127.0.0.1:${port}`, port };
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

  it.each(["withFfi", "withoutFfi"] as const)(
    "suppresses repeated publishes, and tells only of channels whose clients don't come along (%s)",
    async (kind) => {
      const application = await answering("{}");
      const { current, use } = nodes();
      use(kind);
      const room = { name: "room", allow_subscribe_for_client: true, occupancy_hooks_enabled: true };
      const channel = { ...INSECURE.channel, namespaces: [room] };
      const { supervisor, url, port } = await start(
        { channel, hooks: { occupancy: { endpoint: application.url } } },
        current,
      );
      const publish = async (params: object) => {
        const { result, error } = await callApi(url, API_KEY, "publish", params);
        if (error !== undefined) throw new Error(error.message);
        return result;
      };
      const told = (): string[] =>
        application.received
          .flatMap(({ text }) => (JSON.parse(text) as { events: { name: string; channel: string }[] }).events)
          .map(({ name, channel }) => `${name} ${channel}`);
      const client = await connected(url);
      const heard = [await listen(client, "room:stays"), await listen(client, "room:versions")] as const;
      const kept = await listen(client, CHANNEL);
      // The bytes of a stream are relayed, and nobody connects again.
      const commands = ['{"id":1,"connect":{}}', '{"id":2,"subscribe":{"channel":"room:ends"}}'];
      const stream = await fetch(`${url}/connection/http_stream`, { method: "POST", body: commands.join("\n") });
      const streamed = stream.text().catch(() => "");
      await vi.waitFor(() => expect(told()).toHaveLength(3), { timeout: 60_000 });
      const first = { channel: "room:stays", data: 1, idempotency_key: "first" };
      const late = ["head", "body"].map((part) => ({
        part,
        publish: { channel: "room:stays", data: part, idempotency_key: part },
      }));
      await publish(first);
      await publish({ channel: "room:versions", data: 5, version: 5 });
      const position = await publish({ channel: CHANNEL, data: 7, version: 7 });
      const requests = await Promise.all(
        late.map(({ part, publish }) => beginRequest(port, "/api/publish", publish, part === "body")),
      );
      await replace(supervisor);
      for (const finish of requests) expect(await finish()).toMatch(/^HTTP\/1\.1 200 OK\r\n.*\{"result":\{\}\}$/s);
      for (const again of [first, ...late.map(({ publish }) => publish)]) await publish(again);
      for (const version of [5, 4, 6]) await publish({ channel: "room:versions", data: version, version });
      expect(await publish({ channel: CHANNEL, data: 6, version: 6 })).toEqual(position);
      await publish({ channel: "room:stays", data: "last" });
      await publish({ channel: CHANNEL, data: "last" });
      await streamed;
      await vi.waitFor(() => expect([...heard, kept].map((all) => all.at(-1))).toEqual(["last", 6, "last"]));
      expect(heard[0].toSorted()).toEqual([1, "body", "head", "last"]);
      expect([heard[1], kept]).toEqual([
        [5, 6],
        [7, "last"],
      ]);
      await vi.waitFor(() => expect(told()).toContain("channel_vacated room:ends"), { timeout: 60_000 });
      client.disconnect();
      await vi.waitFor(() => expect(told()).toHaveLength(6), { timeout: 60_000 });
      const channels = ["room:ends", "room:stays", "room:versions"];
      expect(told().slice(0, 3).toSorted()).toEqual(channels.map((name) => `channel_occupied ${name}`));
      expect(told()[3]).toBe("channel_vacated room:ends");
      expect(told().slice(3).toSorted()).toEqual(channels.map((name) => `channel_vacated ${name}`));
    },
  );
});
