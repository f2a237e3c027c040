/** Pairs of connected streams of every kind: TCP, Unix, TLS, memory, HTTP/2. Used by tests of transports. */
import { once } from "node:events";
import { connect as connectHttp2, createServer as createHttp2Server, type ServerHttp2Stream } from "node:http2";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Duplex } from "node:stream";
import { TLSSocket, connect as tlsConnect } from "node:tls";
import { onTestFinished } from "vitest";
import { selfSigned } from "./certificate.ts";

/** An accepted byte stream, and its peer's end. Both ends allow half-open. */
export interface StreamPair {
  readonly accepted: Duplex;
  readonly peer: Duplex;
  readonly vanish: () => void;
}

let serial = 0;

/** An unused path for a Unix socket. */
export function unixPath(): string {
  return join(tmpdir(), `switchboard-${process.pid}-${serial++}.sock`);
}

async function paired(server: Server, dial: () => Socket): Promise<{ accepted: Socket; peer: Socket }> {
  await once(server, "listening");
  const peer = dial();
  const [[accepted]] = (await Promise.all([once(server, "connection"), once(peer, "connect")])) as [[Socket], unknown];
  server.close();
  return { accepted, peer };
}

function cleanUp(pair: StreamPair): StreamPair {
  pair.peer.on("error", () => {});
  onTestFinished(() => {
    pair.peer.destroy();
    pair.accepted.on("error", () => {}).destroy();
  });
  return pair;
}

async function openTcp(): Promise<{ accepted: Socket; peer: Socket }> {
  const server = createServer({ allowHalfOpen: true }).listen(0, "127.0.0.1");
  return paired(server, () => {
    const { port } = server.address() as AddressInfo;
    return connect({ port, host: "127.0.0.1", allowHalfOpen: true });
  });
}

export async function openTcpSockets(): Promise<StreamPair> {
  const { accepted, peer } = await openTcp();
  return cleanUp({ accepted, peer, vanish: () => peer.resetAndDestroy() });
}

export async function openUnixSockets(): Promise<StreamPair> {
  const path = unixPath();
  const server = createServer({ allowHalfOpen: true }).listen(path);
  const { accepted, peer } = await paired(server, () => connect({ path, allowHalfOpen: true }));
  // A Unix socket can't be reset: the error is the only sign of one.
  return cleanUp({ accepted, peer, vanish: () => accepted.destroy(new Error("the peer vanished")) });
}

export async function openTlsSockets(): Promise<StreamPair> {
  const tcp = await openTcp();
  const { key, cert } = selfSigned();
  // Node has this option, and its types leave it out.
  const halfOpen = { allowHalfOpen: true };
  const accepted = new TLSSocket(tcp.accepted, { isServer: true, key, cert, ...halfOpen });
  const peer = tlsConnect({ socket: tcp.peer, ca: cert, ...halfOpen });
  await Promise.all([once(accepted, "secure"), once(peer, "secureConnect")]);
  // Before the session tickets have arrived, Node takes a reset for an end.
  if (peer.getTLSTicket() === undefined) await once(peer, "session");
  return cleanUp({ accepted, peer, vanish: () => tcp.peer.resetAndDestroy() });
}

/** One of two ends in memory. Like a socket, it passes on few bytes at a time. */
class MemoryEnd extends Duplex {
  other: MemoryEnd | undefined;
  #more: () => void = () => {};

  override _read(): void {
    const more = this.#more;
    this.#more = () => {};
    more();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.other?.accept(chunk, () => setImmediate(done));
  }

  override _final(done: () => void): void {
    this.other?.push(null);
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.other?.destroy();
    done(error);
  }

  accept(chunk: Buffer, done: () => void): void {
    const piece = chunk.subarray(0, 65_536);
    const rest = chunk.subarray(piece.length);
    const next = rest.length === 0 ? done : () => this.accept(rest, done);
    if (this.push(Buffer.from(piece))) setImmediate(next);
    else this.#more = next;
  }
}

/** Two connected ends in memory. Destroying one gives the other an error. */
export async function openMemoryStreams(): Promise<StreamPair> {
  const accepted = new MemoryEnd({ allowHalfOpen: true });
  const peer = new MemoryEnd({ allowHalfOpen: true });
  accepted.other = peer;
  peer.other = accepted;
  return cleanUp({ accepted, peer, vanish: () => accepted.destroy(new Error("the peer vanished")) });
}

/** The two ends of one HTTP/2 stream. */
export async function openHttp2Streams(): Promise<StreamPair> {
  const server = createHttp2Server({ settings: { enableConnectProtocol: true } }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const session = connectHttp2(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  session.on("error", () => {});
  await once(session, "remoteSettings");
  const peer = session.request({ ":method": "CONNECT", ":protocol": "websocket", ":path": "/" }, { endStream: false });
  const [accepted] = (await once(server, "stream")) as [ServerHttp2Stream];
  server.close();
  onTestFinished(() => session.destroy());
  accepted.respond({ ":status": 200 });
  await once(peer, "response");
  return cleanUp({ accepted, peer, vanish: () => session.destroy() });
}
