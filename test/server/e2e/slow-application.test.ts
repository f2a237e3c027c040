/** Commands of one client while the application is slow to answer, on a whole server. */
import { once } from "node:events";
import type { ServerResponse } from "node:http";
import { expect, it, vi } from "vitest";
import { MAX_UNDER_WAY } from "../../../src/server/client/work/command-lanes.ts";
import { startApplication } from "../hooks/support/application.ts";
import { RawClient } from "../support/raw-client.ts";
import { API_KEY, startTestServer } from "../support/server.ts";
import { callApi } from "./support/shared-server.ts";

/** A server whose application answers the questions about a channel when the test says so. */
async function setUp() {
  const held = new Map<string, ServerResponse>();
  const application = await startApplication((response, { text }) => held.set(JSON.parse(text).channel, response));
  const asks = { endpoint: application.url, timeout: "60s" };
  const { ws, url, board } = await startTestServer(
    {
      client: { allow_anonymous_connect_without_token: true, channel_limit: 1_000 },
      http_api: { key: API_KEY },
      channel: {
        proxy: { subscribe: asks, publish: asks },
        namespaces: [
          { name: "asks", subscribe_proxy_enabled: true, publish_proxy_enabled: true },
          { name: "open", allow_subscribe_for_client: true, allow_subscribe_for_anonymous: true },
        ],
      },
    },
    1,
  );
  const client = await RawClient.connected(ws);
  const asked = (channel: string) => vi.waitFor(() => expect(held.has(channel)).toBe(true));
  const allow = async (channel: string) => {
    await asked(channel);
    held.get(channel)?.end('{"result":{}}');
    held.delete(channel);
  };
  return { client, url, held, asked, allow, board };
}

it("answers a command while another channel's waits for the application", async () => {
  const { client, asked, allow } = await setUp();
  client.send({ id: 101, subscribe: { channel: "asks:a" } });
  await asked("asks:a");
  client.send({ id: 102, subscribe: { channel: "open:b" } });
  client.send({ id: 103, publish: { channel: "asks:c", data: 1 } });
  await allow("asks:c");
  await client.until(() => client.replies.has(102) && client.replies.has(103));
  expect(client.replies.get(103)).toEqual({ id: 103, publish: {} });
  expect(client.replies.has(101)).toBe(false);
  await allow("asks:a");
  await client.until(() => client.replies.has(101));
  expect(client.replies.get(101)).toEqual({ id: 101, subscribe: {} });
});

it("keeps the order of commands of one channel, and of the API behind them", async () => {
  const { client, url, asked, allow } = await setUp();
  const channel = "asks:a";
  client.send({ id: 101, subscribe: { channel } });
  client.send({ id: 102, unsubscribe: { channel } });
  client.send({ id: 103, subscribe: { channel } });
  await allow(channel);
  await asked(channel);
  await client.until(() => client.replies.has(102));
  expect([...client.replies.keys()].filter((id) => id > 100)).toEqual([101, 102]);
  const unsubscribed = callApi(url, "unsubscribe", { user: "", channel });
  await allow(channel);
  await unsubscribed;
  await client.until(() => client.pushes.length > 0);
  expect(client.replies.get(103)).toEqual({ id: 103, subscribe: {} });
  expect(client.pushes[0]).toMatchObject({ channel, unsubscribe: { code: 2000 } });
});

it("keeps a command waiting while as many as allowed are under way, and loses none", async () => {
  const { client, held, allow } = await setUp();
  const channels = Array.from({ length: MAX_UNDER_WAY }, (_, at) => `asks:${at}`);
  for (const [at, channel] of channels.entries()) client.send({ id: 100 + at, subscribe: { channel } });
  client.send({ id: 900, subscribe: { channel: "open:b" } });
  await vi.waitFor(() => expect(held.size).toBe(MAX_UNDER_WAY));
  expect(client.replies.has(900)).toBe(false);
  await allow("asks:5");
  await client.until(() => client.replies.has(900));
  for (const channel of channels) if (channel !== "asks:5") await allow(channel);
  await client.until(() => client.replies.size === MAX_UNDER_WAY + 2);
});

it("lets a client go at once that waits for more answers than are asked for together", async () => {
  const { client, url, held, board } = await setUp();
  for (let at = 0; at < 2 * MAX_UNDER_WAY; at++) client.send({ id: 100 + at, subscribe: { channel: `asks:${at}` } });
  await vi.waitFor(() => expect(held.size).toBe(MAX_UNDER_WAY));
  const closed = once(client.socket, "close");
  await callApi(url, "disconnect", { user: "" });
  expect((await closed)[0]).toBe(3503);
  await vi.waitFor(() => expect(board.stats().shards[0]?.connections).toBe(0));
  expect(await callApi(url, "connections", {})).toMatchObject({ connections: {} });
  // The commands that waited are never asked for.
  expect(held.size).toBe(MAX_UNDER_WAY);
});

it("leaves no subscription of a client that has gone while the application was asked", async () => {
  const { client, url, asked, allow, board } = await setUp();
  client.send({ id: 101, subscribe: { channel: "open:b" } });
  client.send({ id: 102, subscribe: { channel: "asks:a" } });
  await asked("asks:a");
  client.socket.terminate();
  await vi.waitFor(() => expect(board.stats().shards[0]?.connections).toBe(0));
  await allow("asks:a");
  const other = await RawClient.connected(client.socket.url);
  // The answer to this command comes after the one that is too late.
  other.send({ id: 101, subscribe: { channel: "asks:c" } });
  await allow("asks:c");
  await other.until(() => other.replies.has(101));
  expect(await callApi(url, "channels", {})).toEqual({ channels: { "asks:c": { num_clients: 1 } } });
});
