/** A board on an HTTP/2 server, for tests of WebSockets over HTTP/2. */
import { once } from "node:events";
import {
  type ClientHttp2Session,
  createServer,
  type Http2SecureServer,
  type Http2Server,
  type ServerHttp2Session,
} from "node:http2";
import type { AddressInfo } from "node:net";
import { expect, onTestFinished } from "vitest";
import { type AttachOptions, Switchboard } from "../../src/index.ts";
import { actorUrl, type TestBoardOptions } from "./board.ts";
import { text } from "./frames.ts";
import { Http2Client, openSession } from "./http2-client.ts";

export type Options = Omit<TestBoardOptions, "attach"> & { readonly attach?: AttachOptions };

export async function startBoard({ actor = "echo", attach: _, ...rest }: Options = {}): Promise<Switchboard> {
  const board = await Switchboard.start({ actor: actorUrl(String(actor)), shards: 1, warmUp: false, ...rest });
  onTestFinished(async () => {
    await board.close({ timeoutMs: 0 });
  });
  return board;
}

/** Port of a server that listens until the test ends. */
export async function listen(server: Http2Server | Http2SecureServer): Promise<number> {
  const sessions = new Set<ServerHttp2Session>();
  server.on("session", (session: ServerHttp2Session) => sessions.add(session));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    for (const session of sessions) session.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

/** Starts a board on an HTTP/2 server without TLS, and opens a session with it. */
export async function start(options: Options = {}, server = createServer()) {
  const board = await startBoard(options);
  board.attach(server, options.attach);
  const url = `http://127.0.0.1:${await listen(server)}`;
  return { board, server, url, session: await openSession(url) };
}

/** The reports that actors of "scripted" publish. */
export async function watch(session: ClientHttp2Session, path = "/"): Promise<Http2Client> {
  const watcher = await Http2Client.open(session, { ":path": path });
  watcher.write(text(JSON.stringify({ do: "subscribe", topic: "log" })));
  expect(await watcher.text()).toBe("subscribed log");
  return watcher;
}
