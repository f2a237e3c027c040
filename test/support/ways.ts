/** A board in each way to accept connections, for tests that must pass in each. */
import { once } from "node:events";
import { createServer } from "node:http";
import { createServer as createHttp2Server } from "node:http2";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo, Server } from "node:net";
import { connect as tlsConnect } from "node:tls";
import { onTestFinished } from "vitest";
import { type AttachOptions, type ListenOptions, type StartOptions, Switchboard } from "../../src/index.ts";
import { actorUrl, startBoard } from "./board.ts";
import { selfSigned } from "./certificate.ts";
import { listen as listenHttp2 } from "./http2-board.ts";
import { ask as askHttp2, Http2Client, openSession } from "./http2-client.ts";
import { RawClient, upgradeRequest } from "./raw-client.ts";

export interface WayOptions extends Omit<StartOptions, "actor"> {
  readonly actor?: string;
  readonly attach?: AttachOptions;
}

/** The answer to a handshake. */
export interface Answered {
  readonly status: number;
  /** All values of a header, one for each line. */
  readonly values: (name: string) => string[];
  readonly write: (bytes: Uint8Array) => void;
  /** The next frame as text. */
  readonly text: () => Promise<string>;
}

/** Does one handshake. A header with the value undefined isn't sent. */
export type Ask = (path: string, headers?: Readonly<Record<string, string | undefined>>) => Promise<Answered>;

/** One way of accepting connections. */
export interface Way {
  readonly name: string;
  /** The thread that does the handshake. */
  readonly thread: "main" | "shard";
  /** Status of an accepted handshake. */
  readonly accepted: 101 | 200;
  readonly start: (options: WayOptions) => Promise<{ readonly board: Switchboard; readonly ask: Ask }>;
}

async function answered(client: RawClient, path: string, headers: Parameters<Ask>[1] = {}): Promise<Answered> {
  client.write(upgradeRequest({ path, headers }));
  const [statusLine = "", ...lines] = await client.head();
  const values = (name: string): string[] =>
    lines.filter((line) => line.toLowerCase().startsWith(`${name}: `)).map((line) => line.slice(name.length + 2));
  return {
    status: Number(statusLine.split(" ")[1]),
    values,
    write: (bytes) => client.write(bytes),
    text: () => client.text(),
  };
}

const askTcp =
  (port: number): Ask =>
  async (path, headers) =>
    answered(await RawClient.connect(port), path, headers);

const askTls =
  (port: number): Ask =>
  async (path, headers) => {
    const socket = tlsConnect({ port, host: "127.0.0.1", ca: selfSigned().cert, servername: "localhost" });
    await once(socket, "secureConnect");
    return answered(new RawClient(socket), path, headers);
  };

async function startOwnPort({ attach = {}, ...options }: WayOptions, listen: Partial<ListenOptions>) {
  return startBoard({ ...options, attach: { ...attach, ...listen } });
}

async function startAlone({ actor = "echo", attach: _, ...options }: WayOptions): Promise<Switchboard> {
  const board = await Switchboard.start({
    actor: actorUrl(actor),
    shards: 1,
    maxEventLoopDelayMs: 60_000,
    warmUp: false,
    ...options,
  });
  onTestFinished(async () => void (await board.close({ timeoutMs: 0 })));
  return board;
}

async function portOf(server: Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  return (server.address() as AddressInfo).port;
}

/** All ways in which a board accepts connections. */
export const ways: readonly Way[] = [
  {
    ...{ name: "a port, handshakes in the main thread", thread: "main", accepted: 101 },
    start: async (options) => {
      const { board, port } = await startOwnPort(options, { handshake: "main" });
      return { board, ask: askTcp(port) };
    },
  },
  {
    ...{ name: "a port, handshakes in the shards", thread: "shard", accepted: 101 },
    start: async (options) => {
      const { board, port } = await startOwnPort(options, { handshake: "shard" });
      return { board, ask: askTcp(port) };
    },
  },
  {
    ...{ name: "a port on which the shards accept", thread: "shard", accepted: 101 },
    start: async (options) => {
      const { board, port } = await startOwnPort(options, { accept: "shard" });
      return { board, ask: askTcp(port) };
    },
  },
  {
    ...{ name: "TLS in the shards", thread: "shard", accepted: 101 },
    start: async (options) => {
      const { board, port } = await startOwnPort(options, { tls: selfSigned() });
      return { board, ask: askTls(port) };
    },
  },
  {
    ...{ name: "sockets that are relayed", thread: "main", accepted: 101 },
    start: async (options) => {
      const { board, port } = await startOwnPort({ ...options, sockets: "relay" }, { handshake: "main" });
      return { board, ask: askTcp(port) };
    },
  },
  {
    ...{ name: "an attached http server", thread: "main", accepted: 101 },
    start: async (options) => {
      const board = await startAlone(options);
      const server = createServer();
      board.attach(server, options.attach);
      return { board, ask: askTcp(await portOf(server)) };
    },
  },
  {
    ...{ name: "an attached https server", thread: "main", accepted: 101 },
    start: async (options) => {
      const board = await startAlone(options);
      const server = createTlsServer(selfSigned());
      board.attach(server, options.attach);
      return { board, ask: askTls(await portOf(server)) };
    },
  },
  {
    ...{ name: "handleUpgrade", thread: "main", accepted: 101 },
    start: async (options) => {
      const { attach = {} } = options;
      const board = await startAlone(options);
      const server = createServer();
      server.on("upgrade", (request, socket, head) => board.handleUpgrade(request, socket, head, attach));
      return { board, ask: askTcp(await portOf(server)) };
    },
  },
  {
    ...{ name: "an attached http2 server", thread: "main", accepted: 200 },
    start: async (options) => {
      const board = await startAlone(options);
      const server = createHttp2Server();
      board.attach(server, options.attach);
      const session = await openSession(`http://127.0.0.1:${await listenHttp2(server)}`);
      const ask: Ask = async (path, headers = {}) => {
        const stream = askHttp2(session, { ":path": path, ...headers });
        const [answer] = await once(stream, "response");
        const client = new Http2Client(stream, answer);
        return {
          status: answer[":status"],
          values: (name) => [answer[name] ?? []].flat(),
          write: (bytes) => client.write(bytes),
          text: () => client.text(),
        };
      };
      return { board, ask };
    },
  },
];
