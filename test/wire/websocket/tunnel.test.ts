import { createServer } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import { connect as connectTcp, type Socket } from "node:net";
import { afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { connect, onUpgrade, serveUpgrades } from "../../../src/wire/websocket/index.ts";
import { createCertificate } from "../../support/certificate.ts";
import {
  type Certificate,
  type CountedServer,
  echo,
  listen,
  nextText,
  startRawServer,
  startSocketServer,
} from "./servers.ts";

interface Proxy extends CountedServer {
  readonly asked: { readonly authority: string; readonly credentials: string | undefined }[];
}

/** A forward proxy that opens every tunnel. */
async function startProxy(tls?: Certificate): Promise<Proxy> {
  const asked: Proxy["asked"] = [];
  const server = tls === undefined ? createServer() : createHttpsServer(tls);
  serveUpgrades(server, (request) => {
    const { hostname, port } = new URL(`http://${request.url}`);
    asked.push({ authority: String(request.url), credentials: request.headers["proxy-authorization"] });
    void onUpgrade(request).then((client) => {
      const target = connectTcp({ host: hostname, port: Number(port) });
      const close = (): void => {
        client.destroy();
        target.destroy();
      };
      client.on("error", close).on("close", close).pipe(target).on("error", close).on("close", close).pipe(client);
    });
    return { status: 200 };
  });
  return { ...(await listen(server)), asked };
}

async function exchange(
  url: string,
  nextSocket: () => Promise<Parameters<typeof echo>[0]>,
  options: Parameters<typeof connect>[1],
) {
  const socket = await connect(url, options);
  void echo(await nextSocket());
  const sent = "x".repeat(300_000);
  await socket.send(sent);
  expect(await nextText(socket)).toBe(sent);
  socket.close();
  expect(await socket.closed).toMatchObject({ code: 1000, wasClean: true });
}

afterEach(() => {
  vi.unstubAllEnvs();
});

describe("a proxy", () => {
  it("leads to a ws: server, with the proxy's credentials for it alone", async () => {
    const { port, nextSocket, sockets, requests } = await startSocketServer();
    const proxy = await startProxy();
    await exchange(`ws://127.0.0.1:${port}/`, nextSocket, { proxy: `http://me:p%40ss@127.0.0.1:${proxy.port}` });
    const credentials = `Basic ${Buffer.from("me:p@ss").toString("base64")}`;
    expect(proxy.asked).toEqual([{ authority: `127.0.0.1:${port}`, credentials }]);
    expect(requests[0]?.headers).not.toHaveProperty("proxy-authorization");
    await vi.waitFor(() => expect(sockets.size + proxy.sockets.size).toBe(0));
  });

  it("from the environment is used, except with proxy: false or if NO_PROXY lists the host", async () => {
    const { port, nextSocket } = await startSocketServer();
    const proxy = await startProxy();
    for (const name of ["NO_PROXY", "no_proxy", "HTTP_PROXY", "http_proxy"]) vi.stubEnv(name, "");
    vi.stubEnv("http_proxy", `127.0.0.1:${proxy.port}`);
    await exchange(`ws://127.0.0.1:${port}/`, nextSocket, {});
    expect(proxy.asked).toHaveLength(1);
    await exchange(`ws://127.0.0.1:${port}/`, nextSocket, { proxy: false });
    vi.stubEnv("NO_PROXY", "127.0.0.1");
    await exchange(`ws://127.0.0.1:${port}/`, nextSocket, {});
    expect(proxy.asked).toHaveLength(1);
  });

  it.each<[string, (socket: Socket) => void, string]>([
    [
      "refuses with 407",
      (socket) => socket.write("HTTP/1.1 407 P\r\nContent-Length: 5\r\n\r\nnope!"),
      "ERR_PROXY_REFUSED",
    ],
    ["refuses with 502 and closes", (socket) => socket.end("HTTP/1.1 502 B\r\n\r\n"), "ERR_PROXY_REFUSED"],
    [
      "switches protocols instead",
      (socket) => socket.write("HTTP/1.1 101 S\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
      "ERR_PROXY_REFUSED",
    ],
    ["closes without an answer", (socket) => socket.destroy(), "ECONNRESET"],
    ["closes the tunnel at once", (socket) => socket.end("HTTP/1.1 200 OK\r\n\r\n"), "ECONNRESET"],
    ["speaks first", (socket) => socket.write("HTTP/1.1 200 OK\r\n\r\nhello there\r\n\r\n"), "HPE_INVALID_CONSTANT"],
  ])("that %s makes connect reject and leaves no socket", async (_, serve, code) => {
    const { port, sockets } = await startRawServer((socket) => {
      socket.on("end", () => socket.end());
      serve(socket);
    });
    const rejected = connect("ws://127.0.0.1:1/", { proxy: `http://127.0.0.1:${port}` });
    await expect(rejected).rejects.toMatchObject({ code });
    await vi.waitFor(() => expect(sockets.size).toBe(0));
  });

  it.each(["", "HTTP/1.1 200 OK\r\n\r\n"])("that stops after %j is given up", async (answer) => {
    const { port, sockets } = await startRawServer((socket) => {
      socket.on("end", () => socket.end());
      socket.write(answer);
    });
    for (const scheme of ["ws", "wss"]) {
      const options = { proxy: `http://127.0.0.1:${port}`, handshakeTimeoutMs: 100 };
      await expect(connect(`${scheme}://127.0.0.1:1/`, options)).rejects.toMatchObject({
        code: "ERR_HANDSHAKE_TIMEOUT",
      });
    }
    await vi.waitFor(() => expect(sockets.size).toBe(0));
  });
});

describe("through TLS, a proxy", () => {
  let tls: Certificate;
  beforeAll(() => {
    tls = createCertificate();
  });

  it.each(["127.0.0.1", "localhost"])("leads to wss://%s, be it an http: or an https: one", async (host) => {
    const { port, nextSocket, sockets } = await startSocketServer({ tls });
    for (const [scheme, proxy] of [
      ["http", await startProxy()],
      ["https", await startProxy(tls)],
    ] as const) {
      const options = { proxy: `${scheme}://127.0.0.1:${proxy.port}`, tls: { ca: tls.cert } };
      await exchange(`wss://${host}:${port}/`, nextSocket, options);
      expect(proxy.asked).toMatchObject([{ authority: `${host}:${port}` }]);
      await vi.waitFor(() => expect(sockets.size + proxy.sockets.size).toBe(0));
    }
  });

  it("doesn't bypass the check of the server's certificate", async () => {
    const { port, sockets } = await startSocketServer({ tls });
    const proxy = await startProxy();
    const rejected = connect(`wss://127.0.0.1:${port}/`, { proxy: `http://127.0.0.1:${proxy.port}` });
    await expect(rejected).rejects.toMatchObject({ code: "DEPTH_ZERO_SELF_SIGNED_CERT" });
    await vi.waitFor(() => expect(sockets.size + proxy.sockets.size).toBe(0));
  });
});
