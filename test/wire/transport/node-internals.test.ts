/** Canaries: each test fails when a new Node no longer has one of the private parts that `src` uses. */
import { once } from "node:events";
import { createServer as createHttpServer, request, type ServerResponse } from "node:http";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { connect as connectTls, createServer as createTlsServer, type TLSSocket } from "node:tls";
import { MessageChannel, type MessagePort } from "node:worker_threads";
import { createInflateRaw, deflateRawSync, inflateRawSync } from "node:zlib";
import { expect, it, onTestFinished } from "vitest";
import { canMoveSockets } from "../../../src/wire/transport/handoff.ts";
import {
  descriptorOf,
  handleOf,
  listeningHandleOf,
  makeTransferable,
  socketBelow,
  takeHandle,
} from "../../../src/wire/transport/node-internals.ts";
import { createCertificate } from "../../support/certificate.ts";

async function listen<Listening extends Server>(server: Listening): Promise<Listening> {
  server.listen(0, "127.0.0.1");
  onTestFinished(() => void server.close());
  await once(server, "listening");
  return server;
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

/** Returns both ends of a TCP connection: first the accepted one. */
async function socketPair(): Promise<[Socket, Socket]> {
  const server = await listen(createServer());
  const connected = once(server, "connection");
  const peer = connect(portOf(server), "127.0.0.1");
  const [accepted] = (await connected) as [Socket];
  onTestFinished(() => {
    accepted.destroy();
    peer.destroy();
  });
  return [accepted, peer];
}

it("finds the handle of a socket and the number of its descriptor (`_handle.fd`)", async () => {
  const [socket] = await socketPair();
  expect(handleOf(socket)?.close).toBeTypeOf("function");
  expect(handleOf(socket)?.fd).toBeGreaterThan(2);
  expect(descriptorOf(socket)).toBe(handleOf(socket)?.fd);
});

it("takes the handle out of a socket", async () => {
  const [socket] = await socketPair();
  const handle = handleOf(socket);
  expect(takeHandle(socket)).toBe(handle);
  expect(handleOf(socket)).toBeNull();
  handle?.close();
});

it("finds the handle of a listening server, which is told of connections (`onconnection`)", async () => {
  const handle = listeningHandleOf(await listen(createServer()));
  expect(handle?.onconnection).toBeTypeOf("function");
  expect(handle?.setNoDelay).toBeTypeOf("function");
});

it("writes and ends below the queue of a stream (`_write`, `_final`)", async () => {
  const [socket, peer] = await socketPair();
  const written = Promise.withResolvers<unknown>();
  const ended = once(peer, "end");
  let received = "";
  peer.setEncoding("utf8").on("data", (text: string) => {
    received += text;
  });
  socket._write(Buffer.from("hello"), "buffer" as BufferEncoding, written.resolve);
  expect(await written.promise).toBeFalsy();
  expect(socket.writableLength).toBe(0);
  socket._final(() => {});
  await ended;
  expect(received).toBe("hello");
});

it.runIf(canMoveSockets(process.versions.node))(
  "moves a socket that has written once both byte counters are shadowed (`bytesRead`, `bytesWritten`)",
  async () => {
    const [socket] = await socketPair();
    await new Promise<void>((resolve) => void socket.write("hello", () => resolve()));
    const { port1, port2 } = new MessageChannel();
    onTestFinished(() => port1.close());
    const move = (): void => port1.postMessage(socket, [socket as unknown as MessagePort]);
    expect(move).toThrow();
    makeTransferable(socket);
    const moved = once(port2, "message");
    move();
    const [arrived] = (await moved) as [Socket];
    expect(descriptorOf(arrived)).toBeGreaterThan(2);
    arrived.destroy();
  },
);

it("finds the accepted socket below a TLS socket (`_parent`)", async () => {
  const server = await listen(createTlsServer(createCertificate()));
  const accepted = once(server, "connection");
  const secured = once(server, "secureConnection");
  const peer = connectTls({ port: portOf(server), host: "127.0.0.1", rejectUnauthorized: false });
  const [socket] = (await secured) as [TLSSocket];
  onTestFinished(() => {
    socket.destroy();
    peer.destroy();
  });
  expect(socketBelow(socket)).toBe((await accepted)[0]);
});

it("finds the response that a socket of an HTTP server is sending (`_httpMessage`)", async () => {
  const server = await listen(createHttpServer());
  const asked = once(server, "request");
  const client = request({ port: portOf(server), host: "127.0.0.1" }).end();
  const answered = once(client, "response");
  const [, response] = (await asked) as [unknown, ServerResponse];
  expect((response.socket as unknown as { _httpMessage: unknown })._httpMessage).toBe(response);
  response.end();
  const [answer] = await answered;
  answer.resume();
});

it("finds whether an HTTP server lets a request upgrade (`shouldUpgradeCallback`)", () => {
  expect(createHttpServer()).toHaveProperty("shouldUpgradeCallback", expect.any(Function));
});

it("finds the engine of a one-shot inflation (`info`)", () => {
  const bytes = deflateRawSync("hello");
  const inflated: unknown = inflateRawSync(bytes, { info: true });
  expect(inflated).toMatchObject({ buffer: Buffer.from("hello"), engine: { bytesWritten: bytes.length } });
});

it("finds what an inflating stream is built on (`_handle`, `_processChunk` and others)", () => {
  const engine = createInflateRaw();
  onTestFinished(() => engine.close());
  expect(engine).toMatchObject({
    _handle: { close: expect.any(Function) },
    _outBuffer: expect.any(Buffer),
    _chunkSize: expect.any(Number),
    _maxOutputLength: expect.any(Number),
    _processChunk: expect.any(Function),
  });
});
