/** A real board with the API in front, on a port of this process. */
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { onTestFinished } from "vitest";
import type { Switchboard } from "../../../src/index.ts";
import { type ApiOptions, createApi } from "../../../src/server/api/api.ts";
import { DEFAULT_CHANNEL_OPTIONS } from "../../../src/server/channels/channel-options.ts";
import { Channels } from "../../../src/server/channels/channels.ts";
import { topicsOf } from "../../../src/server/channels/topics.ts";
import { actorUrl, startBoard } from "../../support/board.ts";
import { RawClient } from "../../support/raw-client.ts";

const history = { historySize: 10, historyTtlMs: 300_000 };
const CHANNELS = {
  withoutNamespace: DEFAULT_CHANNEL_OPTIONS,
  namespaces: [
    { ...DEFAULT_CHANNEL_OPTIONS, name: "history", ...history },
    { ...DEFAULT_CHANNEL_OPTIONS, name: "long", ...history, historySize: 5_000 },
    { ...DEFAULT_CHANNEL_OPTIONS, name: "presence", presence: true },
    { ...DEFAULT_CHANNEL_OPTIONS, name: "delta", ...history, deltaPublish: true },
  ],
  maxLength: 255,
  historyMaxPublicationLimit: 300,
  recoveryMaxPublicationLimit: 300,
};

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  readonly body: unknown;
}

export interface ApiBoard {
  readonly board: Switchboard;
  readonly url: string;
  /** Sends a command with the right key. A string or bytes are sent as they are. */
  post(path: string, body: unknown, headers?: Record<string, string>): Promise<Answer>;
  /** Opens a connection of the actor of these tests, which is subscribed to the channel. */
  open(user: string, channel: string): Promise<{ client: RawClient; id: string }>;
}

export async function startApi(options: Partial<ApiOptions> = {}, shards = 1): Promise<ApiBoard> {
  const { board, port } = await startBoard({
    actor: new URL("./control-actor.ts", import.meta.url),
    // A module that answers no surveys.
    actors: { silent: actorUrl("echo") },
    shards,
    topics: topicsOf(CHANNELS),
    placement: "roundRobin",
    attach: { path: "/:user/:channel" },
  });
  const api = createApi({
    board,
    channels: new Channels(CHANNELS),
    clientInfoOf: ({ user = "", info }) => {
      const { client, conn_info } = info as { client: string; conn_info: unknown };
      return { user, client, conn_info: Buffer.from(JSON.stringify(conn_info)) };
    },
    versions: true,
    key: "secret",
    insecure: false,
    handlerPrefix: "/api",
    maxBodyBytes: 100_000,
    errorMode: "",
    ...options,
  });
  const server = createServer((request, response) => {
    if (!api(request, response)) response.writeHead(418).end();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const post = async (path: string, body: unknown, headers: Record<string, string> = { "X-API-Key": "secret" }) => {
    const sent = typeof body === "string" || body instanceof Uint8Array ? body : JSON.stringify(body);
    const response = await fetch(`${url}${path}`, { method: "POST", body: sent as string, headers });
    const text = await response.text();
    let parsed: unknown;
    try {
      parsed = JSON.parse(text);
    } catch {}
    return { status: response.status, headers: response.headers, text, body: parsed };
  };
  const open = async (user: string, channel: string) => {
    const client = await RawClient.open({ port, path: `/${user}/${encodeURIComponent(channel)}` });
    const [, id = ""] = (await client.text()).split(" ");
    return { client, id };
  };
  return { board, url, post, open };
}
