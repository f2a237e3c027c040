import type { Socket } from "node:net";
import { describe, expect, it, vi } from "vitest";
import { acceptKey } from "../../../src/wire/handshake/accept-key.ts";
import { type ConnectOptions, connect as connectAnywhere } from "../../../src/wire/websocket/index.ts";
import { echo, nextText, startRawServer, startSocketServer } from "./servers.ts";

// Removes any proxy from the environment of the tests.
const connect = (url: URL | string, options: ConnectOptions = {}) => connectAnywhere(url, { proxy: false, ...options });

/** A valid 101 for the request, with changes; undefined removes a line. */
function switching(request: string, changes: Record<string, string | undefined> = {}): string {
  const key = /sec-websocket-key: (.+)\r\n/i.exec(request)?.[1] ?? "";
  const lines = { Upgrade: "websocket", Connection: "Upgrade", "Sec-WebSocket-Accept": acceptKey(key), ...changes };
  const kept = Object.entries(lines).flatMap(([name, value]) => (value === undefined ? [] : [`${name}: ${value}\r\n`]));
  return `HTTP/1.1 101 Switching Protocols\r\n${kept.join("")}\r\n`;
}

describe("connecting", () => {
  it("sends headers, credentials, subprotocols, path and query", async () => {
    const { port, requests } = await startSocketServer({ protocols: ["b"] });
    const options = { headers: { "X-One": "1" }, protocols: ["a", "b"] };
    const socket = await connect(`ws://me:p%40ss@127.0.0.1:${port}/path?query=1`, options);
    expect(socket.protocol).toBe("b");
    expect(requests[0]?.url).toBe("/path?query=1");
    expect(requests[0]?.headers).toMatchObject({
      host: `127.0.0.1:${port}`,
      "x-one": "1",
      authorization: `Basic ${Buffer.from("me:p@ss").toString("base64")}`,
      "sec-websocket-protocol": "a, b",
      "sec-websocket-version": "13",
    });
    expect(requests[0]?.headers).not.toHaveProperty("sec-websocket-extensions");
    socket.close();
    await socket.closed;
  });

  it("accepts http: for ws:", async () => {
    const { port, nextSocket } = await startSocketServer();
    const socket = await connect(new URL(`http://127.0.0.1:${port}/`));
    void echo(await nextSocket());
    await socket.send("hello");
    expect(await nextText(socket)).toBe("hello");
    socket.close();
  });

  it("delivers frames that came in one packet with the 101", async () => {
    const { port } = await startRawServer((socket, request) => {
      socket.write(Buffer.concat([Buffer.from(switching(request)), Buffer.of(0x81, 2, 0x68, 0x69, 0x81, 1)]));
      setImmediate(() => socket.write("!"));
    });
    const socket = await connect(`ws://127.0.0.1:${port}/`);
    expect([await nextText(socket), await nextText(socket)]).toEqual(["hi", "!"]);
    socket.destroy();
  });
});

describe("an answer that opens no WebSocket", () => {
  const answer =
    (changes: Record<string, string | undefined>) =>
    (socket: Socket, request: string): void => {
      socket.write(switching(request, changes));
    };
  it.each<[string, (socket: Socket, request: string) => void, string]>([
    ["a wrong accept key", answer({ "Sec-WebSocket-Accept": acceptKey("x") }), "ERR_HANDSHAKE_ACCEPT"],
    ["no accept key", answer({ "Sec-WebSocket-Accept": undefined }), "ERR_HANDSHAKE_ACCEPT"],
    ["another protocol", answer({ Upgrade: "h2c" }), "ERR_HANDSHAKE_UPGRADE"],
    ["a foreign subprotocol", answer({ "Sec-WebSocket-Protocol": "x" }), "ERR_HANDSHAKE_PROTOCOL"],
    ["a foreign extension", answer({ "Sec-WebSocket-Extensions": "permessage-deflate" }), "ERR_HANDSHAKE_EXTENSION"],
    ["a 101 without Upgrade", answer({ Upgrade: undefined }), "ERR_HANDSHAKE_UPGRADE"],
    ["a 101 without Connection", answer({ Connection: undefined }), "ERR_HANDSHAKE_CONNECTION"],
    ["200", (socket) => socket.write("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nx"), "ERR_HANDSHAKE_STATUS"],
    ["404 without an end", (socket) => socket.write("HTTP/1.1 404 Not Found\r\n\r\nx"), "ERR_HANDSHAKE_STATUS"],
    [
      "a header that is too large",
      (socket) => socket.write(`HTTP/1.1 101 S\r\nX: ${"x".repeat(20_000)}`),
      "HPE_HEADER_OVERFLOW",
    ],
    ["no HTTP", (socket) => socket.write("SSH-2.0-x\r\n\r\n"), "HPE_INVALID_CONSTANT"],
    ["an end before it", (socket) => socket.end(), "ECONNRESET"],
    ["an end in the middle of it", (socket) => socket.end("HTTP/1.1 101 Switching"), "ECONNRESET"],
    ["a reset", (socket) => socket.resetAndDestroy(), "ECONNRESET"],
    [
      "a redirect that nobody asked to follow",
      (socket) => socket.write("HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n"),
      "ERR_REDIRECT",
    ],
  ])("(%s) rejects and leaves no socket", async (_, serve, code) => {
    const { port, sockets } = await startRawServer((socket, request) => {
      socket.on("end", () => socket.end());
      serve(socket, request);
    });
    await expect(connect(`ws://127.0.0.1:${port}/`)).rejects.toMatchObject({ code });
    await vi.waitFor(() => expect(sockets.size).toBe(0));
  });

  it("rejects with its status and headers", async () => {
    const { port } = await startSocketServer({ origins: ["https://example.com"] });
    const rejected = connect(`ws://127.0.0.1:${port}/`, { headers: { Origin: "https://evil.example" } });
    await expect(rejected).rejects.toMatchObject({ code: "ERR_HANDSHAKE_STATUS", cause: { status: 403 } });
  });

  it("also rejects when the connection is refused", async () => {
    await expect(connect("ws://127.0.0.1:1/")).rejects.toMatchObject({ code: "ECONNREFUSED" });
  });
});

describe("giving up", () => {
  it("happens after handshakeTimeoutMs, and leaves no socket", async () => {
    const { port, sockets } = await startRawServer((socket) => socket.on("end", () => socket.end()));
    const rejected = connect(`ws://127.0.0.1:${port}/`, { handshakeTimeoutMs: 100 });
    await expect(rejected).rejects.toMatchObject({ kind: "transport", code: "ERR_HANDSHAKE_TIMEOUT" });
    await vi.waitFor(() => expect(sockets.size).toBe(0));
  });

  it("happens with the reason of the signal, and leaves no socket", async () => {
    const controller = new AbortController();
    const reason = new Error("changed my mind");
    const { port, sockets } = await startRawServer((socket) => {
      socket.on("end", () => socket.end());
      controller.abort(reason);
    });
    await expect(connect(`ws://127.0.0.1:${port}/`, { signal: controller.signal })).rejects.toBe(reason);
    await vi.waitFor(() => expect(sockets.size).toBe(0));
  });

  it("happens before it begins when the signal is aborted already", async () => {
    const { port, sockets } = await startRawServer(() => {});
    const rejected = connect(`ws://127.0.0.1:${port}/`, { signal: AbortSignal.abort() });
    await expect(rejected).rejects.toMatchObject({ name: "AbortError" });
    expect(sockets.size).toBe(0);
  });

  it("doesn't affect a WebSocket that is open", async () => {
    const controller = new AbortController();
    const { port, nextSocket } = await startSocketServer();
    const socket = await connect(`ws://127.0.0.1:${port}/`, { signal: controller.signal });
    controller.abort();
    void echo(await nextSocket());
    await socket.send("still here");
    expect(await nextText(socket)).toBe("still here");
    socket.close();
  });
});

describe("options", () => {
  it.each<[string, ConnectOptions, RegExp]>([
    ["maxPayloadBytes", { maxPayloadBytes: 0 }, /maxPayloadBytes takes an integer from 1 to/],
    ["maxFragments", { maxFragments: 1.5 }, /maxFragments takes an integer/],
    ["handshakeTimeoutMs", { handshakeTimeoutMs: -1 }, /handshakeTimeoutMs takes an integer/],
    ["maxRedirects", { maxRedirects: 101 }, /maxRedirects takes an integer from 0 to 100, got 101/],
    ["protocols", { protocols: ["a b"] }, /protocols takes an array of/],
    ["protocols", { protocols: ["a", "a"] }, /protocols takes an array of different/],
    ["headers", { headers: { "sec-websocket-key": "x" } }, /sec-websocket-key is the handshake's own/],
    ["headers", { headers: new Headers({ a: "b" }) } as never, /headers takes an object of strings, got Headers/],
    ["signal", { signal: {} as AbortSignal }, /signal takes an AbortSignal/],
    ["timeout", { timeout: 1 } as ConnectOptions, /unknown option "timeout"; the options are/],
  ])("with a wrong %s reject and say what it takes", async (_, options, message) => {
    await expect(connect("ws://127.0.0.1:1/", options)).rejects.toThrow(message);
  });

  it.each(["ftp://127.0.0.1/", "not a URL", "ws://127.0.0.1/#fragment", "/path", "ws://%zz@127.0.0.1/"])(
    "refuse the URL %s",
    async (url) => {
      await expect(connect(url)).rejects.toMatchObject({ kind: "configuration", code: "ERR_URL" });
    },
  );

  it.each([undefined, 3, new Request("http://localhost")])("say what they got in place of a URL: %s", async (url) => {
    await expect(connect(url as never)).rejects.toThrow(/without a fragment; got (undefined|3|Request)$/);
  });

  it.each(["socks5://127.0.0.1:1080", "nonsense"])("refuse the proxy %s", async (proxy) => {
    await expect(connect("ws://127.0.0.1:1/", { proxy })).rejects.toMatchObject({ code: "ERR_PROXY" });
  });
});
