import { once } from "node:events";
import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants, createServer } from "node:http2";
import { expect, it, onTestFinished, vi } from "vitest";
import { CONNECT, type Line, rpc, startServer } from "./server.ts";

async function start() {
  const times = { closeTimeoutMs: 100 };
  const server = await startServer({ server: createServer(), board: times, emulation: times });
  const session = connect(server.url);
  session.on("error", () => {});
  onTestFinished(() => session.destroy());
  return { ...server, session };
}

/** Sends a request. Resolves with the stream and its status. */
async function request(session: ClientHttp2Session, path: string, body: string, headers = {}) {
  const stream = session.request({ ":method": "POST", ":path": path, ...headers });
  stream.on("error", () => {});
  stream.setEncoding("utf8").end(body);
  const [answer] = await once(stream, "response");
  return { stream, answer, status: answer[":status"] };
}

async function nextLine(stream: ClientHttp2Stream): Promise<Line> {
  let text = "";
  while (!text.endsWith("\n")) {
    const chunk: string | null = stream.read();
    if (chunk === null) await once(stream, "readable");
    else text += chunk;
  }
  return JSON.parse(text);
}

it("serves streams and commands over HTTP/2", async () => {
  const { session, port, board } = await start();
  const { stream, answer } = await request(session, "/connection/http_stream?a=1", CONNECT, { cookie: "b=2" });
  expect(answer).toMatchObject({ ":status": 200, "content-type": "application/x-ndjson; charset=utf-8" });
  const { connect: connected } = await nextLine(stream);
  expect(connected?.data).toMatchObject({
    url: "/connection/http_stream?a=1",
    headers: { host: `127.0.0.1:${port}`, cookie: "b=2" },
    clientAddress: "127.0.0.1",
  });
  const { node, session: secret } = connected as NonNullable<Line["connect"]>;
  const data = JSON.stringify(rpc(2, "echo", "two"));
  expect((await request(session, "/emulation", JSON.stringify({ node, session: secret, data }))).status).toBe(204);
  expect(await nextLine(stream)).toEqual({ id: 2, rpc: { data: "two" } });

  stream.close(constants.NGHTTP2_CANCEL);
  await vi.waitFor(() => expect(board.stats().connections).toBe(0));
});

it("ends the stream after a disconnect push, and keeps the session", async () => {
  const { session } = await start();
  const close = JSON.stringify(rpc(2, "close", { code: 3501, reason: "bad request" }));
  const { stream } = await request(session, "/connection/http_stream", `${CONNECT}\n${close}`);
  let text = "";
  for await (const chunk of stream) text += chunk;
  expect(text).toContain('{"push":{"disconnect":{"code":3501,"reason":"bad request"}}}\n');
  expect(stream.rstCode).toBe(constants.NGHTTP2_NO_ERROR);
  expect((await request(session, "/emulation", "{")).status).toBe(400);
});

it("holds few bytes for a client that doesn't read, and cuts its stream", async () => {
  const { session, emulation } = await start();
  const pour = JSON.stringify(rpc(2, "pour", { count: 640, bytes: 100_000 }));
  const { stream } = await request(session, "/connection/http_stream", `${CONNECT}\n${pour}`);
  const closed = once(stream, "close");
  await vi.waitFor(() => expect(emulation.stats()).toMatchObject({ streamsOpened: 1, streams: 0 }));
  stream.resume();
  await closed;
  expect(stream.rstCode).toBe(constants.NGHTTP2_CANCEL);
});

it("refuses a body that is too long, and keeps the session", async () => {
  const { session } = await start();
  expect((await request(session, "/emulation", "x".repeat(100_000))).status).toBe(413);
  expect((await request(session, "/emulation", "{")).status).toBe(400);
});
