/** Rings whose queues have few entries: the kernel keeps the completions that find no room, and nothing is lost. */
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { threadId } from "node:worker_threads";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { Estate } from "../../../../src/wire/native/estate/estate.ts";
import { createEstateMemory } from "../../../../src/wire/native/estate/estate-memory.ts";
import { ACCEPT_MULTISHOT, KIND_BITS, kinds, OP_ACCEPT } from "../../../../src/wire/native/operations.ts";
import { duplicate } from "../../../../src/wire/native/pass-descriptors.ts";
import { settle } from "../../../../src/wire/native/ring.ts";
import { setUpRing } from "../../../../src/wire/native/ring-setup.ts";
import { letWait } from "../../../../src/wire/native/sockets.ts";
import { SubmissionQueue } from "../../../../src/wire/native/submission-queue.ts";
import { descriptorOf } from "../../../../src/wire/node-internals/net.ts";
import { UringSockets } from "../../../../src/wire/transport/uring/uring-sockets.ts";
import type { UringTransport } from "../../../../src/wire/transport/uring/uring-transport.ts";
import { missingUring } from "../../native/availability.ts";
import { Recorder } from "../recorder.ts";

const ENTRIES = 4;
/** Clients that connect at once and send a little. */
const BRIEF_CLIENTS = 100;
const BRIEF_BYTES = 1_000;
/** Clients that send more than the buffers of a socket hold before they read. */
const FULL_CLIENTS = 4;
const FULL_BYTES = 8 * 1024 * 1024;

const descriptors = (): number => readdirSync("/proc/self/fd").length;

async function listen(): Promise<{ readonly server: Server; readonly port: number }> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  return { server, port: (server.address() as AddressInfo).port };
}

async function open(port: number): Promise<Socket> {
  const peer = connect(port, "127.0.0.1").on("error", () => {});
  onTestFinished(() => void peer.destroy());
  await once(peer, "connect");
  return peer;
}

/** Sends numbered words, reads once it may, and checks the echo. */
async function exchange(port: number, byteLength: number, mayRead: Promise<void>): Promise<void> {
  const peer = await open(port);
  const sent = Buffer.from(Uint32Array.from({ length: byteLength / 4 }, (_, index) => index).buffer);
  peer.end(sent);
  await mayRead;
  const chunks: Buffer[] = [];
  for await (const chunk of peer) chunks.push(chunk);
  // Not by `toEqual`, which would print all bytes.
  expect(Buffer.concat(chunks).equals(sent)).toBe(true);
}

describe.skipIf(missingUring !== undefined)("a completion queue that is full", () => {
  it("loses no byte and no connection, and changes no order", async () => {
    const isOverflown = vi.spyOn(SubmissionQueue.prototype, "isOverflown", "get");
    onTestFinished(() => isOverflown.mockRestore());
    const before = descriptors();
    const memory = createEstateMemory();
    const sockets = new UringSockets(memory, { entries: ENTRIES });
    const { server, port } = await listen();
    let opened = 0;
    let closed = 0;
    const full = new Set<UringTransport>();
    const allFull = Promise.withResolvers<void>();
    const accepted = (transport: UringTransport): void => {
      opened++;
      const pauseIfFull = (): void => {
        if (transport.bufferedBytes === 0) return;
        transport.pause();
        if (full.add(transport).size === FULL_CLIENTS) allFull.resolve();
      };
      transport.start({
        received: (chunk) => {
          pauseIfFull();
          transport.write(Buffer.from(chunk));
        },
        drained: () => transport.resume(),
        ended: () => transport.end(),
        closed: () => closed++,
      });
    };
    const listener = sockets.accept(server, accepted, (error) => {
      throw error;
    });
    await Promise.all([
      ...Array.from({ length: BRIEF_CLIENTS }, () => exchange(port, BRIEF_BYTES, Promise.resolve())),
      ...Array.from({ length: FULL_CLIENTS }, () => exchange(port, FULL_BYTES, allFull.promise)),
    ]);
    expect(isOverflown).toHaveReturnedWith(true);
    expect(opened).toBe(BRIEF_CLIENTS + FULL_CLIENTS);
    await vi.waitFor(() => expect(closed).toBe(opened));
    listener.close();
    sockets.close();
    settle(memory);
    await vi.waitFor(() => expect(descriptors()).toBe(before));
  });

  it("closes a listening socket late, and only here", async () => {
    const memory = createEstateMemory();
    const sockets = new UringSockets(memory, { entries: ENTRIES });
    const { server, port } = await listen();
    const shared = duplicate(descriptorOf(server));
    const recorders: Recorder[] = [];
    const accepted = (transport: UringTransport): void => {
      const recorder = new Recorder();
      recorders.push(recorder);
      transport.start(recorder);
    };
    const listener = sockets.accept(server, accepted, (error) => {
      throw error;
    });
    const peers = await Promise.all(Array.from({ length: BRIEF_CLIENTS }, () => open(port)));
    for (const peer of peers) peer.write("one ");
    await vi.waitFor(() => expect(recorders.map(({ bytes }) => String(bytes))).toEqual(peers.map(() => "one ")));
    const before = descriptors();
    for (const peer of peers) peer.write("two");
    listener.close();
    expect(descriptors()).toBe(before);
    await vi.waitFor(() => expect(descriptors()).toBe(before - 1));
    // Another owner of the socket still accepts.
    const late = open(port);
    const other = createServer((socket) => socket.end("here")).listen({ fd: shared });
    const peer = await late;
    peer.write("x");
    expect(String((await once(peer, "data"))[0])).toBe("here");
    expect(recorders.map(({ bytes }) => String(bytes))).toEqual(peers.map(() => "one two"));
    other.close();
    sockets.close();
    settle(memory);
  });

  it("leaves no accepted connection behind when its thread ends", async () => {
    const { server, port } = await listen();
    const memory = createEstateMemory();
    const estate = new Estate(memory, threadId);
    const listening = estate.duplicate(descriptorOf(server));
    letWait(listening);
    // Node accepts nothing.
    server.close();
    const queue = new SubmissionQueue(setUpRing(1, estate), () => {}, 0n);
    queue.write(OP_ACCEPT | (ACCEPT_MULTISHOT << 16), listening, (1 << KIND_BITS) | kinds.accept, 0);
    queue.submit(true);
    // The queue has two entries.
    const peers = [await open(port), await open(port), await open(port)];
    queue.complete();
    expect(queue.isOverflown).toBe(true);
    const closed = Promise.all(peers.map((peer) => once(peer.resume(), "close")));
    // The connections, and the listening socket.
    expect(settle(memory)).toBe(peers.length + 1);
    await closed;
  });
});
