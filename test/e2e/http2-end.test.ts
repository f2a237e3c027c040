import { once } from "node:events";
import { constants, createServer, type ServerHttp2Session } from "node:http2";
import { describe, expect, it } from "vitest";
import { close, text } from "../support/frames.ts";
import { start, watch } from "../support/http2-board.ts";
import { ask, Http2Client, openSession, refusal } from "../support/http2-client.ts";

const MIB = 1024 * 1024;

describe("the end of a WebSocket over HTTP/2", () => {
  it("is 1006 for the actor when the stream is reset", async () => {
    const { session } = await start({ actor: "scripted" });
    const watcher = await watch(session);
    const client = await Http2Client.open(session);
    expect(await watcher.text()).toMatch(/^opened/);
    client.stream.close(constants.NGHTTP2_CANCEL);
    expect(await watcher.text()).toMatch(/^closed \S+ 1006/);
  });

  it("is 1006 for each actor of a session when the session is destroyed", async () => {
    const { session, url } = await start({ actor: "scripted" });
    const watcher = await watch(await openSession(url));
    await Promise.all([Http2Client.open(session), Http2Client.open(session)]);
    expect([await watcher.text(), await watcher.text()]).toEqual([
      expect.stringMatching(/^opened/),
      expect.stringMatching(/^opened/),
    ]);
    session.destroy();
    expect(await watcher.text()).toMatch(/^closed \S+ 1006/);
    expect(await watcher.text()).toMatch(/^closed \S+ 1006/);
  });

  it("is 1006 when the peer ends the stream with its request", async () => {
    const { session } = await start({ actor: "scripted" });
    const watcher = await watch(session);
    const headers = { ":method": "CONNECT", ":protocol": "websocket", ":path": "/", "sec-websocket-version": "13" };
    const stream = session.request(headers, { endStream: true });
    stream.resume();
    expect(await watcher.text()).toMatch(/^opened/);
    expect(await watcher.text()).toMatch(/^closed \S+ 1006/);
    if (!stream.closed) await once(stream, "close");
  });

  it("reaches a peer that doesn't read, and doesn't affect other streams of the session", async () => {
    const { session } = await start({ actor: "scripted", closeTimeoutMs: 50 });
    const watcher = await watch(session);
    const stream = ask(session);
    stream.on("error", () => {});
    await once(stream, "response");
    expect(await watcher.text()).toMatch(/^opened/);
    for (let n = 0; n < 8; n++) stream.write(text(JSON.stringify({ do: "send", bytes: MIB / 2 })));
    expect(await watcher.text()).toMatch(/^closed/);
    stream.destroy();
  });

  it("is 1006 when the server destroys the session", async () => {
    const server = createServer();
    const sessions: ServerHttp2Session[] = [];
    server.on("session", (session: ServerHttp2Session) => sessions.push(session));
    const { session, url } = await start({ actor: "scripted" }, server);
    const watcher = await watch(await openSession(url));
    const client = await Http2Client.open(session);
    expect(await watcher.text()).toMatch(/^opened/);
    sessions[0]?.destroy();
    expect(await watcher.text()).toMatch(/^closed \S+ 1006/);
    await client.closed();
  });

  it("doesn't come with a GOAWAY: open streams go on", async () => {
    const { session } = await start();
    const client = await Http2Client.open(session);
    session.close();
    client.write(text("after GOAWAY"));
    expect(await client.text()).toBe("after GOAWAY");
    await client.close();
    if (!session.destroyed) await once(session, "close");
  });

  it("is 1001 when the board closes, and the server's session stays open", async () => {
    const server = createServer((_request, response) => response.end("plain"));
    const { session, board } = await start({}, server);
    const client = await Http2Client.open(session);
    const closed = board.close();
    expect(await client.closeCode()).toBe(1001);
    client.write(close(1001));
    client.stream.end();
    expect(await closed).toEqual({ closed: 1, dropped: 0, cut: 0 });
    expect((await refusal(session.request({ ":path": "/" }))).body).toBe("plain");
  });

  it("is CANCEL when its shard dies", async () => {
    const { session, board } = await start({ actor: "scripted" });
    board.on("shardLost", () => {});
    const client = await Http2Client.open(session);
    client.write(text(JSON.stringify({ do: "exit" })));
    await client.closed();
    expect(client.stream.rstCode).toBe(constants.NGHTTP2_CANCEL);
  });
});
