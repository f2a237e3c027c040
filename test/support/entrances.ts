/** A board over each kind of transport, for tests that must pass over each. */
import { once } from "node:events";
import { connect as tlsConnect } from "node:tls";
import type { Switchboard } from "../../src/index.ts";
import { startBoard, type TestBoardOptions } from "./board.ts";
import { selfSigned } from "./certificate.ts";
import { RawClient, upgradeRequest } from "./raw-client.ts";

/** A board, and a way to connect to it. */
export interface Entrance {
  readonly board: Switchboard;
  readonly open: (headers?: Readonly<Record<string, string>>) => Promise<RawClient>;
}

async function upgraded(client: RawClient, headers: Readonly<Record<string, string>>): Promise<RawClient> {
  client.write(upgradeRequest({ headers }));
  const { status } = await client.response();
  if (status !== 101) throw new Error(`expected 101, got ${status}`);
  return client;
}

async function startTcp(options: TestBoardOptions): Promise<Entrance> {
  const { board, port } = await startBoard(options);
  return { board, open: async (headers = {}) => upgraded(await RawClient.connect(port), headers) };
}

async function startTls({ attach, ...options }: TestBoardOptions): Promise<Entrance> {
  const { key, cert } = selfSigned();
  const { board, port } = await startBoard({ ...options, attach: { ...attach, tls: { key, cert } } });
  const open = async (headers: Readonly<Record<string, string>> = {}): Promise<RawClient> => {
    const socket = tlsConnect({ port, host: "127.0.0.1", ca: cert, servername: "localhost" });
    await once(socket, "secureConnect");
    return upgraded(new RawClient(socket), headers);
  };
  return { board, open };
}

/** The three kinds of transport of a connection. */
export const entrances: readonly {
  readonly name: string;
  readonly start: (options: TestBoardOptions) => Promise<Entrance>;
}[] = [
  { name: "TCP", start: startTcp },
  { name: "TLS in the shard", start: startTls },
  { name: "the relay", start: (options) => startTcp({ ...options, sockets: "relay" }) },
];
