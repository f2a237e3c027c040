/** Servers for the tests of this folder: one that accepts every upgrade, one over TCP alone. */
import type { IncomingMessage, Server } from "node:http";
import { createServer as createTcpServer, type Socket } from "node:net";
import { text } from "node:stream/consumers";
import { pipeline } from "node:stream/promises";
import { onTestFinished } from "vitest";
import { onUpgrade } from "../../../src/wire/upgrade/on-upgrade.ts";
import type { AnsweredUpgrade } from "../../../src/wire/upgrade/request.ts";
import { serveUpgrades } from "../../../src/wire/upgrade/serve.ts";
import { listen, startHttp } from "./leaks.ts";

export const SWITCH = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: foobar\r\n";

/** Accepts every request, echoes, and records the requests. */
export function echo(server: Server): IncomingMessage[] {
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

export async function startEcho(): Promise<{ port: number; requests: IncomingMessage[] }> {
  const { server, port } = await startHttp();
  return { port, requests: echo(server) };
}

/** Starts a TCP server that calls `act` with each socket once its request has arrived. */
export async function startRaw(act: (socket: Socket) => void): Promise<number> {
  const server = createTcpServer((socket) => {
    onTestFinished(() => {
      socket.destroy();
    });
    socket.on("error", () => {});
    socket.once("data", () => act(socket));
  });
  return listen(server);
}

export const answering = (bytes: string): Promise<number> =>
  startRaw((socket) => {
    // A refused client closes its end; this closes the server's end, too.
    socket.write(bytes, "latin1");
    socket.on("end", () => socket.end()).resume();
  });

export async function talk({ upgraded }: AnsweredUpgrade, message: string): Promise<string> {
  const stream = await upgraded;
  stream.end(message);
  return text(stream);
}
