import { once } from "node:events";
import { type AddressInfo, connect, createServer, Socket } from "node:net";
import { afterAll, describe, expect, it, onTestFinished } from "vitest";
import { BUFFERS } from "../../../../src/wire/native/receive-buffers.ts";
import { createEstateMemory, settle } from "../../../../src/wire/native/ring.ts";
import type { LentMemory } from "../../../../src/wire/protocol/message.ts";
import { UringSockets } from "../../../../src/wire/transport/uring/uring-sockets.ts";
import type { UringTransport } from "../../../../src/wire/transport/uring/uring-transport.ts";
import { missingUring } from "../../native/availability.ts";
import { itIsATransport } from "../contract.ts";
import { collect, type TransportPair } from "../pair.ts";
import { pattern, Recorder } from "../recorder.ts";

describe.skipIf(missingUring !== undefined)("a UringTransport", () => {
  const memory = createEstateMemory();
  const sockets = new UringSockets(memory);
  afterAll(() => {
    sockets.close();
    settle(memory);
  });

  async function open(head = Buffer.alloc(0)): Promise<TransportPair & { readonly transport: UringTransport }> {
    const server = createServer({ pauseOnConnect: true, allowHalfOpen: true }).listen(0, "127.0.0.1");
    await once(server, "listening");
    const peer = connect({ port: (server.address() as AddressInfo).port, host: "127.0.0.1", allowHalfOpen: true });
    const [[accepted]] = (await Promise.all([once(server, "connection"), once(peer, "connect")])) as [
      [Socket],
      unknown,
    ];
    server.close();
    const transport = sockets.take(accepted, head);
    onTestFinished(() => {
      transport.destroy();
      peer.destroy();
    });
    peer.on("error", () => {});
    return { transport, peer, vanish: () => peer.resetAndDestroy() };
  }

  itIsATransport(open);

  it("buffers nothing of a burst that the socket has room for, however large a batch is", async () => {
    const { transport, peer } = await open();
    transport.start(new Recorder());
    transport.write(Buffer.alloc(200_000));
    transport.write(Buffer.alloc(200_000));
    expect(transport.bufferedBytes).toBe(0);
    transport.end();
    expect(await collect(peer)).toHaveLength(400_000);
  });

  it("receives from more peers at once than there are buffers to receive into", async () => {
    const pairs = await Promise.all(Array.from({ length: BUFFERS + 44 }, () => open()));
    const recorders = pairs.map(({ transport }) => {
      const recorder = new Recorder();
      transport.start(recorder);
      return recorder;
    });
    // The kernel waits for all of them once a later one receives.
    const [last, later] = [new Recorder(), await open()];
    later.transport.start(last);
    later.peer.write("last");
    await last.called("received");
    for (const [index, { peer }] of pairs.entries()) peer.write(`from ${index}`);
    await Promise.all(recorders.map((recorder) => recorder.called("received")));
    expect(recorders.map(({ bytes }) => String(bytes))).toEqual(pairs.map((_, index) => `from ${index}`));
  });

  it("gives a listening socket away while hundreds of reads wait in the kernel", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const recorders: Recorder[] = [];
    const listening = sockets.accept(
      server,
      (transport) => {
        const recorder = new Recorder();
        recorders.push(recorder);
        transport.start(recorder);
        onTestFinished(() => transport.destroy());
      },
      (error) => {
        throw error;
      },
    );
    const peers = await Promise.all(Array.from({ length: 400 }, () => opened(port)));
    for (const peer of peers) peer.write("one ");
    await expect.poll(() => recorders.filter(({ bytes }) => bytes.length === 4).length).toBe(400);
    // The next receives begin. Nothing returns to the event loop between the writes and the call.
    for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
    for (const peer of peers) peer.write("two");
    const given = listening.toServer();
    expect(given).toBeDefined();
    given?.close();
    await expect.poll(() => recorders.filter(({ bytes }) => String(bytes) === "one two").length).toBe(400);
  });

  it("receives long reads of many peers, more than it lets the kernel have buffers for", async () => {
    const pairs = await Promise.all(Array.from({ length: 60 }, () => open()));
    const long = pattern(300_000);
    const received = pairs.map(async ({ transport, peer }) => {
      const all = Promise.withResolvers<void>();
      const recorder: Recorder = new Recorder(() => {
        if (recorder.byteLength >= long.length) all.resolve();
      });
      transport.start(recorder);
      peer.write(long);
      await all.promise;
      return recorder.bytes.equals(long);
    });
    expect(new Set(await Promise.all(received))).toEqual(new Set([true]));
  });

  /** Writes bytes at the peer, and resolves with the memory of the read that brings them: the receiver holds it. */
  async function borrow({ transport, peer }: TransportPair, bytes: Buffer): Promise<LentMemory> {
    const read = Promise.withResolvers<LentMemory>();
    transport.start({
      received: (chunk, memory) => {
        if (memory === undefined || chunk.length !== bytes.length) return read.reject(new Error("nothing was lent"));
        memory.hold();
        read.resolve(memory);
      },
      drained: () => {},
      ended: () => {},
      closed: () => {},
    });
    peer.write(bytes);
    return read.promise;
  }

  it("lends its memory until the last holder has released it", async () => {
    const memory = await borrow(await open(), pattern(20_000));
    memory.hold();
    memory.release();
    const others = await Promise.all(Array.from({ length: BUFFERS }, () => open()));
    await Promise.all(
      others.map(async ({ transport, peer }) => {
        const recorder = new Recorder();
        transport.start(recorder);
        peer.write("other");
        await recorder.called("received");
      }),
    );
    expect(memory.block.subarray(0, 20_000).equals(pattern(20_000))).toBe(true);
    memory.release();
    expect(memory.block.every((byte) => byte === 0xdd)).toBe(true);
  });

  it("refuses to let its lent memory be transferred", async () => {
    const memory = await borrow(await open(), pattern(2_000));
    expect(() => structuredClone(memory.block, { transfer: [memory.block.buffer] })).toThrow("transfer");
    expect(structuredClone(memory.block).buffer.byteLength).toBeLessThan(70_000);
    memory.release();
  });

  it("lends no memory of short reads, of which no message would stay there", async () => {
    const { transport, peer } = await open();
    const { promise, resolve } = Promise.withResolvers<LentMemory | undefined>();
    const received = (_: Buffer, memory: LentMemory | undefined): void => resolve(memory);
    transport.start({ received, drained: () => {}, ended: () => {}, closed: () => {} });
    peer.write(pattern(1_000));
    expect(await promise).toBeUndefined();
  });

  it("goes on when half of its memory is lent for good", async () => {
    const pairs = await Promise.all(Array.from({ length: BUFFERS }, () => open()));
    const lent: LentMemory[] = [];
    for (const { transport, peer } of pairs) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const received = (_: Buffer, memory: LentMemory | undefined): void => {
        memory?.hold();
        if (memory !== undefined) lent.push(memory);
        resolve();
      };
      transport.start({ received, drained: () => {}, ended: () => {}, closed: () => {} });
      peer.write(pattern(2_000));
      await promise;
    }
    expect(lent.length).toBeGreaterThan(BUFFERS / 4);
    expect(lent.length).toBeLessThan((BUFFERS * 3) / 4);
    for (const memory of lent) memory.release();
  });

  it.each([
    ["at once, with what is written behind them", 30_000, 0],
    ["later, to a peer that doesn't read", 60_000, 8_000_000],
  ])("sends bytes of lent memory, which is the caller's again after the write: %s", async (_, length, before) => {
    const pair = await open();
    const bytes = pattern(length);
    const memory = await borrow(pair, bytes);
    pair.peer.pause();
    const first = Buffer.alloc(before, 1);
    pair.transport.write(first);
    const last = Buffer.from("last");
    pair.transport.write(memory.block.subarray(0, length), memory);
    pair.transport.write(last);
    memory.release();
    pair.transport.end();
    const collected = collect(pair.peer);
    pair.peer.resume();
    const got = await collected;
    expect(got.equals(Buffer.concat([first, bytes, last]))).toBe(true);
    expect(memory.block.every((byte) => byte === 0xdd)).toBe(true);
  });

  it("closes when its source has no handle any more", async () => {
    const transport = sockets.take(new Socket().destroy(), Buffer.alloc(0));
    await new Promise<void>((closed) => {
      transport.start({ received: () => {}, drained: () => {}, ended: () => {}, closed });
    });
    expect(transport.bufferedBytes).toBe(0);
  });
});

async function opened(port: number): Promise<Socket> {
  const peer = connect(port, "127.0.0.1").on("error", () => {});
  onTestFinished(() => void peer.destroy());
  await once(peer, "connect");
  return peer;
}
