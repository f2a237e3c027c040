import { AsyncLocalStorage } from "node:async_hooks";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { performance } from "node:perf_hooks";
import { setTimeout as delay } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { afterAll, describe, expect, it, onTestFinished } from "vitest";
import { createEstateMemory, settle } from "../../../../src/wire/native/ring.ts";
import { UringEstate } from "../../../../src/wire/transport/uring/uring-estate.ts";
import { UringSockets } from "../../../../src/wire/transport/uring/uring-sockets.ts";
import type { UringTransport } from "../../../../src/wire/transport/uring/uring-transport.ts";
import { missingUring } from "../../native/availability.ts";
import { Recorder } from "../recorder.ts";

describe.skipIf(missingUring !== undefined)("the loop of a ring", () => {
  const memory = createEstateMemory();
  const sockets = new UringSockets(memory);
  afterAll(() => {
    sockets.close();
    settle(memory);
  });

  async function open(): Promise<{ readonly transport: UringTransport; readonly peer: Socket }> {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const accepted = Promise.withResolvers<UringTransport>();
    const listener = sockets.accept(server, accepted.resolve, accepted.reject);
    const peer = connect(port, "127.0.0.1");
    const transport = await accepted.promise;
    listener.close();
    onTestFinished(() => {
      transport.destroy();
      peer.destroy();
    });
    return { transport, peer };
  }

  it("lets the event loop sleep while nothing happens", async () => {
    const { transport } = await open();
    transport.start(new Recorder());
    await delay(50);
    const before = performance.nodeTiming.uvMetricsInfo.loopCount;
    await delay(200);
    // A loop that doesn't sleep makes a hundred thousand turns in this time.
    expect(performance.nodeTiming.uvMetricsInfo.loopCount - before).toBeLessThan(500);
  });

  it("wakes for bytes, and for what a timer writes", async () => {
    const { transport, peer } = await open();
    const receiver = new Recorder();
    transport.start(receiver);
    await delay(20);
    peer.write("wake");
    await receiver.called("received");
    setTimeout(() => transport.write(Buffer.from("from a timer")), 20);
    expect(String((await once(peer, "data"))[0])).toBe("from a timer");
  });

  it("lets timers run under load", async () => {
    const { transport, peer } = await open();
    let echoes = 0;
    transport.start({
      received: (chunk) => transport.write(Buffer.from(chunk)),
      drained: () => {},
      ended: () => {},
      closed: () => {},
    });
    peer.on("data", () => {
      echoes++;
      peer.write("again");
    });
    peer.write("begin");
    for (let timers = 0; timers < 5; timers++) await delay(1);
    expect(echoes).toBeGreaterThan(0);
  });

  it("takes no async context from one turn to the next", async () => {
    const { transport, peer } = await open();
    const storage = new AsyncLocalStorage<string>();
    const stores: (string | undefined)[] = [];
    const receiver = new Recorder((call) => {
      if (call !== "received") return;
      stores.push(storage.getStore());
      storage.enterWith("leaked");
    });
    transport.start(receiver);
    for (let count = 1; count <= 3; count++) {
      peer.write("message");
      await receiver.until(() => receiver.count("received") >= count);
    }
    expect(stores).toEqual([undefined, undefined, undefined]);
  });

  it("wakes a thread that sleeps, and has no timers, for bytes from elsewhere", async () => {
    const estate = new UringEstate();
    const program = new URL("../../../support/programs/uring-echo.ts", import.meta.url);
    const worker = new Worker(program, { workerData: estate.memory });
    onTestFinished(async () => {
      await worker.terminate();
      await estate.settle(async () => {});
    });
    const [port] = (await once(worker, "message")) as [number];
    const peer = connect(port, "127.0.0.1");
    await once(peer, "connect");
    const delays: number[] = [];
    for (let count = 0; count < 5; count++) {
      // The thread falls asleep.
      await delay(50);
      const startedAt = performance.now();
      peer.write("hello");
      await once(peer, "data");
      delays.push(performance.now() - startedAt);
    }
    // Without the alarm something else wakes the thread, after 8 to 30 seconds.
    expect(Math.max(...delays)).toBeLessThan(4_000);
  });

  it("goes on after an exception of a receiver, if the thread does", async () => {
    const estate = new UringEstate();
    const program = new URL("../../../support/programs/uring-echo.ts", import.meta.url);
    const worker = new Worker(program, { workerData: estate.memory });
    onTestFinished(async () => {
      await worker.terminate();
      await estate.settle(async () => {});
    });
    const [port] = (await once(worker, "message")) as [number];
    const [thrower, other] = [connect(port, "127.0.0.1"), connect(port, "127.0.0.1")];
    for (const peer of [thrower, other])
      await once(
        peer.on("error", () => {}),
        "connect",
      );
    thrower.write("throw and survive");
    other.write("hello");
    expect(String((await once(other, "data"))[0])).toBe("hello");
    other.write("still");
    expect(String((await once(other, "data"))[0])).toBe("still");
  });
});
