import { once } from "node:events";
import { type AddressInfo, connect, createServer, Socket } from "node:net";
import { afterAll, describe, expect, it, onTestFinished } from "vitest";
import { BUFFERS } from "../../../../src/wire/native/receive-buffers.ts";
import { createEstateMemory, settle } from "../../../../src/wire/native/ring.ts";
import { UringSockets } from "../../../../src/wire/transport/uring/uring-sockets.ts";
import type { UringTransport } from "../../../../src/wire/transport/uring/uring-transport.ts";
import { missingUring } from "../../native/availability.ts";
import { itIsATransport } from "../contract.ts";
import { collect, type TransportPair } from "../pair.ts";
import { Recorder } from "../recorder.ts";

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
    // The kernel waits for all of them.
    await new Promise((resolve) => setTimeout(resolve, 20));
    for (const [index, { peer }] of pairs.entries()) peer.write(`from ${index}`);
    await Promise.all(recorders.map((recorder) => recorder.called("received")));
    expect(recorders.map(({ bytes }) => String(bytes))).toEqual(pairs.map((_, index) => `from ${index}`));
  });

  it("closes when its source has no handle any more", async () => {
    const transport = sockets.take(new Socket().destroy(), Buffer.alloc(0));
    await new Promise<void>((closed) => {
      transport.start({ received: () => {}, drained: () => {}, ended: () => {}, closed });
    });
    expect(transport.bufferedBytes).toBe(0);
  });
});
