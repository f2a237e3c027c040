/** Sockets that go back from io_uring to Node, and their descriptors. */
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { afterAll, describe, expect, it, onTestFinished, vi } from "vitest";
import { createEstateMemory, settle } from "../../../../src/wire/native/ring.ts";
import { classOf, handleKinds, handleOf } from "../../../../src/wire/node-internals/net.ts";
import { UringSockets } from "../../../../src/wire/transport/uring/uring-sockets.ts";
import { missingUring } from "../../native/availability.ts";
import { collect } from "../pair.ts";

const descriptors = (): number => readdirSync("/proc/self/fd").length;

async function listen(): Promise<Server> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  return server;
}

async function openPair(): Promise<{ readonly socket: Socket; readonly peer: Socket }> {
  const server = await listen();
  const peer = connect((server.address() as AddressInfo).port, "127.0.0.1");
  const [socket] = (await once(server, "connection")) as [Socket];
  onTestFinished(() => {
    peer.destroy();
    socket.destroy();
  });
  peer.on("error", () => {});
  return { socket, peer };
}

describe.skipIf(missingUring !== undefined)("a socket that goes back to Node", () => {
  const memory = createEstateMemory();
  const sockets = new UringSockets(memory);
  afterAll(() => {
    sockets.close();
    settle(memory);
  });

  /** Lets Node refuse descriptors: each call of `open` goes to a handle that has one already. */
  async function refuseDescriptors(): Promise<void> {
    const [{ socket }, { socket: other }] = [await openPair(), await openPair()];
    const descriptor = handleOf(other)?.fd ?? -1;
    const handleClass = classOf(handleOf(socket) as NonNullable<ReturnType<typeof handleOf>>);
    const handle = new handleClass(handleKinds.socket);
    const { open } = handleClass.prototype as { open(descriptor: number): number };
    vi.spyOn(handleClass.prototype, "open").mockImplementation(() => open.call(handleOf(other), descriptor + 1));
    handle.close();
    onTestFinished(() => {
      vi.restoreAllMocks();
    });
  }

  it("is closed if Node can't take it, and its descriptor with it", async () => {
    const { socket, peer } = await openPair();
    const transport = sockets.take(socket, Buffer.alloc(0), true);
    await refuseDescriptors();
    const before = descriptors();
    const ended = collect(peer);
    const stream = transport.toStream(Buffer.alloc(0));
    expect(stream.destroyed).toBe(true);
    expect(await ended).toHaveLength(0);
    peer.destroy();
    await vi.waitFor(() => expect(descriptors()).toBe(before - 2));
  });
});
