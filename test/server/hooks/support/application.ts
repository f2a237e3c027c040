/** An application behind HTTP, with the config and the client that ask it. */
import { createServer, type IncomingHttpHeaders, type RequestListener, type ServerResponse } from "node:http";
import { type AddressInfo, createServer as createTcpServer, type Socket } from "node:net";
import { onTestFinished } from "vitest";
import type { ClientFacts } from "../../../../src/server/client/backend.ts";
import type { EndpointConfig } from "../../../../src/server/config/config.ts";
import type { HooksLog } from "../../../../src/server/hooks/endpoint-log.ts";
import { type HttpBackend, type HttpBackendConfig, httpBackend } from "../../../../src/server/hooks/http-backend.ts";
import { freePort } from "../../../support/free-port.ts";

export interface Received {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

export interface Application {
  readonly url: string;
  readonly received: Received[];
  /** Number of connections that were ever made to it. */
  readonly connections: () => number;
}

/** Starts an application. `answer` writes the answer to each request, whose body it gets. */
export async function startApplication(
  answer: (response: ServerResponse, received: Received) => void,
): Promise<Application> {
  const received: Received[] = [];
  let connections = 0;
  const listener: RequestListener = (request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const one = { path: request.url ?? "", headers: request.headers, text: Buffer.concat(chunks).toString() };
      received.push(one);
      answer(response, one);
    });
  };
  const server = createServer(listener).listen(0, "127.0.0.1");
  server.on("connection", () => connections++);
  await new Promise((resolve) => server.once("listening", resolve));
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}/ask`, received, connections: () => connections };
}

/** Starts an application that answers each request with this text. */
export const answering = (text: string): Promise<Application> =>
  startApplication((response) => response.setHeader("content-type", "application/json").end(text));

/** Starts a TCP server. `connected` gets each connection. Returns its URL. */
export async function startTcp(connected: (socket: Socket) => void): Promise<string> {
  const sockets = new Set<Socket>();
  const server = createTcpServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    connected(socket);
  }).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  onTestFinished(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/ask`;
}

/** A URL at which nobody listens. */
export async function deadUrl(): Promise<string> {
  return `http://127.0.0.1:${await freePort()}/ask`;
}

/** Long enough for a busy machine: no test waits for it. */
const PATIENT_MS = 60_000;

export function endpointConfig(endpoint: string, options: Partial<EndpointConfig> = {}): EndpointConfig {
  return {
    enabled: endpoint !== "",
    endpoint,
    timeoutMs: PATIENT_MS,
    httpHeaders: [],
    emulatedHeaders: [],
    staticHttpHeaders: {},
    includeConnectionMeta: false,
    binaryEncoding: false,
    ...options,
  };
}

/** A config in which each question goes to this URL, with these options. */
export function backendConfig(url: string, options: Partial<EndpointConfig> = {}): HttpBackendConfig {
  const all = endpointConfig(url, options);
  const none = endpointConfig("");
  return {
    client: { allowAnonymousConnectWithoutToken: false, insecure: false },
    proxy: { connect: all, refresh: all, subscribe: all, publish: all, subRefresh: all, rpc: all },
    hooks: { disconnect: none, occupancy: none, cacheMiss: all, secret: "" },
  };
}

export interface Logged {
  readonly log: HooksLog;
  readonly lines: { readonly message: string; readonly facts: Readonly<Record<string, string | number>> }[];
}

export function recordingLog(): Logged {
  const lines: Logged["lines"] = [];
  const write = (message: string, facts: Readonly<Record<string, string | number>>): void => {
    lines.push({ message, facts });
  };
  return { lines, log: { warn: write, info: write } };
}

/** A backend that the test closes, and all its questions. */
export function startBackend(
  config: HttpBackendConfig,
  { log }: Pick<Logged, "log"> = recordingLog(),
): Required<Omit<HttpBackend, "disconnected">> {
  const backend = httpBackend(config, { log });
  onTestFinished(() => backend.close());
  return backend as Required<HttpBackend>;
}

export function client(facts: Partial<ClientFacts> = {}): ClientFacts {
  return {
    client: "d5c2b8ae",
    transport: "websocket",
    encoding: "json",
    user: "42",
    headers: {},
    remoteAddress: "192.0.2.1",
    emulatedHeaders: {},
    ...facts,
  };
}

export const rpc = (backend: Pick<Required<HttpBackend>, "rpc">, facts = client()) =>
  backend.rpc({ facts, method: "sum" });

export const INTERNAL_ERROR = { kind: "error", code: 100, message: "internal server error", temporary: true };
