import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { buffer, text } from "node:stream/consumers";
import { describe, expect, it, onTestFinished } from "vitest";
import { WebSocketServer } from "ws";
import { onUpgrade } from "../../../src/wire/upgrade/on-upgrade.ts";
import { openTunnel, requestUpgrade } from "../../../src/wire/upgrade/request.ts";
import { serveUpgrades } from "../../../src/wire/upgrade/serve.ts";
import type { Upgraded } from "../../../src/wire/upgrade/upgraded.ts";
import { createCertificate } from "../../support/certificate.ts";
import { countLeaks, listen, startHttp } from "./leaks.ts";
import { answering, echo, SWITCH, startEcho, startRaw, talk } from "./servers.ts";

countLeaks();

describe("asking for an upgrade", () => {
  it("sends the request that the URL and the options describe", async () => {
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

  it("delivers the bytes that come with the 101 first, byte by byte or at once", async () => {
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

  it("ignores other 1xx answers", async () => {
    const port = await answering(`HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n${SWITCH}\r\n`);
    const { response, upgraded } = await requestUpgrade(`http://127.0.0.1:${port}`, "foobar");
    expect(response.statusCode).toBe(101);
    (await upgraded).destroy();
  });

  it("may offer several protocols, and accepts the one that the server chose", async () => {
    const port = await answering(`${SWITCH}\r\n`);
    const { upgraded } = await requestUpgrade(`http://127.0.0.1:${port}`, "barfoo, FOOBAR");
    (await upgraded).destroy();
  });

  it("accepts the 101 of a server of another project, and the bytes behind it", async () => {
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

  it.each(["http", "https"])("carries megabytes in both directions at once, unchanged, over %s", async (scheme) => {
    const certificate = createCertificate();
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

  it("works over TLS with a trusted certificate, and ends the two directions separately", async () => {
    const certificate = createCertificate();
    const server = createTlsServer(certificate);
    const port = await listen(server);
    echo(server);
    const answered = await requestUpgrade(`https://localhost:${port}`, "foobar", {
      ca: certificate.cert,
      lookup: (_host, _options, done) => done(null, [{ address: "127.0.0.1", family: 4 }]),
    });
    expect(await talk(answered, "secret")).toBe("secret");
  });

  it("rejects over TLS with an untrusted certificate", async () => {
    const server = createTlsServer(createCertificate());
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
    ["no URL", "nowhere", { code: "ERR_URL", kind: "configuration" }],
    ["nothing", undefined, { code: "ERR_URL", message: expect.stringContaining("got undefined") }],
    ["a web Request", new Request("http://localhost"), { message: expect.stringMatching(/got an object of Request$/) }],
  ])("rejects for %s", async (_name, url, error) => {
    await expect(requestUpgrade(url as string, "foobar")).rejects.toMatchObject(error);
    await expect(openTunnel(url as string, "localhost:1")).rejects.toMatchObject(error);
  });

  it.each([null, "x", 3, [], () => {}])("rejects for the options %j", async (options) => {
    const error = { code: "ERR_ARGUMENT", message: expect.stringContaining("takes an object of options") };
    await expect(requestUpgrade("http://127.0.0.1", "foobar", options as never)).rejects.toMatchObject(error);
    await expect(openTunnel("http://127.0.0.1", "localhost:1", options as never)).rejects.toMatchObject(error);
  });

  it("rejects for a header that can't be sent", async () => {
    const headers = { foo: "bar\r\nbar: x" };
    await expect(requestUpgrade("http://127.0.0.1", "foobar", { headers })).rejects.toMatchObject({
      code: "ERR_INVALID_CHAR",
    });
  });

  it.each([undefined, "", "fo o", "foo, ", "foo/1/2", "foo\r\nbar: x"])(
    "rejects for the protocol %j",
    async (protocol) => {
      await expect(requestUpgrade("http://127.0.0.1", protocol as string)).rejects.toMatchObject({
        code: "ERR_ARGUMENT",
        message: expect.stringContaining("takes one or more protocols"),
      });
    },
  );
});
