/** An application in PHP that a real server asks and tells, with official clients. */
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Worker } from "node:worker_threads";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { RunningProgram } from "../../e2e/support/process.ts";
import { isMissing, succeeds } from "../../e2e/support/programs.ts";
import { freePort } from "../../support/free-port.ts";
import { API_KEY, startTestServer } from "../support/server.ts";
import { callApi, connected, listen, newClient } from "./clients.ts";

const APPLICATION = fileURLToPath(new URL("./backends/application.php", import.meta.url));
const missing = isMissing("php", succeeds("php", "--version"), "apt-get install php-cli");

/** Time that a question may take: longer than a busy machine needs. */
const timeout = "20s";

interface Heard {
  readonly path: string;
  readonly valid: boolean;
  readonly cookie: string | null;
  readonly asked: Readonly<Record<string, unknown>> & { readonly events?: readonly HookEvent[] };
}

interface HookEvent {
  readonly name: string;
  readonly channel?: string;
  readonly user?: string;
  readonly code?: number;
}

/** Starts a server, and the application in PHP that it asks. */
async function start(more: object = {}) {
  const phpPort = await freePort();
  const php = (path: string) => ({ endpoint: `http://127.0.0.1:${phpPort}/${path}`, timeout });
  const asked = (path: string) => ({ ...php(path), http_headers: ["Cookie"], include_connection_meta: true });
  const server = await startTestServer({
    client: {
      proxy: { connect: { enabled: true, ...asked("connect") }, refresh: { enabled: true, ...asked("refresh") } },
    },
    http_api: { key: API_KEY },
    channel: {
      proxy: { subscribe: asked("subscribe"), publish: asked("publish") },
      namespaces: [
        { name: "room", subscribe_proxy_enabled: true, publish_proxy_enabled: true, occupancy_hooks_enabled: true },
        {
          name: "cache",
          ...{ allow_subscribe_for_client: true, history_size: 1, history_ttl: "1h", force_recovery: true },
          ...{ force_recovery_mode: "cache", auto_cache_recover: true, cache_miss_hook_enabled: true },
        },
      ],
    },
    rpc: { proxy: asked("rpc"), without_namespace: { proxy_enabled: true } },
    hooks: {
      secret: "s3cret",
      disconnect: { enabled: true, ...php("disconnect") },
      occupancy: php("occupancy"),
      cache_miss: php("cache_miss"),
    },
    ...more,
  });
  const folder = mkdtempSync(join(tmpdir(), "switchboard-php-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const events = join(folder, "events");
  const env = { ...process.env, EVENTS: events, KEY: API_KEY, API: `${server.url}/api` };
  const running = new RunningProgram("php", ["-S", `127.0.0.1:${phpPort}`, APPLICATION], { env });
  onTestFinished(() => running.destroy());
  await vi.waitFor(() => fetch(`http://127.0.0.1:${phpPort}/ready`, { method: "POST", body: "{}" }));
  const heard = (path: string): Heard[] =>
    readFileSync(events, "utf8")
      .trimEnd()
      .split("\n")
      .map((line): Heard => JSON.parse(line))
      .filter((one) => one.path === path);
  /** Events of a hook, as a word each. */
  const told = (path: string) =>
    heard(path).flatMap(({ asked, valid }) => {
      expect(valid).toBe(true);
      return (asked.events ?? []).map(({ name, channel, user, code }) =>
        [name, channel ?? user, code].join(" ").trim(),
      );
    });
  const enter = (data: object = {}) => connected(server.url, { data: { password: "swordfish", ...data }, name: "js" });
  return { ...server, heard, told, enter };
}

describe.skipIf(missing)("an application in PHP", () => {
  it("lets clients in, subscribe and publish, answers calls, and hears of the end", async () => {
    const { url, heard, told } = await start();
    const stranger = newClient(url, { data: { password: "?" } });
    const refused = new Promise((resolve) => stranger.once("disconnected", resolve));
    stranger.connect();
    expect(await refused).toEqual({ code: 4501, reason: "wrong password" });

    const client = newClient(url, { data: { password: "swordfish" }, name: "js" });
    const welcome = new Promise((resolve) => client.once("connected", resolve));
    const lobby = new Promise((resolve) => client.once("subscribed", resolve));
    client.connect();
    expect(await welcome).toMatchObject({ data: { hello: "js" } });
    expect(await lobby).toMatchObject({ channel: "room:lobby" });

    const secret = client.newSubscription("room:secret");
    const ended = new Promise((resolve) => secret.once("unsubscribed", resolve));
    secret.subscribe();
    expect(await ended).toMatchObject({ code: 403, reason: "members only" });

    const room = client.newSubscription("room:1");
    const subscribed = new Promise((resolve) => room.once("subscribed", resolve));
    const published = new Promise((resolve) => room.once("publication", resolve));
    room.subscribe();
    expect(await subscribed).toMatchObject({ data: { topic: "tea" } });
    await room.publish({ text: "hi" });
    expect(await published).toMatchObject({
      data: { by: "42", text: "HI" },
      info: { user: "42", chanInfo: { role: "pro" } },
    });
    expect((await client.rpc("sum", [1, 2, 3])).data).toEqual({ sum: 6 });
    expect(heard("rpc")[0]?.asked).toMatchObject({ method: "sum", user: "42", meta: { plan: "pro" } });

    client.disconnect();
    await vi.waitFor(() => expect(told("disconnect")).toEqual(["disconnect 42 3000"]));
  });

  it("is asked to renew a connection that expires", async () => {
    const { enter, heard } = await start();
    const client = await enter({ lives: 1 });
    await vi.waitFor(() => expect(heard("refresh")).toMatchObject([{ asked: { user: "42", meta: { plan: "pro" } } }]));
    expect((await client.rpc("sum", [1])).data).toEqual({ sum: 1 });
  });

  it("is told of occupied and vacated channels once, whatever the shards, and not of a client that is back at once", async () => {
    const { enter, told } = await start({ shards: 2 });
    const clients = await Promise.all([enter(), enter(), enter(), enter()]);
    for (const client of clients) await listen(client, "room:1");
    await vi.waitFor(() => expect(told("occupancy")).toContain("channel_occupied room:1"));
    for (const client of clients) client.disconnect();
    const back = await enter();
    await listen(back, "room:1");
    back.disconnect();
    await vi.waitFor(() => expect(told("occupancy")).toContain("channel_vacated room:1"));
    expect(told("occupancy").filter((event) => event.endsWith("room:1"))).toEqual([
      "channel_occupied room:1",
      "channel_vacated room:1",
    ]);
  });

  it("publishes on a cache miss what the client gets with its subscription", async () => {
    const { enter, told } = await start();
    expect(await listen(await enter(), "cache:1")).toEqual([{ fresh: true }]);
    expect(await listen(await enter(), "cache:1")).toEqual([{ fresh: true }]);
    expect(told("cache_miss")).toEqual(["cache_miss cache:1"]);
  });

  it("hears that a channel is vacated when the shard of its subscriber has died", async () => {
    const workers: Worker[] = [];
    const listener = (message: unknown) => void workers.push((message as { readonly worker: Worker }).worker);
    subscribe("worker_threads", listener);
    onTestFinished(() => void unsubscribe("worker_threads", listener));
    const { url, enter, told, board } = await start({ shards: 1 });
    const client = await enter();
    await listen(client, "room:1");
    await vi.waitFor(() => expect(told("occupancy")).toContain("channel_occupied room:1"));
    const lost = new Promise((resolve) => board.once("shardLost", resolve));
    client.removeAllListeners();
    const gone = new Promise((resolve) => client.once("connecting", resolve));
    for (const worker of workers) void worker.terminate();
    await Promise.all([lost, gone]);
    client.disconnect();
    await vi.waitFor(() => expect(told("occupancy")).toContain("channel_vacated room:1"));
    expect((await callApi(url, API_KEY, "channels", {})).result).toEqual({ channels: {} });
  });

  it("hears of all ends before a server closes", async () => {
    const { enter, told, close } = await start();
    const clients = await Promise.all([enter(), enter()]);
    for (const client of clients) await listen(client, "room:1");
    for (const client of clients) client.once("connecting", () => client.disconnect());
    await close();
    expect(told("disconnect")).toEqual(["disconnect 42 3001", "disconnect 42 3001"]);
    expect(told("occupancy").filter((event) => event.endsWith("room:1"))).toEqual([
      "channel_occupied room:1",
      "channel_vacated room:1",
    ]);
  });
});
