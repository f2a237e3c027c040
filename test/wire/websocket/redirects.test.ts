import { createServer } from "node:https";
import { beforeAll, describe, expect, it, vi } from "vitest";
import { type ConnectOptions, connect as connectAnywhere } from "../../../src/wire/websocket/index.ts";
import { createCertificate } from "../../support/certificate.ts";
import { type Certificate, type CountedServer, listen, startRawServer, startSocketServer } from "./servers.ts";

const connect = (url: string, options: ConnectOptions = {}) => connectAnywhere(url, { proxy: false, ...options });

/** Answers every request with a redirect, by default to `/again` on itself. */
function startRedirector(status: number, location = "/again"): Promise<CountedServer> {
  return startRawServer((socket) => {
    socket.on("end", () => socket.end());
    socket.write(`HTTP/1.1 ${status} R\r\nLocation: ${location}\r\nContent-Length: 0\r\n\r\n`);
  });
}

describe("a redirect", () => {
  it.each([301, 302, 303, 307, 308])("with %i is followed when maxRedirects allows it", async (status) => {
    const { port, nextSocket, requests } = await startSocketServer();
    const { port: from, sockets } = await startRedirector(status, `ws://127.0.0.1:${port}/there?a=1`);
    const socket = await connect(`ws://127.0.0.1:${from}/`, { maxRedirects: 1, protocols: ["a"] });
    expect(requests[0]?.url).toBe("/there?a=1");
    expect(requests[0]?.headers["sec-websocket-protocol"]).toBe("a");
    (await nextSocket()).close();
    await socket.closed;
    await vi.waitFor(() => expect(sockets.size).toBe(0));
  });

  it("is refused without maxRedirects, and beyond their number", async () => {
    const { port, sockets } = await startRedirector(302);
    await expect(connect(`ws://127.0.0.1:${port}/`)).rejects.toMatchObject({ code: "ERR_REDIRECT" });
    await expect(connect(`ws://127.0.0.1:${port}/`, { maxRedirects: 3 })).rejects.toThrow("3 were followed already");
    await vi.waitFor(() => expect(sockets.size).toBe(0));
  });

  it.each(["ftp://127.0.0.1/", "http://[", "javascript:0"])("to %s is refused", async (location) => {
    const { port, sockets } = await startRedirector(302, location);
    await expect(connect(`ws://127.0.0.1:${port}/`, { maxRedirects: 1 })).rejects.toMatchObject({
      code: "ERR_REDIRECT",
    });
    await vi.waitFor(() => expect(sockets.size).toBe(0));
  });

  it("keeps headers and credentials on the same origin, and drops them for any other", async () => {
    const secret = { Authorization: "Bearer secret", Cookie: "secret=1", "X-Secret": "1" };
    const seen: string[] = [];
    const { port: other } = await startRawServer((socket, request) => {
      seen.push(request);
      socket.end("HTTP/1.1 404 N\r\n\r\n");
    });
    const { port } = await startRawServer((socket, request) => {
      seen.push(request);
      const location = request.startsWith("GET /one ") ? "/two" : `ws://127.0.0.1:${other}/three`;
      socket.end(`HTTP/1.1 307 R\r\nLocation: ${location}\r\n\r\n`);
    });
    const rejected = connect(`ws://127.0.0.1:${port}/one`, { headers: secret, maxRedirects: 2 });
    await expect(rejected).rejects.toMatchObject({ code: "ERR_HANDSHAKE_STATUS" });
    expect(seen).toHaveLength(3);
    expect(seen.map((request) => request.match(/secret/gi)?.length ?? 0)).toEqual([3, 3, 0]);

    seen.length = 0;
    await expect(connect(`ws://me:pass@127.0.0.1:${port}/two`, { maxRedirects: 2 })).rejects.toThrow("404");
    expect(seen.map((request) => /authorization/i.test(request))).toEqual([true, false]);
  });

  it("uses a different key for each request", async () => {
    const keys = new Set<string | undefined>();
    const { port } = await startRawServer((socket, request) => {
      keys.add(/sec-websocket-key: (.+)\r\n/i.exec(request)?.[1]);
      socket.end("HTTP/1.1 302 R\r\nLocation: /\r\n\r\n");
    });
    await expect(connect(`ws://127.0.0.1:${port}/`, { maxRedirects: 4 })).rejects.toThrow();
    expect(keys.size).toBe(5);
  });
});

describe("a redirect from wss:", () => {
  let tls: Certificate;
  beforeAll(() => {
    tls = createCertificate();
  });

  it("to ws: is never followed", async () => {
    const plain = await startSocketServer();
    const server = createServer(tls);
    server.on("upgrade", (_, socket) => {
      socket.end(`HTTP/1.1 302 R\r\nLocation: ws://127.0.0.1:${plain.port}/\r\n\r\n`);
    });
    const { port, sockets } = await listen(server);
    const rejected = connect(`wss://127.0.0.1:${port}/`, { tls: { ca: tls.cert }, maxRedirects: 5 });
    await expect(rejected).rejects.toThrow("from wss: to ws:");
    expect(plain.requests).toEqual([]);
    await vi.waitFor(() => expect(sockets.size).toBe(0));
  });
});
