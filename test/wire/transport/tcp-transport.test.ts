import { once } from "node:events";
import { type AddressInfo, connect, createServer, Socket } from "node:net";
import { describe, expect, it, onTestFinished } from "vitest";
import { takeBuffered } from "../../../src/wire/transport/taken-socket.ts";
import { TcpTransport } from "../../../src/wire/transport/tcp-transport.ts";
import { itIsATransport } from "./contract.ts";
import type { TransportPair } from "./pair.ts";
import { pattern, Recorder } from "./recorder.ts";

interface SocketPair {
  /** An accepted socket, from which nothing has been read yet. */
  readonly accepted: Socket;
  readonly peer: Socket;
}

async function openSockets(): Promise<SocketPair> {
  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const peer = connect({ port: (server.address() as AddressInfo).port, host: "127.0.0.1", allowHalfOpen: true });
  const [[accepted]] = (await Promise.all([once(server, "connection"), once(peer, "connect")])) as [[Socket], unknown];
  server.close();
  onTestFinished(() => {
    peer.destroy();
  });
  return { accepted, peer };
}

async function open(head = Buffer.alloc(0)): Promise<TransportPair & { readonly transport: TcpTransport }> {
  const { accepted, peer } = await openSockets();
  const transport = new TcpTransport(accepted, head);
  onTestFinished(() => transport.destroy());
  peer.on("error", () => {});
  return { transport, peer, vanish: () => peer.resetAndDestroy() };
}

describe("a TcpTransport", () => {
  itIsATransport(open);

  it("closes when its source has no handle any more", async () => {
    const { accepted } = await openSockets();
    accepted.destroy();
    const transport = new TcpTransport(accepted, Buffer.alloc(0));
    await new Promise<void>((closed) => {
      transport.start({ received: () => {}, drained: () => {}, ended: () => {}, closed });
    });
    expect(transport.bufferedBytes).toBe(0);
  });

  it("releases its source's hold on the connection", async () => {
    const { accepted, peer } = await openSockets();
    const transport = new TcpTransport(accepted, Buffer.alloc(0));
    onTestFinished(() => transport.destroy());
    const got = Promise.withResolvers<string>();
    transport.start({
      received: (chunk) => got.resolve(chunk.toString()),
      drained: () => {},
      ended: () => {},
      closed: () => got.reject(new Error("closed")),
    });
    accepted.destroy();
    await once(accepted, "close");
    peer.write("still here");
    expect(await got.promise).toBe("still here");
  });

  it("throws nothing for a source that was never connected", async () => {
    const transport = new TcpTransport(new Socket(), Buffer.from("head"));
    const calls: string[] = [];
    await new Promise<void>((closed) => {
      transport.start({
        received: () => calls.push("received"),
        drained: () => calls.push("drained"),
        ended: () => calls.push("ended"),
        closed,
      });
    });
    expect(calls).toEqual([]);
  });

  it("changes from one receiver to the next in the middle of a read", async () => {
    const { transport, peer } = await open();
    const second = new Recorder();
    const first = new Recorder(() => {
      transport.handOver(first.bytes.subarray(6));
      transport.start(second);
    });
    transport.start(first);
    peer.write("first,second,");
    await second.called("received");
    peer.end("third");
    await second.called("ended");
    expect(second.bytes.toString()).toBe("second,third");
    expect(first.calls).toEqual(["received"]);
  });

  it("becomes a stream with the unread bytes in front, and a transport again", async () => {
    const { transport, peer } = await open();
    const bytes = pattern(1_000_000);
    const stream = await new Promise<Socket>((resolve) => {
      const first: Recorder = new Recorder(() => resolve(transport.toStream(first.bytes)));
      transport.start(first);
      peer.write(bytes);
    });
    const half: Buffer = await new Promise((resolve) => {
      const read: Buffer[] = [];
      stream.on("data", (chunk: Buffer) => {
        read.push(chunk);
        if (Buffer.concat(read).length >= bytes.length / 2) resolve(Buffer.concat(read));
      });
      stream.resume();
    });
    stream.removeAllListeners("data").pause();
    const again = new TcpTransport(stream, Buffer.from(takeBuffered(stream, half)));
    const last = new Recorder();
    again.start(last);
    peer.end();
    await last.called("ended");
    expect(last.bytes.equals(bytes)).toBe(true);
    again.destroy();
  });
});
