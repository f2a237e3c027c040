import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { type Duplex, duplexPair } from "node:stream";
import { describe, expect, it, onTestFinished } from "vitest";
import { DuplexTransport } from "../../../src/wire/transport/duplex-transport.ts";
import { localHandoff } from "../../../src/wire/transport/local-handoff.ts";
import { TcpTransport } from "../../../src/wire/transport/tcp-transport.ts";
import type { Transport } from "../../../src/wire/transport/transport.ts";

async function openSockets(): Promise<{ accepted: Socket; peer: Socket }> {
  const server = createServer({ allowHalfOpen: true }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const peer = connect({ port: (server.address() as AddressInfo).port, host: "127.0.0.1" });
  const [[accepted]] = (await Promise.all([once(server, "connection"), once(peer, "connect")])) as [[Socket], unknown];
  server.close();
  for (const socket of [accepted, peer]) socket.on("error", () => {});
  onTestFinished(() => {
    peer.destroy();
    accepted.destroy();
  });
  return { accepted, peer };
}

/** Adopts the connection, collects bytes until the peer ends, and then ends its own direction. */
async function collect(socket: Duplex, head: Buffer): Promise<{ transport: Transport; all: Promise<string> }> {
  const all = Promise.withResolvers<string>();
  let got = "";
  let taken: Transport | undefined;
  const result = await localHandoff(socket, head, (transport) => {
    taken = transport;
    transport.start({
      received: (chunk) => {
        got += chunk.toString();
      },
      drained: () => {},
      ended: () => transport.end(),
      closed: () => all.resolve(got),
    });
  });
  expect(result).toEqual({ outcome: "adopted" });
  return { transport: taken as Transport, all: all.promise };
}

describe("a handoff within one thread", () => {
  it("delivers the head, then the bytes that Node has read since, then the stream, over the handle of a TCP socket", async () => {
    const { accepted, peer } = await openSockets();
    peer.write("read ");
    await once(accepted, "readable");
    const { transport, all } = await collect(accepted, Buffer.from("head "));
    expect(transport).toBeInstanceOf(TcpTransport);
    peer.end("rest");
    expect(await all).toBe("head read rest");
  });

  it("works over the stream if it isn't a TCP socket", async () => {
    const [accepted, peer] = duplexPair();
    peer.resume();
    const { transport, all } = await collect(accepted, Buffer.from("head "));
    expect(transport).toBeInstanceOf(DuplexTransport);
    peer.end("rest");
    expect(await all).toBe("head rest");
  });

  it("lets bytes written before leave first", async () => {
    const { accepted, peer } = await openSockets();
    accepted.write(Buffer.alloc(8_000_000, "a"));
    const answered = collect(accepted, Buffer.alloc(0));
    let got = 0;
    peer.on("data", (chunk: Buffer) => {
      got += chunk.length;
    });
    const { transport } = await answered;
    transport.end();
    peer.end();
    await once(peer, "close");
    expect(got).toBe(8_000_000);
  });

  it("reports that the peer is gone, and adopts nothing", async () => {
    const { accepted } = await openSockets();
    accepted.destroy();
    const adopt = (): never => {
      throw new Error("adopted");
    };
    expect(await localHandoff(accepted, Buffer.alloc(0), adopt)).toEqual({ outcome: "peerGone" });
  });

  it("closes the socket when it isn't adopted", async () => {
    const { accepted, peer } = await openSockets();
    const error = new Error("no room");
    const refuse = (): never => {
      throw error;
    };
    expect(await localHandoff(accepted, Buffer.alloc(0), refuse)).toEqual({ outcome: "failed", error });
    peer.resume();
    if (!peer.closed) await once(peer, "close");
  });
});
