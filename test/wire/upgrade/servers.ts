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

/** Accepts all, echoes, and keeps the requests. */
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

/** A server of bytes: what it does with each connection once the request is there. */
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
    // A client that is refused closes; a peer that is done with it does so too.
    socket.write(bytes, "latin1");
    socket.on("end", () => socket.end()).resume();
  });

export async function talk({ upgraded }: AnsweredUpgrade, message: string): Promise<string> {
  const stream = await upgraded;
  stream.end(message);
  return text(stream);
}
