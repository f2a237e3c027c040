/** Two servers over one real Redis: what happens on one is known on the other. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Centrifuge } from "centrifuge";
import { expect, it, onTestFinished, vi } from "vitest";
import { switchboardIn } from "../../cli/program.ts";
import { freePort } from "../../support/free-port.ts";
import { RedisServer } from "../../support/redis-server.ts";
import { API_KEY, INSECURE, startTestServer, type TestServer } from "../support/server.ts";
import { callApi, connected, listen, newClient } from "./clients.ts";

const engineOf = (redis: RedisServer) => ({ type: "redis", redis: { address: redis.url, prefix: "e2e" } });

async function start() {
  const redis = await RedisServer.start();
  const file = { ...INSECURE, engine: engineOf(redis) };
  const [one, other] = await Promise.all([startTestServer(file, 1), startTestServer(file, 1)]);
  for (const { board } of [one, other]) await vi.waitFor(() => expect(board.nodes()).toHaveLength(2));
  return { redis, file, one, other };
}

const api = async ({ url }: Pick<TestServer, "url">, method: string, params: object = {}) =>
  (await callApi(url, API_KEY, method, params)).result;

const heardOf = (client: Centrifuge, event: "disconnected" | "connecting" | "subscribed" | "unsubscribed") =>
  new Promise((resolve) => client.once(event as "disconnected", resolve));

it("publications, history, presence and recovery cross between servers", async () => {
  const { one, other } = await start();
  const [here, there] = [await connected(one.url), await connected(other.url)];
  const [near, far] = [await listen(here, "news"), await listen(there, "news")];
  await here.publish("news", 1);
  expect(await api(other, "publish", { channel: "news", data: 2 })).toMatchObject({ offset: 2 });
  for (const heard of [near, far]) await vi.waitFor(() => expect(heard).toEqual([1, 2]));
  expect(await api(other, "publish", { channel: "news", data: "fleeting", skip_history: true })).toEqual({});
  for (const heard of [near, far]) await vi.waitFor(() => expect(heard.splice(2)).toEqual(["fleeting"]));
  for (const server of [one, other]) {
    expect(await api(server, "presence_stats", { channel: "news" })).toMatchObject({ num_clients: 2 });
    expect(await api(server, "history", { channel: "news", limit: -1 })).toMatchObject({
      offset: 2,
      publications: [{ data: 1 }, { data: 2 }],
    });
  }
  expect(Object.keys((await here.presence("news")).clients)).toHaveLength(2);
  const { epoch } = await there.history("news");

  const back = newClient(other.url);
  const missed = back.newSubscription("news", { since: { epoch, offset: 1 } });
  const recovered: unknown[] = [];
  missed.on("publication", ({ data }) => recovered.push(data));
  const subscribed = new Promise((resolve) => missed.once("subscribed", resolve));
  missed.subscribe();
  back.connect();
  expect(await subscribed).toMatchObject({ wasRecovering: true, recovered: true });
  await vi.waitFor(() => expect(recovered).toEqual([2]));
});

it("the API of one server reaches the clients of the other", async () => {
  const { one, other } = await start();
  const client = await connected(one.url);
  const subscribed = heardOf(client, "subscribed");
  expect(await api(other, "subscribe", { user: "", channel: "news" })).toEqual({});
  expect(await subscribed).toMatchObject({ channel: "news" });
  expect(await api(other, "channels")).toEqual({ channels: { news: { num_clients: 1 } } });
  const connections = await api(other, "connections", { all_users: true });
  expect(Object.values(connections?.["connections"] as object)).toMatchObject([{ transport: "websocket", user: "" }]);
  const { nodes } = (await api(other, "info")) as { nodes: { num_clients: number }[] };
  expect(nodes.map(({ num_clients }) => num_clients).toSorted()).toEqual([0, 1]);
  const unsubscribed = heardOf(client, "unsubscribed");
  expect(await api(other, "unsubscribe", { user: "", channel: "news" })).toEqual({});
  expect(await unsubscribed).toMatchObject({ channel: "news" });
  const disconnected = heardOf(client, "disconnected");
  expect(await api(other, "disconnect", { user: "", disconnect: { code: 4500, reason: "banned" } })).toEqual({});
  expect(await disconnected).toEqual({ code: 4500, reason: "banned" });
});

it.each(["sse", "http_stream"] as const)("%s: commands may come to the other server", async (transport) => {
  const { one, other } = await start();
  const client = await connected(one.url, { emulationEndpoint: `${other.url}/emulation` }, transport);
  const heard = await listen(client, "news");
  await client.publish("news", "far");
  await vi.waitFor(() => expect(heard).toEqual(["far"]));
  expect(one.board.stats().connections).toBe(1);
});

it("is red while Redis is deaf, and green again; clients lose nothing", async () => {
  const { redis, one, other } = await start();
  onTestFinished(() => redis.thaw());
  const heard = await listen(await connected(one.url), "news");
  const health = async ({ url }: TestServer) => {
    const response = await fetch(`${url}/health`);
    return [response.status, ((await response.json()) as { engine: string }).engine];
  };
  expect(await health(one)).toEqual([200, "up"]);
  redis.freeze();
  for (const server of [one, other]) {
    await vi.waitFor(async () => expect(await health(server)).toEqual([503, "down"]));
  }
  redis.thaw();
  for (const server of [one, other]) {
    await vi.waitFor(async () => expect((await health(server))[0]).toBe(200));
  }
  expect(await api(other, "publish", { channel: "news", data: "after" })).toMatchObject({ offset: 1 });
  await vi.waitFor(() => expect(heard).toEqual(["after"]));
});

it("forgets the clients of a server that was killed", { timeout: 120_000 }, async () => {
  const redis = await RedisServer.start();
  const file = { ...INSECURE, engine: engineOf(redis), shards: 1 };
  const other = await startTestServer(file, 1);
  const folder = mkdtempSync(join(tmpdir(), "switchboard-node-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const port = await freePort();
  writeFileSync(join(folder, "config"), JSON.stringify({ ...file, http_server: { address: "127.0.0.1", port } }));
  const program = switchboardIn({}, "serve", "--config", join(folder, "config"));
  await program.prints(/clients +ws:/);
  await vi.waitFor(() => expect(other.board.nodes()).toHaveLength(2));
  const client = await connected(`http://127.0.0.1:${port}`);
  await listen(client, "news");
  const left: unknown[] = [];
  const watcher = (await connected(other.url)).newSubscription("news");
  watcher.on("leave", ({ info }) => left.push(info.client));
  watcher.subscribe();
  await watcher.ready();
  expect(await api(other, "presence_stats", { channel: "news" })).toMatchObject({ num_clients: 2 });
  client.once("connecting", () => client.disconnect());
  await program.destroy();
  await vi.waitFor(() => expect(other.board.nodes()).toHaveLength(1));
  await vi.waitFor(async () => {
    expect(await api(other, "presence_stats", { channel: "news" })).toMatchObject({ num_clients: 1 });
  });
  await vi.waitFor(() => expect(left).toHaveLength(1));
  expect(await api(other, "channels")).toEqual({ channels: { news: { num_clients: 1 } } });
});
