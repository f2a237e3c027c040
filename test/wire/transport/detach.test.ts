import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { MessageChannel } from "node:worker_threads";
import { afterAll, describe, expect, it, onTestFinished } from "vitest";
import { createEstateMemory, settle as settleEstate } from "../../../src/wire/native/ring.ts";
import { handleOf, unsentBytesOf } from "../../../src/wire/node-internals/net.ts";
import { canMoveSockets } from "../../../src/wire/transport/handoff.ts";
import { nodeSockets, type TcpSockets } from "../../../src/wire/transport/tcp-sockets.ts";
import type { BareSocket, MovableTransport } from "../../../src/wire/transport/transport.ts";
import { UringSockets } from "../../../src/wire/transport/uring/uring-sockets.ts";
import { missingUring } from "../native/availability.ts";
import { collect, LOTS, written } from "./pair.ts";
import { pattern, Recorder, settle } from "./recorder.ts";

async function openPair(): Promise<{ readonly accepted: Socket; readonly peer: Socket }> {
  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const peer = connect({ port: (server.address() as AddressInfo).port, host: "127.0.0.1", allowHalfOpen: true });
  const [[accepted]] = (await Promise.all([once(server, "connection"), once(peer, "connect")])) as [[Socket], unknown];
  server.close();
  onTestFinished(() => void peer.destroy());
  peer.on("error", () => {});
  return { accepted, peer };
}

/** The sockets of two threads, which are one thread here, in turn. */
interface Threads {
  readonly sockets: readonly [TcpSockets, TcpSockets];
  readonly estates: readonly [SharedArrayBuffer | undefined, SharedArrayBuffer | undefined];
}

interface Moving {
  readonly threads: Threads;
  transport: MovableTransport;
  /** Index of the thread where the transport is. */
  at: 0 | 1;
}

function take(threads: Threads, source: Socket, head = Buffer.alloc(0)): Moving {
  const transport = threads.sockets[0].take(source, head, false) as unknown as MovableTransport;
  onTestFinished(() => transport.destroy());
  return { threads, transport, at: 0 };
}

/** Posts the socket of a transport through a channel, and makes a transport of what arrives. */
async function move(moving: Moving, recorder: Recorder): Promise<void> {
  const { sockets, estates } = moving.threads;
  const detached = moving.transport.detach();
  if (detached === undefined) throw new Error("can't be detached");
  const { socket, unread, unsent } = detached;
  const { port1, port2 } = new MessageChannel();
  const arrived = once(port2, "message");
  const from = moving.at;
  moving.at = from === 0 ? 1 : 0;
  expect(sockets[from].post({ port: port1, uringEstate: estates[moving.at] }, { socket }, [])).toBe(true);
  const [{ socket: moved }] = (await arrived) as [{ socket: BareSocket }];
  port1.close();
  const next = sockets[moving.at].adopt(moved, unread);
  onTestFinished(() => next.destroy());
  for (const bytes of unsent) next.write(bytes);
  moving.transport = next;
  next.start(recorder);
}

function itDetaches(threads: Threads): void {
  it("loses no byte in either direction, with a write cut in the middle, over many moves", async () => {
    const { accepted, peer } = await openPair();
    const upstream = pattern(3_000_000);
    const downstream = pattern(24_000_000);
    const recorder = new Recorder();
    const moving = take(threads, accepted, Buffer.from(upstream.subarray(0, 10)));
    moving.transport.start(recorder);
    let got: Promise<Buffer> | undefined;
    let cut = 0;
    for (let i = 0; i < 12; i++) {
      void written(peer, upstream.subarray(10 + i * 200_000, 10 + (i + 1) * 200_000));
      moving.transport.write(downstream.subarray(i * 2_000_000, (i + 1) * 2_000_000));
      if (moving.transport.bufferedBytes > 0) cut++;
      await move(moving, recorder);
      // The peer reads nothing at first.
      if (i === 6) got = collect(peer);
    }
    await written(peer, upstream.subarray(10 + 12 * 200_000));
    await recorder.until(() => recorder.byteLength === upstream.length);
    moving.transport.end();
    expect((await got)?.equals(downstream)).toBe(true);
    expect(recorder.bytes.equals(upstream)).toBe(true);
    expect(cut).toBeGreaterThan(0);
    expect(recorder.count("closed")).toBe(0);
  });

  it("moves while its peer sends all the time, and it answers", async () => {
    const { accepted, peer } = await openPair();
    const moving = take(threads, accepted);
    const recorder = new Recorder((call) => {
      if (call === "received") moving.transport.write(Buffer.from("answer"));
    });
    moving.transport.start(recorder);
    const upstream = pattern(2_000_000);
    const sent = written(peer, upstream);
    const answers = collect(peer);
    for (let i = 0; i < 40; i++) {
      await move(moving, recorder);
      if (i % 4 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    await sent;
    await recorder.until(() => recorder.byteLength === upstream.length);
    moving.transport.end();
    expect(String(await answers)).toBe("answer".repeat(recorder.count("received")));
    expect(recorder.bytes.equals(upstream)).toBe(true);
  });

  it("lets the next owner hear of an end that the peer sent before", async () => {
    const { accepted, peer } = await openPair();
    const moving = take(threads, accepted);
    moving.transport.start(new Recorder());
    moving.transport.pause();
    peer.end("last");
    const recorder = new Recorder();
    await move(moving, recorder);
    await recorder.called("ended");
    expect(recorder.bytes.toString()).toBe("last");
  });

  it("detaches no socket that is closed or ending, and leaves it as it is", async () => {
    const { accepted, peer } = await openPair();
    const { transport } = take(threads, accepted);
    transport.start(new Recorder());
    transport.end();
    expect(transport.detach()).toBeUndefined();
    await collect(peer);
    transport.destroy();
    expect(transport.detach()).toBeUndefined();
  });

  it("calls its receiver no more once detached, also when the write under way is cancelled", async () => {
    const { accepted } = await openPair();
    const recorder = new Recorder();
    const { transport } = take(threads, accepted);
    transport.start(recorder);
    transport.write(Buffer.alloc(LOTS));
    const detached = transport.detach();
    expect(detached?.unsent.length).toBeGreaterThan(0);
    expect(transport.bufferedBytes).toBe(0);
    transport.destroy();
    await settle();
    expect(recorder.calls).toEqual([]);
    if (detached !== undefined) threads.sockets[0].adopt(detached.socket, detached.unread).destroy();
  });

  it("loses its peer, or tells of the end, when the peer vanishes in the very moment", async () => {
    for (let round = 0; round < 20; round++) {
      const { accepted, peer } = await openPair();
      const moving = take(threads, accepted);
      const recorder = new Recorder();
      moving.transport.start(recorder);
      peer.write("last");
      if (round % 2 === 0) await settle();
      peer.resetAndDestroy();
      if (round % 4 < 2) await settle();
      await move(moving, recorder).catch(() => {});
      await recorder.called("closed");
      expect(recorder.count("closed")).toBe(1);
    }
  });
}

describe("the handle of a socket of Node", () => {
  it("counts the bytes of a write that the system hasn't taken (`writeQueueSize`)", async () => {
    const { accepted } = await openPair();
    const handle = handleOf(accepted);
    if (handle === null) return expect.fail("no handle");
    expect(unsentBytesOf(handle)).toBe(0);
    accepted.write(Buffer.alloc(LOTS));
    const unsent = unsentBytesOf(handle);
    expect(unsent).toBeGreaterThan(0);
    expect(unsent).toBeLessThan(LOTS);
    accepted.destroy();
  });

  it("throws ERR_NODE_INTERNALS without `writeQueueSize`", () => {
    expect(() => unsentBytesOf({})).toThrow(expect.objectContaining({ code: "ERR_NODE_INTERNALS" }));
  });
});

describe.skipIf(!canMoveSockets(process.versions.node))("a TcpTransport", () => {
  itDetaches({ sockets: [nodeSockets, nodeSockets], estates: [undefined, undefined] });
});

describe.skipIf(missingUring !== undefined)("a UringTransport", () => {
  if (missingUring !== undefined) return;
  const estates = [createEstateMemory(), createEstateMemory()] as const;
  const sockets = [new UringSockets(estates[0]), new UringSockets(estates[1])] as const;
  afterAll(() => {
    for (const one of sockets) one.close();
    for (const one of estates) settleEstate(one);
  });

  itDetaches({ sockets, estates });

  it("stays when the other thread has ended", async () => {
    const { accepted, peer } = await openPair();
    const { transport } = take({ sockets, estates }, accepted);
    const detached = transport.detach();
    const ended = createEstateMemory();
    settleEstate(ended);
    const { port1 } = new MessageChannel();
    if (detached === undefined) return expect.fail("can't be detached");
    const { socket, unread } = detached;
    expect(sockets[0].post({ port: port1, uringEstate: ended }, { socket }, [])).toBe(false);
    port1.close();
    const again = sockets[0].adopt(socket, unread);
    const recorder = new Recorder();
    again.start(recorder);
    peer.end("still here");
    await recorder.called("ended");
    expect(recorder.bytes.toString()).toBe("still here");
    again.destroy();
  });

  it("closes when the thread to which it is on its way ends", async () => {
    const { accepted, peer } = await openPair();
    const { transport } = take({ sockets, estates }, accepted);
    const detached = transport.detach();
    if (detached === undefined) return expect.fail("can't be detached");
    const dying = createEstateMemory();
    const { port1 } = new MessageChannel();
    expect(sockets[0].post({ port: port1, uringEstate: dying }, { socket: detached.socket }, [])).toBe(true);
    port1.close();
    const closed = collect(peer);
    expect(settleEstate(dying)).toBe(1);
    expect(await closed).toHaveLength(0);
  });

  it("moves a listening socket with its queue", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    let accepted = 0;
    let at: 0 | 1 = 0;
    let listening = server;
    const peers: Socket[] = [];
    onTestFinished(() => {
      for (const peer of peers) peer.destroy();
    });
    for (let round = 0; round < 6; round++) {
      const open = sockets[at].accept(
        listening,
        (transport) => {
          accepted++;
          transport.start(new Recorder());
          transport.destroy();
        },
        (error) => {
          throw error;
        },
      );
      for (let i = 0; i < 5; i++) peers.push(connect(port, "127.0.0.1").on("error", () => {}));
      if (round % 2 === 0) await settle();
      at = at === 0 ? 1 : 0;
      if (round === 5) {
        await expect.poll(() => accepted).toBe(30);
        open.close();
        break;
      }
      const given = open.toServer();
      if (given === undefined) return expect.fail("closed");
      listening = given;
    }
  });
});
