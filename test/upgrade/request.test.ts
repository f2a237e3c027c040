import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { createServer as createTcpServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { buffer, text } from "node:stream/consumers";
import { pipeline } from "node:stream/promises";
import { connect as connectTls } from "node:tls";
import { describe, expect, it, onTestFinished } from "vitest";
import { WebSocketServer } from "ws";
import { onUpgrade } from "../../src/upgrade/on-upgrade.ts";
import { type AnsweredUpgrade, openTunnel, requestUpgrade } from "../../src/upgrade/request.ts";
import { serveUpgrades } from "../../src/upgrade/serve.ts";
import type { Upgraded } from "../../src/upgrade/upgraded.ts";
import { makeCertificate } from "./certificate.ts";
import { countLeaks, listen, startHttp } from "./leaks.ts";

countLeaks();

/** Accepts all, echoes, and keeps the requests. */
function echo(server: Server): IncomingMessage[] {
  const requests: IncomingMessage[] = [];
  serveUpgrades(server, (request) => {
    requests.push(request);
    onUpgrade(request).then(
      (upgraded) => pipeline(upgraded, upgraded as NodeJS.WritableStream).catch(() => {}),
      () => {},
    );
    return { status: request.method === "CONNECT" ? 200 : 101 };
  });
  return requests;
}

async function startEcho(): Promise<{ port: number; requests: IncomingMessage[] }> {
  const { server, port } = await startHttp();
  return { port, requests: echo(server) };
}

/** A server of bytes: what it does with each connection once the request is there. */
async function startRaw(act: (socket: Socket) => void): Promise<number> {
  const server = createTcpServer((socket) => {
    onTestFinished(() => {
      socket.destroy();
    });
    socket.on("error", () => {});
    socket.once("data", () => act(socket));
  });
  return listen(server);
}

const answering = (bytes: string): Promise<number> =>
  startRaw((socket) => {
    // A client that is refused closes; a peer that is done with it does so too.
    socket.write(bytes, "latin1");
    socket.on("end", () => socket.end()).resume();
  });

async function talk({ upgraded }: AnsweredUpgrade, message: string): Promise<string> {
  const stream = await upgraded;
  stream.end(message);
  return text(stream);
}

const SWITCH = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: foobar\r\n";

describe("asking for an upgrade", () => {
  it("sends the request that the URL and the options say", async () => {
    const { port, requests } = await startEcho();
    const url = `http://user:p%40ss@127.0.0.1:${port}/a/b?c=d`;
    const answered = await requestUpgrade(url, "foobar", { headers: { "X-A": "b", upgrade: "other" } });
    expect(answered.response.statusCode).toBe(101);
    expect(await talk(answered, "both ways")).toBe("both ways");
    expect(requests[0]).toMatchObject({
      method: "GET",
      url: "/a/b?c=d",
      headers: {
        "x-a": "b",
        host: `127.0.0.1:${port}`,
        upgrade: "foobar",
        connection: "Upgrade",
        authorization: `Basic ${Buffer.from("user:p@ss").toString("base64")}`,
      },
    });
  });

  it("gives the bytes that come with the 101 first, byte by byte or at once", async () => {
    const bytes = `${SWITCH}\r\nfirst `;
    const port = await startRaw((socket) => {
      socket.setNoDelay(true);
      for (const byte of bytes) socket.write(byte);
      socket.end("then");
    });
    const { upgraded } = await requestUpgrade(`http://127.0.0.1:${port}`, "foobar");
    expect(await text(await upgraded)).toBe("first then");
    const atOnce = await startRaw((socket) => socket.end(`${bytes}then`));
    const answered = await requestUpgrade(`http://127.0.0.1:${atOnce}`, "foobar");
    expect(await talk(answered, "")).toBe("first then");
  });

  it("passes over other 1xx answers", async () => {
    const port = await answering(`HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n${SWITCH}\r\n`);
    const { response, upgraded } = await requestUpgrade(`http://127.0.0.1:${port}`, "foobar");
    expect(response.statusCode).toBe(101);
    (await upgraded).destroy();
  });

  it("may offer several protocols, and takes the one that the server chose", async () => {
    const port = await answering(`${SWITCH}\r\n`);
    const { upgraded } = await requestUpgrade(`http://127.0.0.1:${port}`, "barfoo, FOOBAR");
    (await upgraded).destroy();
  });

  it("understands the 101 of a server that we did not write, and the bytes behind it", async () => {
    const { server, port } = await startHttp();
    const sockets = new WebSocketServer({ server });
    sockets.on("connection", (socket) => {
      socket.send("hi");
      socket.close(1000);
    });
    const headers = { "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==" };
    const { response, upgraded } = await requestUpgrade(`http://127.0.0.1:${port}`, "websocket", { headers });
    expect(response.headers["sec-websocket-accept"]).toBe("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    const stream = await upgraded;
    const frames = Buffer.from([0x81, 2, 0x68, 0x69, 0x88, 2, 0x03, 0xe8]);
    let bytes = Buffer.alloc(0);
    for await (const chunk of stream.iterator({ destroyOnReturn: false })) {
      bytes = Buffer.concat([bytes, chunk]);
      if (bytes.length === frames.length) break;
    }
    expect(bytes).toEqual(frames);
    stream.destroy();
    sockets.close();
  });

  it.each(["http", "https"])("carries megabytes both ways at once, unharmed, over %s", async (scheme) => {
    const certificate = makeCertificate();
    const server = scheme === "http" ? createServer() : createTlsServer(certificate);
    const port = await listen(server);
    const served = new Promise<Upgraded>((resolve, reject) => {
      serveUpgrades(server, (request) => {
        onUpgrade(request).then(resolve, reject);
        return { status: 101 };
      });
    });
    const { upgraded } = await requestUpgrade(`${scheme}://127.0.0.1:${port}`, "foobar", { ca: certificate.cert });
    const [there, back] = [randomBytes(8 * 1024 * 1024), randomBytes(8 * 1024 * 1024)];
    const send = async (stream: Duplex, bytes: Buffer): Promise<void> => {
      for (let at = 0; at < bytes.length; at += 10_007) {
        if (!stream.write(bytes.subarray(at, at + 10_007))) await once(stream, "drain");
      }
      stream.end();
    };
    const ends = [await upgraded, await served] as const;
    const [atClient, atServer] = await Promise.all([
      buffer(ends[0].iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>),
      buffer(ends[1].iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>),
      send(ends[0], there),
      send(ends[1], back),
    ]);
    expect([atServer.equals(there), atClient.equals(back)]).toEqual([true, true]);
  });

  it("works over TLS with a certificate that it is told to trust, both directions ending apart", async () => {
    const certificate = makeCertificate();
    const server = createTlsServer(certificate);
    const port = await listen(server);
    echo(server);
    const answered = await requestUpgrade(`https://localhost:${port}`, "foobar", {
      ca: certificate.cert,
      lookup: (_host, _options, done) => done(null, [{ address: "127.0.0.1", family: 4 }]),
    });
    expect(await talk(answered, "secret")).toBe("secret");
  });

  it("rejects over TLS with a certificate that nobody trusts", async () => {
    const server = createTlsServer(makeCertificate());
    const port = await listen(server);
    await expect(requestUpgrade(`https://127.0.0.1:${port}`, "foobar")).rejects.toMatchObject({
      code: "DEPTH_ZERO_SELF_SIGNED_CERT",
    });
  });

  it("works over IPv6", async () => {
    const server = createServer();
    const port = await listen(server, "::1");
    const requests = echo(server);
    expect(await talk(await requestUpgrade(`http://[::1]:${port}`, "foobar"), "six")).toBe("six");
    expect(requests[0]?.headers.host).toBe(`[::1]:${port}`);
  });

  it("works over a Unix socket", async () => {
    const folder = mkdtempSync(join(tmpdir(), "switchboard-"));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const socketPath = join(folder, "server.sock");
    const server = createServer();
    echo(server);
    await new Promise<void>((resolve) => server.listen(socketPath, resolve));
    expect(await talk(await requestUpgrade("http://localhost", "foobar", { socketPath }), "unix")).toBe("unix");
    await new Promise((resolve) => server.close(resolve));
  });

  it.each([
    ["ws:", "ws://127.0.0.1", { code: "ERR_URL_SCHEME", kind: "configuration" }],
    ["no URL", "nowhere", { code: "ERR_INVALID_URL" }],
  ])("rejects for %s", async (_name, url, error) => {
    await expect(requestUpgrade(url, "foobar")).rejects.toMatchObject(error);
  });

  it("rejects for a header that can't be sent", async () => {
    await expect(requestUpgrade("http://127.0.0.1", "foo\r\nbar: x")).rejects.toMatchObject({
      code: "ERR_INVALID_CHAR",
    });
  });
});

describe("an answer that is no switch", () => {
  it("is there to read, and rejects the stream", async () => {
    const { server, port } = await startHttp();
    serveUpgrades(server, () => ({ status: 403, body: "go away" }));
    const { response, upgraded } = await requestUpgrade(`http://127.0.0.1:${port}`, "foobar");
    expect(response.statusCode).toBe(403);
    expect(await text(response)).toBe("go away");
    await expect(upgraded).rejects.toMatchObject({ code: "ERR_UPGRADE_REFUSED", kind: "closed" });
    await expect(onUpgrade(response)).rejects.toMatchObject({ code: "ERR_UPGRADE_REFUSED" });
  });

  it("may be a 200 of a server that knows no upgrades", async () => {
    const { server, port } = await startHttp();
    server.on("request", (_request, response) => response.end("a page"));
    const { response, upgraded } = await requestUpgrade(`http://127.0.0.1:${port}`, "foobar");
    expect(await text(response)).toBe("a page");
    await expect(upgraded).rejects.toMatchObject({ code: "ERR_UPGRADE_REFUSED" });
  });

  it("closes its socket when it is destroyed unread", async () => {
    const port = await answering(`HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nsome`);
    const { response, upgraded } = await requestUpgrade(`http://127.0.0.1:${port}`, "foobar");
    await expect(upgraded).rejects.toMatchObject({ code: "ERR_UPGRADE_REFUSED" });
    response.destroy();
  });

  it.each([
    ["without Upgrade", "HTTP/1.1 101 X\r\nConnection: Upgrade\r\n\r\n"],
    ["without Connection", "HTTP/1.1 101 X\r\nUpgrade: foobar\r\n\r\n"],
    ["without either, and with bytes behind it", "HTTP/1.1 101 X\r\n\r\nbytes"],
    ["to another protocol", "HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: barfoo\r\n\r\nbytes"],
    ["to two protocols", "HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: foobar, barfoo\r\n\r\n"],
  ])("is a 101 %s, and the socket is closed", async (_name, bytes) => {
    const closed = Promise.withResolvers<void>();
    const port = await startRaw((socket) => {
      socket.on("close", () => closed.resolve()).write(bytes);
    });
    const { response, upgraded } = await requestUpgrade(`http://127.0.0.1:${port}`, "foobar");
    expect(response.statusCode).toBe(101);
    await expect(upgraded).rejects.toMatchObject({ code: "ERR_UPGRADE_MISMATCH", kind: "protocol" });
    await closed.promise;
  });
});

describe("no answer", () => {
  const steps: [string, string][] = [
    ["without a byte", ""],
    ["within the status line", "HTTP/1.1 10"],
    ["within a header", `${SWITCH}X-Half`],
    ["before the empty line", SWITCH],
  ];
  it.each(steps)("rejects when the server ends the connection %s", async (_name, bytes) => {
    const port = await startRaw((socket) => socket.end(bytes));
    await expect(requestUpgrade(`http://127.0.0.1:${port}`, "foobar")).rejects.toMatchObject({
      code: expect.stringMatching(/ECONNRESET|HPE_INVALID_EOF_STATE/),
    });
  });

  it.each(steps)("rejects when the server resets the connection %s", async (_name, bytes) => {
    const port = await startRaw((socket) => {
      if (bytes === "") socket.resetAndDestroy();
      else socket.write(bytes, () => socket.resetAndDestroy());
    });
    await expect(requestUpgrade(`http://127.0.0.1:${port}`, "foobar")).rejects.toMatchObject({ code: "ECONNRESET" });
  });

  it("rejects when nobody listens", async () => {
    const server = createTcpServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    await new Promise((resolve) => server.close(resolve));
    const url = `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}`;
    await expect(requestUpgrade(url, "foobar")).rejects.toMatchObject({ code: "ECONNREFUSED" });
  });

  it.each([
    ["one long header", `X-Long: ${"a".repeat(20_000)}\r\n`],
    ["many headers", Array.from({ length: 3_000 }, (_, i) => `X-${i}: a\r\n`).join("")],
  ])("rejects when the head of the response is larger than the limit by %s", async (_name, headers) => {
    const port = await answering(`${SWITCH}${headers}\r\n`);
    await expect(requestUpgrade(`http://127.0.0.1:${port}`, "foobar")).rejects.toMatchObject({
      code: "HPE_HEADER_OVERFLOW",
    });
  });

  it("takes a larger head when the options allow it", async () => {
    const port = await answering(`${SWITCH}X-Long: ${"a".repeat(20_000)}\r\n\r\n`);
    const options = { maxHeaderSize: 32_768 };
    const { response, upgraded } = await requestUpgrade(`http://127.0.0.1:${port}`, "foobar", options);
    expect(response.headers["x-long"]).toHaveLength(20_000);
    (await upgraded).destroy();
  });

  it("rejects for bytes that are no HTTP", async () => {
    const port = await answering("SSH-2.0-OpenSSH_9.2\r\n");
    await expect(requestUpgrade(`http://127.0.0.1:${port}`, "foobar")).rejects.toMatchObject({
      code: expect.stringMatching(/^HPE_/),
    });
  });

  it("rejects with the signal's reason when it is aborted before or during the wait", async () => {
    const reason = new Error("no longer");
    const controller = new AbortController();
    const port = await startRaw(() => controller.abort(reason));
    const { signal } = controller;
    await expect(requestUpgrade(`http://127.0.0.1:${port}`, "foobar", { signal })).rejects.toBe(reason);
    await expect(requestUpgrade(`http://127.0.0.1:${port}`, "foobar", { signal })).rejects.toBe(reason);
    await expect(openTunnel(`http://127.0.0.1:${port}`, "a:1", { signal })).rejects.toBe(reason);
  });

  it("leaves the stream alone when the signal is aborted after the switch", async () => {
    const { port } = await startEcho();
    const controller = new AbortController();
    const answered = await requestUpgrade(`http://127.0.0.1:${port}`, "foobar", { signal: controller.signal });
    controller.abort();
    expect(await talk(answered, "still here")).toBe("still here");
  });
});

describe("opening a tunnel", () => {
  it("sends the authority and the credentials of the proxy, and carries both ways", async () => {
    const { port, requests } = await startEcho();
    const answered = await openTunnel(`http://user:p%40ss@127.0.0.1:${port}`, "example.com:443");
    expect(answered.response.statusCode).toBe(200);
    expect(await talk(answered, "through")).toBe("through");
    expect(requests[0]).toMatchObject({
      method: "CONNECT",
      url: "example.com:443",
      headers: {
        host: "example.com:443",
        "proxy-authorization": `Basic ${Buffer.from("user:p@ss").toString("base64")}`,
      },
    });
  });

  it("carries TLS to the server behind the proxy", async () => {
    const certificate = makeCertificate();
    const { port } = await startHttp().then(({ server, port }) => {
      // Ends TLS itself, behind its CONNECT.
      const origin = createTlsServer(certificate, (_request, response) => response.end("from behind"));
      serveUpgrades(server, (request) => {
        onUpgrade(request).then(
          (upgraded) => origin.emit("connection", upgraded.downcast().socket),
          () => {},
        );
        return { status: 200 };
      });
      return { port };
    });
    const { upgraded } = await openTunnel(`http://127.0.0.1:${port}`, "localhost:443");
    const { cert } = certificate;
    const secure = connectTls({ socket: await upgraded, servername: "localhost", ca: cert });
    secure.write("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    expect(await text(secure)).toContain("from behind");
  });

  it.each([201, 204, 299])("takes any 2xx: %i, whatever length it claims", async (status) => {
    const port = await answering(`HTTP/1.1 ${status} Fine\r\nContent-Length: 3\r\n\r\nbytes`);
    const { upgraded } = await openTunnel(`http://127.0.0.1:${port}`, "example.com:443");
    const stream = await upgraded;
    stream.end();
    expect(await text(stream)).toBe("bytes");
  });

  it.each([101, 302, 403, 407, 502])(
    "rejects the stream of a proxy that answers %i, and closes the socket",
    async (status) => {
      const closed = Promise.withResolvers<void>();
      const port = await startRaw((socket) => {
        socket.on("close", () => closed.resolve());
        socket.write(`HTTP/1.1 ${status} No\r\nContent-Length: 1000\r\nX-Why: because\r\n\r\nbody`);
      });
      const { response, upgraded } = await openTunnel(`http://127.0.0.1:${port}`, "example.com:443");
      expect(response).toMatchObject({ statusCode: status, headers: { "x-why": "because" } });
      await expect(upgraded).rejects.toMatchObject({ code: "ERR_UPGRADE_REFUSED" });
      await closed.promise;
      expect(await text(response)).toBe("");
    },
  );

  it.each(["", "HTTP/1.1 2", "HTTP/1.1 200 OK\r\nX-Half"])("rejects when the proxy closes after %j", async (bytes) => {
    const port = await startRaw((socket) => socket.end(bytes));
    await expect(openTunnel(`http://127.0.0.1:${port}`, "example.com:443")).rejects.toMatchObject({
      code: expect.stringMatching(/ECONNRESET|HPE_INVALID_EOF_STATE/),
    });
  });

  it("gives a stream that ends when the proxy closes right after its 200", async () => {
    const port = await startRaw((socket) => socket.end("HTTP/1.1 200 OK\r\n\r\n"));
    expect(await talk(await openTunnel(`http://127.0.0.1:${port}`, "example.com:443"), "")).toBe("");
  });

  it.each(["example.com", "example.com:", "http://example.com:80", "user@example.com:80", ""])(
    "rejects for a place that is no host and port: %j",
    async (authority) => {
      await expect(openTunnel("http://127.0.0.1", authority)).rejects.toMatchObject({ code: "ERR_TUNNEL_AUTHORITY" });
    },
  );

  it("rejects for an authority that would break out of the request line", async () => {
    await expect(openTunnel("http://127.0.0.1", "a HTTP/1.1\r\nX: y:1")).rejects.toBeInstanceOf(Error);
  });

  it("works through a stream of one's own: a tunnel in a tunnel", async () => {
    const { port } = await startEcho();
    const outer = await openTunnel(`http://127.0.0.1:${port}`, "inner-proxy:80");
    const stream = await outer.upgraded;
    // The echo gives our own request back, which is no answer.
    await expect(
      openTunnel("http://inner-proxy", "example.com:443", { createConnection: () => stream as Duplex }),
    ).rejects.toMatchObject({ code: expect.stringMatching(/^HPE_/) });
    stream.destroy();
  });
});
