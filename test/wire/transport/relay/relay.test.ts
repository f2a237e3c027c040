import { once } from "node:events";
import type { Duplex } from "node:stream";
import { Worker } from "node:worker_threads";
import { describe, expect, it, onTestFinished } from "vitest";
import type { HandoffAnswer, RelayMessage } from "../../../../src/wire/transport/messages.ts";
import { createHandoffChannel } from "../../../../src/wire/transport/pending-handoffs.ts";
import { RelaySender, receiveRelayed } from "../../../../src/wire/transport/relay/relay.ts";
import { WINDOW_COST } from "../../../../src/wire/transport/relay/relay-transport.ts";
import type { Transport } from "../../../../src/wire/transport/transport.ts";
import {
  openHttp2Streams,
  openMemoryStreams,
  openTcpSockets,
  openTlsSockets,
  openUnixSockets,
  type StreamPair,
} from "../../../support/streams.ts";
import { itIsATransport } from "../contract.ts";
import type { TransportFactory } from "../pair.ts";

/** A relay whose both ends are in this thread, over a real port. */
function openRelay(adopt: (transport: Transport, envelope: unknown) => void) {
  const { sender, receiver } = createHandoffChannel();
  receiveRelayed(receiver, adopt);
  onTestFinished(() => sender.port.close());
  return { sender: new RelaySender<unknown>(sender), port: receiver.port };
}

/** The shard's end of a relayed stream. */
function relayed(openStreams: () => Promise<StreamPair>): TransportFactory {
  return async (head = Buffer.alloc(0)) => {
    const { accepted, peer, vanish } = await openStreams();
    const adopted = Promise.withResolvers<Transport>();
    const { sender } = openRelay(adopted.resolve);
    void sender.send(accepted, head, undefined);
    const transport = await adopted.promise;
    onTestFinished(() => transport.destroy());
    return { transport, peer, vanish };
  };
}

describe("a relayed TCP socket", () => itIsATransport(relayed(openTcpSockets)));
describe("a relayed Unix socket", () => itIsATransport(relayed(openUnixSockets)));
describe("a relayed TLS socket", () => itIsATransport(relayed(openTlsSockets)));
describe("a relayed stream in memory", () => itIsATransport(relayed(openMemoryStreams)));
describe("a relayed stream of HTTP/2", () => itIsATransport(relayed(openHttp2Streams)));

const NOTHING = Buffer.alloc(0);

/** Resolves when the other end has closed, not only been asked to close. */
async function closed(stream: Duplex): Promise<void> {
  if (stream.readableEnded) stream.end();
  else stream.on("end", () => stream.end()).resume();
  if (!stream.closed) await once(stream, "close");
}

describe("a relay", () => {
  it("opens a stream with its envelope, and counts it as in flight until its answer comes", async () => {
    const adopted = Promise.withResolvers<unknown>();
    const { sender } = openRelay((_, envelope) => adopted.resolve(envelope));
    const { accepted } = await openTcpSockets();
    const result = sender.send(accepted, NOTHING, { id: "0-7", session: new Map([["user", 1n]]) });
    expect(sender.inFlight).toBe(1);
    expect(await result).toEqual({ outcome: "adopted" });
    expect(sender.inFlight).toBe(0);
    expect(await adopted.promise).toEqual({ id: "0-7", session: new Map([["user", 1n]]) });
  });

  it("reads the shard's last answers even if its end is heard of first", async () => {
    const { sender } = openRelay((transport) => {
      transport.write(Buffer.from("last words"));
      // Each answer has been posted by then, in a microtask of its own, and none has been read.
      queueMicrotask(() => queueMicrotask(() => sender.close()));
    });
    const { accepted, peer } = await openTcpSockets();
    expect(await sender.send(accepted, NOTHING, undefined)).toEqual({ outcome: "adopted" });
    expect(String(await once(peer, "data"))).toBe("last words");
  });

  it("reports that the peer was gone before", async () => {
    const { sender } = openRelay(() => {});
    const { accepted } = await openTcpSockets();
    accepted.destroy();
    expect(await sender.send(accepted, NOTHING, undefined)).toEqual({ outcome: "peerGone" });
  });

  it("closes the stream when its envelope can't be cloned, and continues with the next", async () => {
    const { sender } = openRelay(() => {});
    const [one, other] = [await openTcpSockets(), await openTcpSockets()];
    const result = await sender.send(one.accepted, NOTHING, { session: () => {} });
    expect(result).toMatchObject({ outcome: "failed", error: { name: "DataCloneError" } });
    await closed(one.peer);
    expect(await sender.send(other.accepted, NOTHING, undefined)).toEqual({ outcome: "adopted" });
  });

  it("closes the stream when the shard refuses it, and reports the reason", async () => {
    const { sender } = openRelay(() => {
      throw Object.assign(new RangeError("no room"), { code: "ERR_NO_ROOM" });
    });
    const { accepted, peer } = await openTcpSockets();
    const result = await sender.send(accepted, NOTHING, undefined);
    expect(result).toMatchObject({ outcome: "failed", error: { name: "RangeError", code: "ERR_NO_ROOM" } });
    await closed(peer);
    expect(sender.inFlight).toBe(0);
  });

  it("closes every stream, at both ends, when its port closes", async () => {
    const ends: Promise<void>[] = [];
    const { sender, port } = openRelay((transport) => {
      const end = Promise.withResolvers<void>();
      transport.start({ received: () => {}, drained: () => {}, ended: () => {}, closed: end.resolve });
      ends.push(end.promise);
    });
    const pairs = await Promise.all(Array.from({ length: 10 }, openTcpSockets));
    for (const { accepted } of pairs) await sender.send(accepted, NOTHING, undefined);
    port.close();
    await Promise.all([...ends, ...pairs.map(({ peer }) => closed(peer))]);
    const late = await openTcpSockets();
    const result = await sender.send(late.accepted, NOTHING, undefined);
    expect(result).toMatchObject({ outcome: "failed", error: { code: "ERR_SHARD_LOST" } });
    await closed(late.peer);
  });

  it("closes every stream of a thread that dies before it answers", async () => {
    const { sender: end, receiver } = createHandoffChannel();
    const { port } = receiver;
    const code = `
      require("node:worker_threads").parentPort.postMessage("up");
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);`;
    const thread = new Worker(code, { eval: true, workerData: port, transferList: [port] });
    await once(thread, "message");
    const sender = new RelaySender<unknown>(end);
    const pairs = await Promise.all(Array.from({ length: 10 }, openTcpSockets));
    const results = pairs.map(({ accepted }) => sender.send(accepted, Buffer.from("head"), undefined));
    await thread.terminate();
    await Promise.all(pairs.map(({ peer }) => closed(peer)));
    for (const result of await Promise.all(results)) {
      expect(result).toMatchObject({ outcome: "failed", error: { code: "ERR_SHARD_LOST" } });
    }
  });

  it("reads at most one window from a peer while its shard doesn't respond", async () => {
    const { sender: end, receiver } = createHandoffChannel();
    const { port } = receiver;
    onTestFinished(() => end.port.close());
    const sender = new RelaySender<unknown>(end);
    const { accepted, peer } = await openMemoryStreams();
    void sender.send(accepted, NOTHING, undefined);
    peer.write(Buffer.alloc(16 * 1024 * 1024));
    expect(accepted.isPaused()).toBe(true);
    let posted = 0;
    port.on("message", (message: RelayMessage<undefined>) => {
      if (message.kind === "open") {
        const answer: HandoffAnswer = { kind: "answer", serial: message.serial, error: undefined };
        port.postMessage(answer);
      } else if (message.kind === "streams") {
        for (const each of message.messages) if (each.kind === "bytes") posted += each.bytes.length;
      }
    });
    for (let i = 0; i < 1_000; i++) await new Promise((resolve) => setImmediate(resolve));
    expect(posted).toBeGreaterThan(WINDOW_COST / 2);
    expect(posted).toBeLessThanOrEqual(WINDOW_COST);
    expect(accepted.isPaused()).toBe(true);
  });
});
