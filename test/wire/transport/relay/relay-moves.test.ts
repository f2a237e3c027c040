import { once } from "node:events";
import { expect, it, onTestFinished, vi } from "vitest";
import { createHandoffChannel } from "../../../../src/wire/transport/pending-handoffs.ts";
import { type RelayReceiver, RelaySender, receiveRelayed } from "../../../../src/wire/transport/relay/relay.ts";
import { RelayMoves } from "../../../../src/wire/transport/relay/relay-moves.ts";
import { RelayTransport, WINDOW_COST } from "../../../../src/wire/transport/relay/relay-transport.ts";
import type { DetachedStream, MovableTransport } from "../../../../src/wire/transport/transport.ts";
import { openTcpSockets } from "../../../support/streams.ts";
import { collect } from "../pair.ts";
import { pattern, Recorder } from "../recorder.ts";

const NOTHING = Buffer.alloc(0);

/** The relays of two shards, whose ends are in this thread, over real ports. */
function openRelays() {
  const moves = new RelayMoves();
  const adopted = Promise.withResolvers<MovableTransport<DetachedStream>>();
  const relays = [1, 2].map((life) => {
    const { sender: end, receiver } = createHandoffChannel();
    const shard = receiveRelayed(receiver, (transport) =>
      adopted.resolve(transport as MovableTransport<DetachedStream>),
    );
    onTestFinished(() => end.port.close());
    return { life, sender: new RelaySender<undefined>(end, 5_000, life, moves), shard, port: receiver.port };
  });
  const [one, other] = relays as [(typeof relays)[0], (typeof relays)[0]];
  const open = async () => {
    const { accepted, peer } = await openTcpSockets();
    void one.sender.send(accepted, NOTHING, undefined);
    return { peer, transport: await adopted.promise };
  };
  return { one, other, open };
}

async function detach(transport: MovableTransport<DetachedStream>): Promise<DetachedStream> {
  await transport.hold?.();
  const detached = transport.detach();
  if (detached === undefined) return expect.fail("can't be detached");
  return detached;
}

function take(shard: RelayReceiver, { stream, unread, unsent }: DetachedStream, from: number): RelayTransport {
  const transport = shard.take(stream, from, unread);
  for (const bytes of unsent) transport.write(bytes);
  return transport;
}

it("loses no byte in either direction over many moves, with more than a window under way", async () => {
  const { one, other, open } = openRelays();
  const { peer, transport: first } = await open();
  const [upstream, downstream] = [pattern(3_000_000), pattern(12 * WINDOW_COST)];
  const recorder = new Recorder();
  let transport = first;
  transport.start(recorder);
  let got: Promise<Buffer> | undefined;
  for (let i = 0; i < 12; i++) {
    peer.write(upstream.subarray(i * 250_000, (i + 1) * 250_000));
    transport.write(downstream.subarray(i * WINDOW_COST, (i + 1) * WINDOW_COST));
    if (i % 3 === 0) transport.pause();
    const detached = await detach(transport);
    const [from, to] = i % 2 === 0 ? [one, other] : [other, one];
    from.shard.flush();
    transport = take(to.shard, detached, from.life);
    transport.start(recorder);
    // The peer reads nothing at first.
    if (i === 6) got = collect(peer);
  }
  await recorder.until(() => recorder.byteLength === upstream.length);
  transport.end();
  expect((await got)?.equals(downstream)).toBe(true);
  expect(recorder.bytes.equals(upstream)).toBe(true);
  expect(recorder.count("closed")).toBe(0);
});

it("passes on the end and the close of a peer that leaves between hold and the move", async () => {
  const { one, other, open } = openRelays();
  const { peer, transport } = await open();
  transport.start(new Recorder());
  await transport.hold?.();
  peer.end("last words");
  await once(peer, "finish");
  const detached = await detach(transport);
  one.shard.flush();
  const recorder = new Recorder();
  const moved = take(other.shard, detached, one.life);
  moved.start(recorder);
  await recorder.called("ended");
  expect(String(recorder.bytes)).toBe("last words");
  moved.end();
  await recorder.called("closed");
});

it("goes on where it is after release, with what came meanwhile", async () => {
  const { open } = openRelays();
  const { peer, transport } = await open();
  const recorder = new Recorder();
  transport.start(recorder);
  await transport.hold?.();
  peer.write("meanwhile");
  transport.release?.();
  await recorder.until(() => String(recorder.bytes) === "meanwhile");
  transport.write(Buffer.from("answer"));
  expect(String((await once(peer, "data"))[0])).toBe("answer");
});

it("gets the peer's end also if it was to be held after its own end", async () => {
  const { open } = openRelays();
  const { peer, transport } = await open();
  const recorder = new Recorder();
  transport.start(recorder);
  transport.end();
  await transport.hold?.();
  expect(transport.detach()).toBeUndefined();
  peer.on("end", () => peer.end()).resume();
  await recorder.called("ended");
  await recorder.called("closed");
});

it("can't be taken apart before the far end keeps what it has", async () => {
  const { open } = openRelays();
  const { transport } = await open();
  transport.start(new Recorder());
  void transport.hold?.();
  expect(transport.detach()).toBeUndefined();
});

it("closes the stream when the thread that has it ends before the move", async () => {
  const { one, open } = openRelays();
  const { peer, transport } = await open();
  transport.start(new Recorder());
  await transport.hold?.();
  peer.on("end", () => peer.end()).resume();
  one.port.close();
  await once(peer, "close");
});

it("keeps the stream when the thread that had it ends after the move, before the other tells", async () => {
  const { one, other, open } = openRelays();
  const { peer, transport } = await open();
  transport.start(new Recorder());
  const detached = await detach(transport);
  one.shard.flush();
  one.sender.close();
  peer.write("still there");
  const recorder = new Recorder();
  take(other.shard, detached, one.life).start(recorder);
  await recorder.until(() => String(recorder.bytes) === "still there");
});

it("closes the end of a stream that isn't there any more", async () => {
  const { one, other, open } = openRelays();
  const { transport } = await open();
  transport.start(new Recorder());
  const detached = await detach(transport);
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  onTestFinished(() => void vi.useRealTimers());
  one.shard.flush();
  const recorder = new Recorder();
  const stranger = { ...detached, stream: { ...detached.stream, id: 99 } };
  take(other.shard, stranger, one.life).start(recorder);
  await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
  vi.advanceTimersByTime(15_000);
  await recorder.called("closed");
});

it("closes a stream that nobody takes for 15 s, and doesn't wait for two that meet in either order", () => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const moves = new RelayMoves();
  const streamOf = (): { readonly stream: RelayTransport; readonly isLost: () => boolean } => {
    let isLost = false;
    const stream = new RelayTransport({ id: 1, post: () => {}, forget: () => (isLost = true) });
    return { stream, isLost: () => isLost };
  };
  const [forgotten, early, late] = [streamOf(), streamOf(), streamOf()];
  const taken: unknown[] = [];
  moves.left(1, 1, forgotten.stream);
  moves.left(1, 2, early.stream);
  moves.take(1, 2, (stream) => taken.push(stream));
  moves.take(1, 3, (stream) => taken.push(stream));
  moves.left(1, 3, late.stream);
  expect(taken).toEqual([early.stream, late.stream]);
  moves.take(1, 4, (stream) => taken.push(stream));
  vi.advanceTimersByTime(14_999);
  expect(forgotten.isLost()).toBe(false);
  expect(taken).toHaveLength(2);
  vi.advanceTimersByTime(1);
  expect([forgotten.isLost(), early.isLost(), late.isLost()]).toEqual([true, false, false]);
  expect(taken).toEqual([early.stream, late.stream, undefined]);
});
