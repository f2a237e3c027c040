import { createServer } from "node:net";
import { beforeAll, describe, expect, it, vi } from "vitest";
import { type ConnectOptions, connect as connectAnywhere } from "../../../src/wire/websocket/index.ts";
import { createCertificate } from "../../support/certificate.ts";
import { type Certificate, echo, listen, nextText, startSocketServer } from "./servers.ts";

const connect = (url: string, options: ConnectOptions = {}) => connectAnywhere(url, { proxy: false, ...options });

describe("wss", () => {
  let tls: Certificate;
  let other: Certificate;
  beforeAll(() => {
    tls = createCertificate();
    other = createCertificate();
  });

  it.each(["127.0.0.1", "localhost"])("exchanges messages with %s", async (host) => {
    const { port, nextSocket, sockets } = await startSocketServer({ tls });
    const socket = await connect(`wss://${host}:${port}/`, { tls: { ca: tls.cert } });
    void echo(await nextSocket());
    const sent = "x".repeat(1_000_000);
    await socket.send(sent);
    expect(await nextText(socket)).toBe(sent);
    socket.close();
    expect(await socket.closed).toMatchObject({ code: 1000, wasClean: true });
    await vi.waitFor(() => expect(sockets.size).toBe(0));
  });

  it("refuses a certificate of an unknown authority", async () => {
    const { port, sockets } = await startSocketServer({ tls });
    await expect(connect(`wss://127.0.0.1:${port}/`)).rejects.toMatchObject({ code: "DEPTH_ZERO_SELF_SIGNED_CERT" });
    await expect(connect(`wss://127.0.0.1:${port}/`, { tls: { ca: other.cert } })).rejects.toThrow();
    await vi.waitFor(() => expect(sockets.size).toBe(0));
  });

  it("refuses a certificate for another name", async () => {
    const { port, sockets } = await startSocketServer({ tls });
    const options = { tls: { ca: tls.cert, servername: "example.com" } };
    await expect(connect(`wss://localhost:${port}/`, options)).rejects.toMatchObject({
      code: "ERR_TLS_CERT_ALTNAME_INVALID",
    });
    await vi.waitFor(() => expect(sockets.size).toBe(0));
  });

  it("refuses a server that doesn't speak TLS, and one that closes half way", async () => {
    const plain = await startSocketServer();
    await expect(connect(`wss://127.0.0.1:${plain.port}/`)).rejects.toMatchObject({
      code: expect.stringMatching(/SSL|EPROTO|ECONNRESET/),
    });
    const closing = await listen(createServer((socket) => socket.once("data", () => socket.destroy())));
    await expect(connect(`wss://127.0.0.1:${closing.port}/`)).rejects.toMatchObject({ code: "ECONNRESET" });
    await vi.waitFor(() => expect(plain.sockets.size + closing.sockets.size).toBe(0));
  });

  it("gives up a server that stops half way through the TLS handshake", async () => {
    const silent = await listen(createServer((socket) => socket.resume()));
    const rejected = connect(`wss://127.0.0.1:${silent.port}/`, { handshakeTimeoutMs: 100 });
    await expect(rejected).rejects.toMatchObject({ code: "ERR_HANDSHAKE_TIMEOUT" });
    await vi.waitFor(() => expect(silent.sockets.size).toBe(0));
  });
});
