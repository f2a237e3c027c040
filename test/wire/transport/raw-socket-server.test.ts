import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { describe, expect, it, onTestFinished } from "vitest";
import { acceptTransportsWith } from "../../../src/wire/transport/raw-socket-server.ts";
import type { TcpTransport } from "../../../src/wire/transport/tcp-transport.ts";
import { Recorder } from "./recorder.ts";

async function listen(): Promise<Server> {
  const server = createServer().listen(0, "127.0.0.1");
  onTestFinished(() => void server.close());
  await once(server, "listening");
  return server;
}

async function dial(server: Server): Promise<Socket> {
  const peer = connect((server.address() as AddressInfo).port, "127.0.0.1");
  onTestFinished(() => void peer.destroy());
  await once(peer, "connect");
  return peer;
}

/** Acts as a version of Node whose servers have no known handle below their sockets. */
function acceptWithSockets(server: Server, accepted: (transport: TcpTransport) => void): void {
  const owner = server as unknown as { _handle: object };
  const handle = owner._handle;
  owner._handle = {};
  acceptTransportsWith(server, accepted);
  owner._handle = handle;
}

describe.each([
  { how: "below the server's sockets", accept: acceptTransportsWith },
  { how: "by the server's sockets", accept: acceptWithSockets },
])("a server of transports, accepting $how", ({ accept }) => {
  it("makes a transport of each connection, before anything was read", async () => {
    const server = await listen();
    const transports: TcpTransport[] = [];
    const arrived = Promise.withResolvers<void>();
    accept(server, (transport) => {
      onTestFinished(() => transport.destroy());
      if (transports.push(transport) === 2) arrived.resolve();
    });
    const peers = [await dial(server), await dial(server)];
    for (const [index, peer] of peers.entries()) peer.end(`hello ${index}`);
    await arrived.promise;
    for (const [index, transport] of transports.entries()) {
      const receiver = new Recorder();
      transport.start(receiver);
      await receiver.called("ended");
      expect(receiver.bytes.toString()).toBe(`hello ${index}`);
    }
  });
});

it("reports connections that it can't accept by the server's error event", async () => {
  const server = await listen();
  acceptTransportsWith(server, () => {});
  const failed = once(server, "error");
  const { _handle: handle } = server as unknown as { _handle: { onconnection(error: number): void } };
  // Too many open files, as libuv reports them.
  handle.onconnection(-24);
  expect((await failed)[0]).toMatchObject({ code: "EMFILE", syscall: "accept" });
});
