import { createServer as createTlsServer } from "node:https";
import type { Duplex } from "node:stream";
import { text } from "node:stream/consumers";
import { connect as connectTls } from "node:tls";
import { describe, expect, it } from "vitest";
import { onUpgrade } from "../../../src/wire/upgrade/on-upgrade.ts";
import { openTunnel } from "../../../src/wire/upgrade/request.ts";
import { serveUpgrades } from "../../../src/wire/upgrade/serve.ts";
import { createCertificate } from "../../support/certificate.ts";
import { countLeaks, startHttp } from "./leaks.ts";
import { answering, startEcho, startRaw, talk } from "./servers.ts";

countLeaks();

describe("opening a tunnel", () => {
  it("sends the authority and the proxy's credentials, and carries bytes in both directions", async () => {
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
    const certificate = createCertificate();
    const { port } = await startHttp().then(({ server, port }) => {
      // The server terminates TLS itself, behind the CONNECT.
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

  it.each([201, 204, 299])("accepts any 2xx (%i), whatever length it announces", async (status) => {
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
    "rejects for a target that isn't host and port: %j",
    async (authority) => {
      await expect(openTunnel("http://127.0.0.1", authority)).rejects.toMatchObject({ code: "ERR_TUNNEL_AUTHORITY" });
    },
  );

  it("rejects for an authority that would break out of the request line", async () => {
    await expect(openTunnel("http://127.0.0.1", "a HTTP/1.1\r\nX: y:1")).rejects.toBeInstanceOf(Error);
  });

  it("works through any stream: a tunnel in a tunnel", async () => {
    const { port } = await startEcho();
    const outer = await openTunnel(`http://127.0.0.1:${port}`, "inner-proxy:80");
    const stream = await outer.upgraded;
    // The echo sends our own request back, which is no HTTP answer.
    await expect(
      openTunnel("http://inner-proxy", "example.com:443", { createConnection: () => stream as Duplex }),
    ).rejects.toMatchObject({ code: expect.stringMatching(/^HPE_/) });
    stream.destroy();
  });
});
