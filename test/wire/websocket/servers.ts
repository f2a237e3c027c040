/** Servers and pairs of WebSockets for the tests of this folder. */
import { once } from "node:events";
import { createServer as createHttpServer, type IncomingMessage, type Server } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import { type AddressInfo, createServer as createTcpServer, type Socket } from "node:net";
import { onTestFinished } from "vitest";
import { type ConnectOptions, connect, serveUpgrades, upgradeConnection } from "../../../src/wire/websocket/index.ts";
import type { UpgradeConnectionOptions } from "../../../src/wire/websocket/upgrade-connection.ts";
import type { WebSocket } from "../../../src/wire/websocket/websocket.ts";

/** A server that counts its open sockets. */
export interface CountedServer {
  readonly port: number;
  readonly sockets: ReadonlySet<Socket>;
}

export interface SocketServer extends CountedServer {
  /** The WebSockets that were opened, in order. */
  nextSocket(): Promise<WebSocket>;
  readonly requests: IncomingMessage[];
}

export interface Certificate {
  readonly key: string;
  readonly cert: string;
}

export interface SocketServerOptions extends UpgradeConnectionOptions {
  readonly tls?: Certificate;
}

/** Listens on 127.0.0.1 until the test is finished. */
export async function listen(server: Server | ReturnType<typeof createTcpServer>): Promise<CountedServer> {
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("error", () => {}).on("close", () => sockets.delete(socket));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return { port: (server.address() as AddressInfo).port, sockets };
}

/** A server of our WebSockets. */
export async function startSocketServer({ tls, ...options }: SocketServerOptions = {}): Promise<SocketServer> {
  const requests: IncomingMessage[] = [];
  const opened: Promise<WebSocket>[] = [];
  let wake = Promise.withResolvers<void>();
  const server = tls === undefined ? createHttpServer() : createHttpsServer(tls);
  server.on("tlsClientError", () => {});
  serveUpgrades(server, (request) => {
    requests.push(request);
    const { response, websocket } = upgradeConnection(request, options);
    opened.push(websocket);
    wake.resolve();
    wake = Promise.withResolvers();
    return response;
  });
  const nextSocket = async (): Promise<WebSocket> => {
    while (opened.length === 0) await wake.promise;
    return opened.shift() as Promise<WebSocket>;
  };
  return { ...(await listen(server)), nextSocket, requests };
}

/** A TCP server, for tests of what no well-behaved server does. */
export function startRawServer(serve: (socket: Socket, request: string) => void): Promise<CountedServer> {
  return listen(
    createTcpServer({ allowHalfOpen: true }, (socket) => {
      let request = "";
      const read = (chunk: Buffer): void => {
        request += chunk.toString("latin1");
        if (!request.includes("\r\n\r\n")) return;
        socket.off("data", read).off("end", end).resume();
        serve(socket, request);
      };
      // A client that gives up before its request has come.
      const end = (): void => void socket.end();
      socket.on("data", read).on("end", end);
    }),
  );
}

/** Both ends of one WebSocket. */
export async function openPair(
  serverOptions: SocketServerOptions = {},
  clientOptions: ConnectOptions = {},
): Promise<{ readonly client: WebSocket; readonly server: WebSocket; readonly sockets: ReadonlySet<Socket> }> {
  const { port, nextSocket, sockets } = await startSocketServer(serverOptions);
  const client = await connect(`ws://127.0.0.1:${port}/`, { proxy: false, ...clientOptions });
  onTestFinished(() => client.destroy());
  return { client, server: await nextSocket(), sockets };
}

/** Echoes every message until the peer has closed. */
export async function echo(socket: WebSocket): Promise<void> {
  for await (const message of socket) await socket.send(message);
}

/** The next message as text. Fails if there is none. */
export async function nextText(socket: WebSocket): Promise<string> {
  const { done, value } = await socket.next();
  if (done) throw new Error("the connection ended first");
  return value.text;
}
