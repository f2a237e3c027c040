/**
 * `ws` in one thread with as much of Centrifuge's protocol as clients need that come back: no tokens, permissions,
 * limits or other nodes. Prints `listening on PORT`. Used by `reconnect.ts`, as what such a storm costs at least.
 */
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { type WebSocket, WebSocketServer } from "ws";

/** The commands that the loads send. */
interface Command {
  readonly id: number;
  readonly connect?: object;
  readonly subscribe?: { readonly channel: string; readonly recover?: boolean; readonly offset?: number };
  readonly publish?: { readonly channel: string; readonly data: unknown };
}

const EPOCH = "bare";
/** The publications of each channel, as JSON, the oldest first. */
const histories = new Map<string, string[]>();
const subscribers = new Map<string, Set<WebSocket>>();

const http = createServer((request, response) => {
  void bodyOf(request).then((body) => {
    const { commands } = JSON.parse(body) as { readonly commands: readonly Pick<Command, "publish">[] };
    for (const { publish } of commands) if (publish !== undefined) keep(publish.channel, publish.data);
    response.end("{}");
  });
});
const server = new WebSocketServer({
  server: http,
  perMessageDeflate: false,
  handleProtocols: ([first]) => first ?? false,
});
server.on("connection", (socket) => {
  const channels: string[] = [];
  socket.on("error", () => {});
  socket.on("message", (bytes) => {
    const { id, connect, subscribe, publish } = JSON.parse(bytes.toString()) as Command;
    if (connect !== undefined) socket.send(`{"id":${id},"connect":{"client":"${id}","ping":600,"pong":true}}`);
    if (subscribe !== undefined) {
      const { channel } = subscribe;
      channels.push(channel);
      subscribers.set(channel, (subscribers.get(channel) ?? new Set()).add(socket));
      socket.send(`{"id":${id},"subscribe":${answer(subscribe)}}`);
    }
    if (publish !== undefined) {
      const push = `{"push":{"channel":"${publish.channel}","pub":{"data":${JSON.stringify(publish.data)}}}}`;
      for (const other of subscribers.get(publish.channel) ?? []) other.send(push);
      socket.send(`{"id":${id},"publish":{}}`);
    }
  });
  socket.on("close", () => {
    for (const channel of channels) subscribers.get(channel)?.delete(socket);
  });
});

function keep(channel: string, data: unknown): void {
  const history = histories.get(channel) ?? [];
  histories.set(channel, history);
  history.push(`{"data":${JSON.stringify(data)},"offset":${history.length + 1}}`);
}

function answer({ channel, recover = false, offset = 0 }: NonNullable<Command["subscribe"]>): string {
  const history = histories.get(channel) ?? [];
  const place = `"recoverable":true,"positioned":true,"epoch":"${EPOCH}"`;
  if (!recover) return `{${place},"offset":${history.length}}`;
  const missed = history.slice(offset).join();
  return `{${place},"offset":${offset},"recovered":true,"was_recovering":true,"publications":[${missed}]}`;
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

http.listen(0, "127.0.0.1", () => console.log(`listening on ${(http.address() as AddressInfo).port}`));
process.once("SIGTERM", () => process.exit(0));
