import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { expect, it, onTestFinished, vi } from "vitest";
import { CONNECT, emulate, LineStream, rpc, startServer } from "./server.ts";

/** Writes a request by hand. */
function raw(port: number, text: string): Socket {
  const socket = connect(port, "127.0.0.1");
  onTestFinished(() => void socket.destroy());
  socket.on("error", () => {});
  socket.write(text);
  return socket;
}

/** Reads until the server closes the connection. */
async function answer(socket: Socket): Promise<string> {
  let text = "";
  for await (const chunk of socket.setEncoding("utf8")) text += chunk;
  return text;
}

it("leaves all other paths alone, and those of endpoints that are switched off", async () => {
  const { url } = await startServer({ emulation: { ssePath: false, emulationPath: "/commands" } });
  const status = async (path: string) => (await fetch(url + path, { method: "POST" })).status;
  expect(await status("/")).toBe(418);
  expect(await status("/connection/sse")).toBe(418);
  expect(await status("/connection/http_stream/")).toBe(418);
  expect(await status("/emulation")).toBe(418);
  expect(await status("/commands")).toBe(400);
  expect(await status("/connection/http_stream?a=b")).toBe(400);
});

it.each([
  ["GET", "/connection/http_stream", "POST, OPTIONS"],
  ["PUT", "/connection/sse", "GET, POST, OPTIONS"],
  ["GET", "/emulation", "POST, OPTIONS"],
])("answers %s %s with 405", async (method, path, allow) => {
  const { url } = await startServer();
  const response = await fetch(url + path, { method });
  expect(response.status).toBe(405);
  expect(response.headers.get("allow")).toBe(allow);
});

it.each(["/connection/http_stream", "/connection/sse", "/emulation"])(
  "answers a body that is too long for %s with 413, whether the length is known before or not",
  async (path) => {
    const { port, emulation } = await startServer({ emulation: { maxBodyBytes: 1_000 } });
    const head = `POST ${path} HTTP/1.1\r\nHost: a\r\n`;
    // The body is never sent in full.
    const known = raw(port, `${head}Content-Length: 1000000\r\n\r\nx`);
    expect(await answer(known)).toMatch(/^HTTP\/1\.1 413 /);
    const chunked = raw(port, `${head}Transfer-Encoding: chunked\r\n\r\n`);
    for (let i = 0; i < 100; i++) chunked.write(`3e8\r\n${"x".repeat(1_000)}\r\n`);
    expect(await answer(chunked)).toMatch(/^HTTP\/1\.1 413 /);
    const { commandsRefused, streamsRefused, pendingRequests } = emulation.stats();
    expect([commandsRefused + streamsRefused, pendingRequests]).toEqual([2, 0]);
  },
);

it("answers a body that doesn't come in time with 408", async () => {
  const { port, emulation } = await startServer({ emulation: { requestTimeoutMs: 50 } });
  const slow = raw(port, "POST /emulation HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nx");
  expect(await answer(slow)).toMatch(/^HTTP\/1\.1 408 /);
  expect(emulation.stats()).toMatchObject({ pendingRequests: 0, commandsRefused: 1 });
});

it("takes no more requests at once than it may, and forgets those whose clients leave", async () => {
  const { url, port, emulation } = await startServer({ emulation: { maxPendingRequests: 2 } });
  const waiting = [0, 1].map(() =>
    raw(port, "POST /connection/http_stream HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nx"),
  );
  await vi.waitFor(() => expect(emulation.stats().pendingRequests).toBe(2));
  for (const path of ["/connection/http_stream", "/emulation"]) {
    const response = await fetch(url + path, { method: "POST", body: CONNECT });
    expect(response.status).toBe(503);
    expect(response.headers.get("retry-after")).toBe("1");
  }
  for (const socket of waiting) socket.resetAndDestroy();
  await vi.waitFor(() => expect(emulation.stats().pendingRequests).toBe(0));
  expect((await LineStream.open(url)).response.status).toBe(200);
});

it("refuses text that isn't UTF-8, and a stream without commands", async () => {
  const { url } = await startServer();
  const open = async (body: Uint8Array<ArrayBuffer> | string) => (await LineStream.open(url, { body })).response.status;
  expect(await open(Uint8Array.of(0x7b, 0xff, 0x7d))).toBe(400);
  expect(await open("")).toBe(400);
});

it.each([
  ["no JSON", "{"],
  ["no object", "[]"],
  ["null", "null"],
  ["no text in UTF-8", Uint8Array.of(0x22, 0xff, 0x22)],
  ["a session that isn't text", '{"node":"0-1","session":1,"data":"{}"}'],
])("refuses an emulation request that is %s", async (_, body) => {
  const { url, emulation } = await startServer();
  const { status } = await fetch(`${url}/emulation`, { method: "POST", body });
  expect(status).toBe(400);
  expect(emulation.stats()).toMatchObject({ commandsDelivered: 0, commandsRefused: 1 });
});

it.each([[0xff], [0x0a, 5, 1], [0x08, 1], [0x0b], [0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]])(
  "refuses the malformed Protobuf %j",
  async (...bytes) => {
    const { url } = await startServer();
    const headers = { "Content-Type": "application/octet-stream; charset=x" };
    const { status } = await fetch(`${url}/emulation`, { method: "POST", body: Uint8Array.from(bytes), headers });
    expect(status).toBe(400);
  },
);

it("tells with 404 that there is no such actor", async () => {
  const { url } = await startServer();
  const stream = await LineStream.open(url);
  const { node, session } = await stream.connected();
  for (const wrong of ["", "nonsense", "__proto__", "99-1", `${node}0`, `other.${node}`]) {
    expect(await emulate(url, { node: wrong, session }, rpc(2, "echo"))).toBe(404);
  }
});

it("brings commands with a wrong session to no client", async () => {
  const { url } = await startServer();
  const [mine, other] = [await LineStream.open(url), await LineStream.open(url)];
  const [me, them] = [await mine.connected(), await other.connected()];
  for (const session of ["", `${me.session} `, me.session]) {
    await emulate(url, { node: them.node, session }, rpc(2, "echo", "forged"));
  }
  expect(await emulate(url, them, rpc(3, "echo", "true"))).toBe(204);
  expect(await other.next()).toEqual({ id: 3, rpc: { data: "true" } });
});

it("answers 503 when the actor has too many mails to handle", async () => {
  const { url } = await startServer({ board: { maxMails: 2 } });
  const stream = await LineStream.open(url);
  const connected = await stream.connected();
  await emulate(url, connected, rpc(2, "hang"));
  const statuses = new Set<number>();
  for (let i = 0; i < 4; i++) statuses.add(await emulate(url, connected, rpc(3, "echo")));
  expect(statuses).toEqual(new Set([204, 503]));
});

it("lets the pages of allowed origins read, and no others", async () => {
  const { url } = await startServer({ emulation: { origins: ["https://*.Example.com"] } });
  const ask = (origin: string, init: RequestInit = {}) =>
    fetch(`${url}/emulation`, { method: "POST", ...init, headers: { Origin: origin, ...init.headers } });
  const foreign = await ask("https://example.org");
  expect(foreign.status).toBe(403);
  expect(foreign.headers.has("access-control-allow-origin")).toBe(false);
  const friend = await ask("https://a.example.com");
  expect(friend.status).toBe(400);
  expect(Object.fromEntries(friend.headers)).toMatchObject({
    vary: "Origin",
    "access-control-allow-origin": "https://a.example.com",
    "access-control-allow-credentials": "true",
  });
  const preflight = await ask("https://a.example.com", {
    method: "OPTIONS",
    headers: { "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type, x-mine" },
  });
  expect(preflight.status).toBe(204);
  expect(Object.fromEntries(preflight.headers)).toMatchObject({
    "access-control-allow-origin": "https://a.example.com",
    "access-control-allow-methods": "POST, OPTIONS",
    "access-control-allow-headers": "content-type, x-mine",
    "access-control-max-age": "300",
  });
  expect((await ask("https://example.org", { method: "OPTIONS" })).status).toBe(403);
  const stream = await LineStream.open(url, { headers: { Origin: "https://a.example.com" } });
  expect(stream.response.headers.get("access-control-allow-origin")).toBe("https://a.example.com");
  expect((await LineStream.open(url)).response.status).toBe(200);
});

it("lets every page read where no origins are named, but not with its user's cookies", async () => {
  const { url } = await startServer();
  const { response } = await LineStream.open(url, { headers: { Origin: "https://page.example" } });
  expect(response.headers.get("access-control-allow-origin")).toBe("https://page.example");
  expect(response.headers.has("access-control-allow-credentials")).toBe(false);
});

it("answers 500 and reports it when the function that decides about origins fails", async () => {
  const errors: Error[] = [];
  const { url } = await startServer({
    emulation: {
      onError: (error) => errors.push(error),
      origins: () => {
        throw new RangeError("of the user");
      },
    },
  });
  const { response } = await LineStream.open(url, { headers: { Origin: "https://page.example" } });
  expect(response.status).toBe(500);
  expect(errors).toEqual([new RangeError("of the user")]);
});

it("survives a client that is cut at any place of its request", async () => {
  const { url, port, board, emulation } = await startServer();
  const request = `POST /connection/http_stream HTTP/1.1\r\nHost: a\r\nContent-Length: ${CONNECT.length}\r\n\r\n${CONNECT}`;
  const cuts = Array.from({ length: request.length }, (_, end) => end);
  await Promise.all(
    cuts.map(async (end) => {
      const socket = raw(port, request.slice(0, end));
      await once(socket, "connect");
      await new Promise((resolve) => socket.write("", resolve));
      socket.resetAndDestroy();
    }),
  );
  await vi.waitFor(() => expect(emulation.stats()).toMatchObject({ streams: 0, pendingRequests: 0 }));
  expect(board.stats().connections).toBe(0);
  expect(await (await LineStream.open(url)).next()).toMatchObject({ id: 1 });
});
