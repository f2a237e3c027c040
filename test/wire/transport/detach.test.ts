import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { MessageChannel } from "node:worker_threads";
import { expect, it, onTestFinished } from "vitest";
import { handleOf, ownerOf, transferable, unsentBytesOf } from "../../../src/wire/node-internals/net.ts";
import { canMoveSockets } from "../../../src/wire/transport/handoff.ts";
import { TcpTransport } from "../../../src/wire/transport/tcp-transport.ts";
import { collect, LOTS, written } from "./pair.ts";
import { pattern, Recorder } from "./recorder.ts";

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

/** Posts the socket of a transport through a channel, and makes a transport of what arrives. */
async function move(transport: TcpTransport, recorder: Recorder): Promise<TcpTransport> {
  const detached = transport.detach();
  if (detached === undefined) throw new Error("can't be detached");
  const { handle, unread, unsent } = detached;
  const { port1, port2 } = new MessageChannel();
  const arrived = once(port2, "message");
  port1.postMessage({ handle }, [transferable(handle)]);
  const [{ handle: moved }] = (await arrived) as [{ handle: object }];
  port1.close();
  const next = new TcpTransport(ownerOf(moved), unread, true);
  onTestFinished(() => next.destroy());
  for (const bytes of unsent) next.write(bytes);
  next.start(recorder);
  return next;
}

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

it("throws ERR_NODE_INTERNALS for a handle without `writeQueueSize`", () => {
  expect(() => unsentBytesOf({})).toThrow(expect.objectContaining({ code: "ERR_NODE_INTERNALS" }));
});

if (canMoveSockets(process.versions.node)) {
  it("loses no byte in either direction, with a write cut in the middle, over many moves", async () => {
    const { accepted, peer } = await openPair();
    const upstream = pattern(3_000_000);
    const downstream = pattern(24_000_000);
    const recorder = new Recorder();
    let transport = new TcpTransport(accepted, upstream.subarray(0, 10));
    transport.start(recorder);
    let got: Promise<Buffer> | undefined;
    let cut = 0;
    for (let i = 0; i < 12; i++) {
      void written(peer, upstream.subarray(10 + i * 200_000, 10 + (i + 1) * 200_000));
      transport.write(downstream.subarray(i * 2_000_000, (i + 1) * 2_000_000));
      if (transport.bufferedBytes > 0) cut++;
      transport = await move(transport, recorder);
      // The peer reads nothing at first.
      if (i === 6) got = collect(peer);
    }
    await written(peer, upstream.subarray(10 + 12 * 200_000));
    await recorder.until(() => recorder.byteLength === upstream.length);
    transport.end();
    expect((await got)?.equals(downstream)).toBe(true);
    expect(recorder.bytes.equals(upstream)).toBe(true);
    expect(cut).toBeGreaterThan(0);
    expect(recorder.count("closed")).toBe(0);
  });

  it("lets the next owner hear of an end that the peer sent before", async () => {
    const { accepted, peer } = await openPair();
    const transport = new TcpTransport(accepted, Buffer.alloc(0));
    transport.start(new Recorder());
    transport.pause();
    peer.end("last");
    const recorder = new Recorder();
    await move(transport, recorder);
    await recorder.called("ended");
    expect(recorder.bytes.toString()).toBe("last");
  });
}

it("detaches no socket that is closed or ending, and leaves it as it is", async () => {
  const { accepted, peer } = await openPair();
  const transport = new TcpTransport(accepted, Buffer.alloc(0));
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
  const transport = new TcpTransport(accepted, Buffer.alloc(0));
  transport.start(recorder);
  transport.write(Buffer.alloc(LOTS));
  const detached = transport.detach();
  expect(detached?.unsent.length).toBe(1);
  expect(transport.bufferedBytes).toBe(0);
  detached?.handle.close();
  transport.destroy();
  await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
  expect(recorder.calls).toEqual([]);
});
