/**
 * Canaries: each fails when a new Node no longer has one of the private parts of `node:net` and `node:tls` that `src`
 * uses. The tests behind them show what happens then.
 */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, Socket } from "node:net";
import { connect as connectTls, createServer as createTlsServer, type TLSSocket } from "node:tls";
import { MessageChannel } from "node:worker_threads";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { duplicate, whyNoPassing } from "../../../src/wire/native/pass-descriptors.ts";
import {
  checkHandle,
  classOf,
  descriptorOf,
  endBelowQueue,
  handleKinds,
  handleOf,
  listeningHandleOf,
  makeTransferable,
  optionsOver,
  ownerOf,
  setAcceptOptions,
  socketBelow,
  type TcpHandle,
  takeHandle,
  transferable,
  writeBelowQueue,
} from "../../../src/wire/node-internals/net.ts";
import { descriptorRoom } from "../../../src/wire/transport/descriptors.ts";
import { canMoveSockets, HandoffSender, receiveHandoffs } from "../../../src/wire/transport/handoff.ts";
import { createHandoffChannel } from "../../../src/wire/transport/pending-handoffs.ts";
import { TcpTransport } from "../../../src/wire/transport/tcp-transport.ts";
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
  return acceptedBy(await listen(createServer()));
}

/** Returns both ends of a connection to a server: first the accepted one. */
async function acceptedBy(server: Server): Promise<[Socket, Socket]> {
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

it.skipIf(whyNoPassing() !== undefined)(
  "creates a handle, which takes a descriptor over or refuses it (class, `open`)",
  async () => {
    const [{ fd }, other] = (await socketPair()).map((socket) => handleOf(socket)) as [TcpHandle, TcpHandle];
    const handle = new (classOf(other))(handleKinds.socket);
    onTestFinished(() => handle.close());
    expect(handle.fd).toBe(-1);
    expect(handle.open(-1)).toBeLessThan(0);
    const copy = duplicate(fd ?? -1);
    expect(handle.open(copy)).toBe(0);
    expect(handle.fd).toBe(copy);
    expect(handle.open(copy + 1)).toBeLessThan(0);
  },
);

it("throws ERR_NODE_INTERNALS when a handle has no `open`", () => {
  expect(() => classOf({ fd: 1, close: () => {} })).toThrow(expect.objectContaining({ code: "ERR_NODE_INTERNALS" }));
});

it("creates a socket over a handle, which doesn't read by itself (`handle`, `manualStart`)", async () => {
  const [source, peer] = await acceptedBy(await listen(createServer({ pauseOnConnect: true })));
  const [other, otherPeer] = await socketPair();
  const handle = takeHandle(source);
  const socket = new Socket(optionsOver(handle, { allowHalfOpen: true }));
  onTestFinished(() => void socket.destroy());
  expect(handleOf(socket)).toBe(handle);
  expect(() => checkHandle(socket, handle)).not.toThrow();
  expect(socket.allowHalfOpen).toBe(true);
  await new Promise<void>((resolve) => void peer.write("hello", () => resolve()));
  // The first bytes would otherwise have been read in the same turn.
  otherPeer.write("later");
  await once(other, "data");
  await new Promise(setImmediate);
  expect(socket.bytesRead).toBe(0);
  const [chunk] = (await once(socket, "data")) as [Buffer];
  expect(chunk.toString()).toBe("hello");
});

it("changes the options of a server that listens (`allowHalfOpen`, `pauseOnConnect`, `noDelay`)", async () => {
  const [{ constructor: handleClass }] = (await socketPair()).map((socket) => handleOf(socket) ?? {}) as [
    object,
    object,
  ];
  const setNoDelay = vi.spyOn(handleClass.prototype, "setNoDelay");
  onTestFinished(() => setNoDelay.mockRestore());
  const server = await listen(createServer());
  setAcceptOptions(server, { allowHalfOpen: true, pauseOnConnect: true, noDelay: true });
  const [socket] = await acceptedBy(server);
  expect(socket.allowHalfOpen).toBe(true);
  expect(socket.isPaused()).toBe(true);
  expect(setNoDelay.mock.contexts).toContain(handleOf(socket));
});

it("finds the handle of a listening server, which receives connections (`onconnection`)", async () => {
  const handle = listeningHandleOf(await listen(createServer()));
  expect(handle?.onconnection).toBeTypeOf("function");
  expect(handle?.setNoDelay).toBeTypeOf("function");
});

it("calls a replaced `onconnection` for each connection, with the handle of a socket", async () => {
  const server = await listen(createServer());
  const handle = listeningHandleOf(server);
  if (handle === undefined) throw new Error("a listening server has no handle");
  const accepted = new Promise<[number, unknown]>((resolve) => {
    handle.onconnection = (error, client) => resolve([error, client]);
  });
  const peer = connect(portOf(server), "127.0.0.1");
  const [error, client] = await accepted;
  expect(error).toBe(0);
  const transport = new TcpTransport(ownerOf(client as object), Buffer.alloc(0));
  const received = once(peer, "data");
  transport.write(Buffer.from("hello"));
  expect(String(await received)).toBe("hello");
  const closed = once(peer, "close");
  transport.destroy();
  await closed;
});

it("writes and ends below the queue of a stream (`_write`, `_final`)", async () => {
  const [socket, peer] = await socketPair();
  const written = Promise.withResolvers<unknown>();
  const ended = once(peer, "end");
  let received = "";
  peer.setEncoding("utf8").on("data", (text: string) => {
    received += text;
  });
  writeBelowQueue(socket, Buffer.from("hello"), written.resolve);
  expect(await written.promise).toBeFalsy();
  expect(socket.writableLength).toBe(0);
  endBelowQueue(socket, () => {});
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
    const move = (): void => port1.postMessage(socket, [transferable(socket)]);
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

describe("without `_handle`", () => {
  const missing = expect.objectContaining({ code: "ERR_NODE_INTERNALS" });

  /** Returns a socket like those of a Node that keeps its handles elsewhere. */
  async function withoutHandle(): Promise<Socket> {
    const [socket] = await socketPair();
    hideHandle(socket);
    return socket;
  }

  function hideHandle(socket: Socket): void {
    const handle = handleOf(socket);
    onTestFinished(() => handle?.close());
    Object.defineProperty(socket, "_handle", { value: undefined });
  }

  it("no socket becomes a transport", async () => {
    const socket = await withoutHandle();
    expect(() => handleOf(socket)).toThrow(missing);
    expect(() => new TcpTransport(socket, Buffer.alloc(0))).toThrow(missing);
  });

  it("a handoff fails, and the socket is closed", async () => {
    const { sender } = createHandoffChannel();
    onTestFinished(() => sender.port.close());
    const socket = await withoutHandle();
    const result = await new HandoffSender(sender).sendRawSocket(socket, undefined);
    expect(result).toEqual({ outcome: "failed", error: missing });
    expect(socket.destroyed).toBe(true);
  });

  it("a server can't move to a shard, and is closed", async () => {
    const { sender } = createHandoffChannel();
    onTestFinished(() => sender.port.close());
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const closed = once(server, "close");
    const handle = handleOf(server);
    const send = (): void => new HandoffSender(sender).sendServer(server, undefined);
    Object.defineProperty(server, "_handle", { value: undefined, configurable: true, writable: true });
    expect(send).toThrow(missing);
    // `close` of this server finds no handle to close.
    handle?.close();
    await closed;
  });

  it.runIf(canMoveSockets(process.versions.node))("a shard refuses the sockets that move there", async () => {
    const { sender, receiver } = createHandoffChannel();
    onTestFinished(() => sender.port.close());
    const arrived = Promise.withResolvers<Socket>();
    receiver.port.on("message", ({ socket }: { readonly socket: Socket }) => {
      hideHandle(socket);
      arrived.resolve(socket);
    });
    const adopt = vi.fn();
    receiveHandoffs(receiver, adopt);
    const [socket] = await socketPair();
    const result = await new HandoffSender(sender).sendRawSocket(socket, undefined);
    expect(result).toEqual({ outcome: "failed", error: missing });
    expect((await arrived.promise).destroyed).toBe(true);
    expect(adopt).not.toHaveBeenCalled();
  });

  it("descriptors aren't counted, and every socket is accepted", () => {
    expect(descriptorOf({})).toBe(-1);
    expect(descriptorRoom(new Socket())).toBe("enough");
  });
});

it("refuses a socket that Node created without the handle that it was given", () => {
  expect(() => checkHandle(new Socket(), {})).toThrow(expect.objectContaining({ code: "ERR_NODE_INTERNALS" }));
});

it("fails the handoff of a socket whose byte counters can't be shadowed, and closes the socket", async () => {
  const { sender } = createHandoffChannel();
  onTestFinished(() => sender.port.close());
  const [socket] = await socketPair();
  Object.defineProperty(socket, "bytesWritten", { value: 5 });
  const result = await new HandoffSender(sender).send(socket, Buffer.alloc(0), undefined);
  expect(result).toEqual({ outcome: "failed", error: expect.any(TypeError) });
  expect(socket.destroyed).toBe(true);
});

it("throws when a socket has no `_write` and no `_final`", async () => {
  const [socket] = await socketPair();
  Object.assign(socket, { _write: undefined, _final: undefined });
  expect(() => writeBelowQueue(socket, Buffer.from("hello"), () => {})).toThrow(TypeError);
  expect(() => endBelowQueue(socket, () => {})).toThrow(TypeError);
});
