/** Short loads against servers of ws, for the tests of the load generator. */
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { onTestFinished } from "vitest";
import { type ServerOptions, type WebSocket, WebSocketServer } from "ws";
import type { LoadReport } from "../../src/load/report.ts";
import { type LoadEvent, runLoadTest, type SliceCommand } from "../../src/load/run.ts";
import type { LoadSettings } from "../../src/load/settings.ts";

const defaults: Omit<LoadSettings, "url"> = {
  scenario: "echo",
  connections: 4,
  threads: 1,
  inflight: 1,
  rate: undefined,
  bytes: 20,
  text: false,
  total: undefined,
  duration: 0.2,
  warmup: 0,
  compress: false,
  insecure: false,
  greeting: 0,
  publishers: 1,
  step: 2,
  headers: [],
};

export interface LoadRun extends LoadReport {
  readonly events: readonly LoadEvent[];
}

/** Runs a short load, with four connections by default. Returns the report and the events. */
export async function load(
  url: string,
  settings: Partial<LoadSettings> = {},
  tell: (event: LoadEvent, stop: AbortController) => void = () => {},
  slices?: AsyncIterable<SliceCommand>,
): Promise<LoadRun> {
  const events: LoadEvent[] = [];
  const stop = new AbortController();
  const listen = (event: LoadEvent): void => {
    if (event.event !== "progress") events.push(event);
    tell(event, stop);
  };
  const report = await runLoadTest({ ...defaults, ...settings, url }, listen, stop.signal, slices);
  return { ...report, events };
}

/** Starts a server that calls `received` for each message. `number` counts the messages of a connection from 0. */
export async function serve(
  received: (socket: WebSocket, data: Buffer, binary: boolean, number: number, server: WebSocketServer) => void,
  options: ServerOptions = {},
  connected: (socket: WebSocket) => void = () => {},
): Promise<string> {
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1", ...options });
  server.on("connection", (socket) => {
    let number = 0;
    socket.on("error", () => {});
    socket.on("message", (data, binary) => received(socket, data as Buffer, binary, number++, server));
    connected(socket);
  });
  await once(server, "listening");
  onTestFinished(() => {
    for (const socket of server.clients) socket.terminate();
    server.close();
  });
  return `ws://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

export const echo = (socket: WebSocket, data: Buffer, binary: boolean): void => socket.send(data, { binary });

/** Sends a message to all other connections, or back to the only one. */
export function forward(
  socket: WebSocket,
  data: Buffer,
  binary: boolean,
  _: number,
  { clients }: WebSocketServer,
): void {
  for (const other of clients) if (other !== socket || clients.size === 1) other.send(data, { binary });
}
