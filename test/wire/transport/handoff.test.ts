import { once } from "node:events";
import { type AddressInfo, connect, createServer, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { setImmediate as turn } from "node:timers/promises";
import { TLSSocket } from "node:tls";
import { type MessagePort, Worker } from "node:worker_threads";
import { describe, expect, it, onTestFinished } from "vitest";
import {
  canMoveSockets,
  HandoffSender,
  isMovable,
  type Pace,
  receiveHandoffs,
} from "../../../src/wire/transport/handoff.ts";
import { createHandoffChannel } from "../../../src/wire/transport/pending-handoffs.ts";
import type { Transport } from "../../../src/wire/transport/transport.ts";

interface SocketPair {
  readonly accepted: Socket;
  readonly peer: Socket;
}

const NOTHING = Buffer.alloc(0);
/** More bytes than the kernel takes for a peer that doesn't read. */
const LOTS = 32 * 1024 * 1024;

async function openSockets(): Promise<SocketPair> {
  const server = createServer({ allowHalfOpen: true }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const peer = connect({ port: (server.address() as AddressInfo).port, host: "127.0.0.1" });
  const [[accepted]] = (await Promise.all([once(server, "connection"), once(peer, "connect")])) as [[Socket], unknown];
  server.close();
  peer.on("error", () => {});
  accepted.on("error", () => {});
  onTestFinished(() => {
    peer.destroy();
    accepted.destroy();
  });
  return { accepted, peer };
}

async function closed(socket: Socket): Promise<void> {
  socket.resume();
  if (!socket.closed) await once(socket, "close");
}

/** A handoff whose both ends are in this thread, over a real port. */
function openChannel(adopt: (transport: Transport, envelope: unknown) => void, timeoutMs?: number, pace?: Pace) {
  const { sender, receiver } = createHandoffChannel();
  receiveHandoffs(receiver, adopt, pace);
  onTestFinished(() => sender.port.close());
  return { sender: new HandoffSender<unknown>(sender, timeoutMs), port: receiver.port };
}

/** A handoff to a thread that never reads its port. */
async function openDeafThread(): Promise<{ sender: HandoffSender<unknown>; thread: Worker }> {
  const { sender, receiver } = createHandoffChannel();
  const { port } = receiver;
  const code = `
    const { parentPort } = require("node:worker_threads");
    parentPort.postMessage("up");
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);`;
  const thread = new Worker(code, { eval: true, workerData: port, transferList: [port] });
  onTestFinished(async () => {
    await thread.terminate();
  });
  await once(thread, "message");
  return { sender: new HandoffSender(sender), thread };
}

/** Echoes. Resolves with everything received when the peer ends. */
function echo(transport: Transport): Promise<string> {
  return new Promise((resolve) => {
    let all = "";
    transport.start({
      received: (chunk) => {
        all += chunk.toString("latin1");
        transport.write(Buffer.from(chunk));
      },
      drained: () => {},
      ended: () => transport.end(),
      closed: () => resolve(all),
    });
  });
}

describe("a handoff", () => {
  it("moves a socket with its envelope after it was read and written", async () => {
    const adopted = Promise.withResolvers<{ transport: Transport; envelope: unknown }>();
    const { sender } = openChannel((transport, envelope) => adopted.resolve({ transport, envelope }));
    const { accepted, peer } = await openSockets();
    peer.write("question");
    await once(accepted, "readable");
    expect(accepted.read().toString()).toBe("question");
    await new Promise((resolve) => accepted.write("answer", resolve));
    expect(accepted.bytesRead).toBe(8);
    expect(accepted.bytesWritten).toBe(6);

    const result = await sender.send(accepted, NOTHING, { id: "0-7", session: new Map([["user", 1n]]) });
    expect(result).toEqual({ outcome: "adopted" });
    const { transport, envelope } = await adopted.promise;
    expect(envelope).toEqual({ id: "0-7", session: new Map([["user", 1n]]) });
    const all = echo(transport);
    peer.end("more");
    let got = "";
    for await (const chunk of peer) got += chunk;
    expect(got).toBe("answermore");
    expect(await all).toBe("more");
  });

  it("lets a socket wait at the shard's pace, however long: its sender doesn't give it up meanwhile", async () => {
    const works: (() => void)[] = [];
    const arrived = Promise.withResolvers<void>();
    const adopted = Promise.withResolvers<Transport>();
    const pace: Pace = (work) => {
      works.push(work);
      arrived.resolve();
    };
    const deadlineMs = 20;
    const { sender } = openChannel((transport) => adopted.resolve(transport), deadlineMs, pace);
    const { accepted, peer } = await openSockets();
    const result = sender.send(accepted, NOTHING, {});
    await arrived.promise;
    // A socket that was sent later, and is never looked at, reaches its deadline: so did the first one.
    const late = new HandoffSender<unknown>(createHandoffChannel().sender, deadlineMs);
    expect(await late.send((await openSockets()).accepted, NOTHING, {})).toMatchObject({ outcome: "failed" });
    expect(sender.isFull).toBe(false);
    for (const work of works) work();
    expect(await result).toEqual({ outcome: "adopted" });
    const all = echo(await adopted.promise);
    peer.end("bytes");
    expect(await all).toBe("bytes");
  });

  it("delivers the head, then the bytes that Node had read, then those that came on the way, each once", async () => {
    const adopted = Promise.withResolvers<Transport>();
    const { sender } = openChannel((transport) => adopted.resolve(transport));
    const { accepted, peer } = await openSockets();
    peer.write("buffered, ");
    await once(accepted, "readable");
    const result = sender.send(accepted, Buffer.from("head, "), undefined);
    peer.end("late");
    expect(await result).toEqual({ outcome: "adopted" });
    expect(await echo(await adopted.promise)).toBe("head, buffered, late");
  });

  it("sends the head without the rest of its memory", async () => {
    const adopted = Promise.withResolvers<Transport>();
    const { sender } = openChannel((transport) => adopted.resolve(transport));
    const { accepted, peer } = await openSockets();
    const around = Buffer.from("secret-head-secret");
    await sender.send(accepted, around.subarray(7, 11), undefined);
    peer.end();
    const all = new Promise<ArrayBufferLike[]>((resolve) => {
      const memory: ArrayBufferLike[] = [];
      void adopted.promise.then((transport) =>
        transport.start({
          received: (chunk) => memory.push(chunk.buffer),
          drained: () => {},
          ended: () => transport.destroy(),
          closed: () => resolve(memory),
        }),
      );
    });
    expect((await all).map((memory) => Buffer.from(memory).toString())).toEqual(["head"]);
  });

  it("moves a socket whose peer has already ended its direction", async () => {
    const adopted = Promise.withResolvers<Transport>();
    const { sender } = openChannel((transport) => adopted.resolve(transport));
    const { accepted, peer } = await openSockets();
    peer.end("all");
    await once(accepted, "readable");
    for (let i = 0; i < 10; i++) await turn();
    expect(await sender.send(accepted, NOTHING, undefined)).toEqual({ outcome: "adopted" });
    expect(await echo(await adopted.promise)).toBe("all");
  });

  it("waits until written bytes have left", async () => {
    const adopted = Promise.withResolvers<Transport>();
    const { sender } = openChannel((transport) => adopted.resolve(transport));
    const { accepted, peer } = await openSockets();
    accepted.write(Buffer.alloc(LOTS));
    expect(accepted.writableLength).toBeGreaterThan(0);
    const result = sender.send(accepted, NOTHING, undefined);
    peer.end("all");
    let got = 0;
    for await (const chunk of peer) {
      got += (chunk as Buffer).length;
      if (got === LOTS) void adopted.promise.then(echo);
    }
    expect(await result).toEqual({ outcome: "adopted" });
    expect(got).toBe(LOTS + "all".length);
  });

  it("counts a socket as in flight until its answer comes", async () => {
    const { sender } = openChannel((transport) => void echo(transport));
    const pairs = await Promise.all([openSockets(), openSockets()]);
    const results = pairs.map(({ accepted }) => sender.send(accepted, NOTHING, undefined));
    expect(sender.inFlight).toBe(2);
    expect(await Promise.all(results)).toEqual([{ outcome: "adopted" }, { outcome: "adopted" }]);
    expect(sender.inFlight).toBe(0);
  });
});

describe("a handoff that fails", () => {
  it("reports that the peer was gone before", async () => {
    const { sender } = openChannel(() => {});
    const { accepted } = await openSockets();
    accepted.destroy();
    expect(await sender.send(accepted, NOTHING, undefined)).toEqual({ outcome: "peerGone" });
    expect(sender.inFlight).toBe(0);
  });

  it("closes a socket that this end has ended already", async () => {
    const { sender } = openChannel(() => {});
    const { accepted, peer } = await openSockets();
    accepted.end();
    expect(await sender.send(accepted, NOTHING, undefined)).toEqual({ outcome: "peerGone" });
    await closed(peer);
  });

  it("closes the socket when its envelope can't be cloned", async () => {
    const { sender } = openChannel(() => {});
    const { accepted, peer } = await openSockets();
    const result = await sender.send(accepted, NOTHING, { session: () => {} });
    expect(result).toMatchObject({ outcome: "failed", error: { name: "DataCloneError" } });
    await closed(peer);
    expect(sender.inFlight).toBe(0);
  });

  it("reports that the peer was gone when it vanishes before it has read what was written", async () => {
    const { sender } = openChannel((transport) => void echo(transport));
    const { accepted, peer } = await openSockets();
    accepted.write(Buffer.alloc(LOTS));
    const result = sender.send(accepted, NOTHING, undefined);
    peer.resetAndDestroy();
    expect(await result).toEqual({ outcome: "peerGone" });
    expect(sender.inFlight).toBe(0);
  });

  it("closes the socket when the shard refuses it, and reports the reason", async () => {
    const refusal = Object.assign(new RangeError("no room"), { code: "ERR_NO_ROOM" });
    const { sender } = openChannel(() => {
      throw refusal;
    });
    const { accepted, peer } = await openSockets();
    const result = await sender.send(accepted, NOTHING, undefined);
    expect(result).toMatchObject({
      outcome: "failed",
      error: { name: "RangeError", message: "no room", code: "ERR_NO_ROOM" },
    });
    await closed(peer);
    expect(sender.inFlight).toBe(0);
  });

  it("continues with the next socket after a failure", async () => {
    const { sender } = openChannel((transport) => void echo(transport));
    const [first, second] = await Promise.all([openSockets(), openSockets()]);
    await sender.send(first.accepted, NOTHING, () => {});
    expect(await sender.send(second.accepted, NOTHING, undefined)).toEqual({ outcome: "adopted" });
    second.peer.end("hello");
    expect(String(await once(second.peer, "data"))).toBe("hello");
  });

  it("reads the shard's last answers even if its end is heard of first", async () => {
    const { sender } = openChannel((transport) => {
      void echo(transport);
      // The answer has been posted by then, and hasn't been read.
      queueMicrotask(() => sender.close());
    });
    const { accepted, peer } = await openSockets();
    expect(await sender.send(accepted, NOTHING, undefined)).toEqual({ outcome: "adopted" });
    peer.end("hello");
    expect(String(await once(peer, "data"))).toBe("hello");
  });

  it.each<[string, (sender: HandoffSender<unknown>, port: MessagePort) => Promise<void> | void]>([
    ["was closed just now", (sender) => sender.close()],
    ["was closed before", async (sender, port) => closing(port, () => sender.close())],
    ["was closed at the other end just now", (_, port) => port.close()],
    ["was closed at the other end before", async (_, port) => closing(port, () => port.close())],
  ])("closes the socket when the port %s", async (_, close) => {
    const { sender, port } = openChannel(() => {});
    await close(sender, port);
    const { accepted, peer } = await openSockets();
    const result = await sender.send(accepted, NOTHING, undefined);
    expect(result).toMatchObject({ outcome: "failed", error: { code: "ERR_SHARD_LOST" } });
    await closed(peer);
    expect(sender.inFlight).toBe(0);
  });

  it.each<[string, (sender: HandoffSender<unknown>, port: MessagePort) => void]>([
    ["our end", (sender) => sender.close()],
    ["the other end", (_, port) => port.close()],
  ])("closes the socket when it is sent in the tick in which %s of the port closes", async (_, close) => {
    const { sender, port } = openChannel((transport) => void echo(transport));
    const { accepted, peer } = await openSockets();
    close(sender, port);
    const result = sender.send(accepted, NOTHING, undefined);
    await closed(peer);
    expect(await result).toMatchObject({ outcome: "failed", error: { code: "ERR_SHARD_LOST" } });
    expect(sender.inFlight).toBe(0);
  });

  it("closes every socket that is on its way to a thread that dies", async () => {
    const { sender, thread } = await openDeafThread();
    const pairs = await Promise.all(Array.from({ length: 50 }, openSockets));
    const results = pairs.map(({ accepted }) => sender.send(accepted, Buffer.from("head"), undefined));
    expect(sender.inFlight).toBe(50);
    const peersClosed = Promise.all(pairs.map(({ peer }) => closed(peer)));
    await thread.terminate();
    await peersClosed;
    for (const result of await Promise.all(results)) {
      expect(result).toMatchObject({ outcome: "failed", error: { code: "ERR_SHARD_LOST" } });
    }
  });

  it("closes every socket that is sent after the thread died", async () => {
    const { sender, thread } = await openDeafThread();
    await thread.terminate();
    const pairs = await Promise.all(Array.from({ length: 10 }, openSockets));
    const results = await Promise.all(pairs.map(({ accepted }) => sender.send(accepted, NOTHING, undefined)));
    await Promise.all(pairs.map(({ peer }) => closed(peer)));
    for (const result of results)
      expect(result).toMatchObject({ outcome: "failed", error: { code: "ERR_SHARD_LOST" } });
  });
});

describe("whether a socket can be moved", () => {
  it.each([
    ["24.20.0", true],
    ["24.21.3", true],
    ["26.6.0", true],
    ["26.10.0", true],
    ["27.0.0", true],
    ["24.19.9", false],
    ["25.9.0", false],
    ["26.5.0", false],
    ["22.30.0", false],
    ["nonsense", false],
  ])("depends on the version of Node: %s %s", (version, expected) => {
    expect(canMoveSockets(version)).toBe(expected);
  });

  it("is true for a TCP socket", async () => {
    const { accepted, peer } = await openSockets();
    expect(isMovable(accepted)).toBe(true);
    expect(isMovable(peer)).toBe(true);
  });

  it("is false for TLS", async () => {
    const { accepted } = await openSockets();
    expect(isMovable(new TLSSocket(accepted, { isServer: true }))).toBe(false);
  });

  it("is false for a Unix socket", async () => {
    const path = join(tmpdir(), `switchboard-${process.pid}.sock`);
    const server = createServer().listen(path);
    await once(server, "listening");
    const peer = connect(path);
    const [accepted] = (await once(server, "connection")) as [Socket];
    expect(isMovable(accepted)).toBe(false);
    accepted.destroy();
    peer.destroy();
    server.close();
  });

  it("is false for a stream that isn't a socket, and for a socket that was never connected", () => {
    expect(isMovable(new PassThrough())).toBe(false);
    expect(isMovable(new Socket())).toBe(false);
  });
});

/** Calls `act`, and waits until the port has closed. */
async function closing(port: MessagePort, close: () => void): Promise<void> {
  const done = once(port, "close");
  close();
  await done;
  for (let i = 0; i < 5; i++) await turn();
}
