/** Turns of a ring that wait for several completions. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { Worker } from "node:worker_threads";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { createEstateMemory, Ring, settle } from "../../../src/wire/native/ring.ts";
import type { SlotOwner } from "../../../src/wire/native/slots.ts";
import { descriptorOf } from "../../../src/wire/node-internals/net.ts";
import { noop } from "../../../src/wire/protocol/empty.ts";
import { UringSockets } from "../../../src/wire/transport/uring/uring-sockets.ts";
import type { UringTransport } from "../../../src/wire/transport/uring/uring-transport.ts";
import { missingUring } from "./availability.ts";

/** A wait of which few are as long as the time limit of a test. */
const LONG_NS = 20e9;
/** Clients that are many enough for a turn that gathers, and their messages. */
const CLIENTS = 64;
const ROUNDS = 100;

const IDLE: SlotOwner = {
  receivedBytes: noop,
  receiveFailed: noop,
  sendStopped: noop,
  writable: noop,
  accepted: noop,
  released: noop,
};

interface Pair {
  readonly near: Socket;
  readonly far: Socket;
}

async function pair(): Promise<Pair> {
  // Node reads nothing of what comes.
  const server = createServer({ pauseOnConnect: true }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const far = connect((server.address() as AddressInfo).port, "127.0.0.1").setNoDelay();
  const [near] = (await once(server, "connection")) as [Socket];
  server.close();
  onTestFinished(() => {
    near.destroy();
    far.destroy();
  });
  return { near, far };
}

describe.skipIf(missingUring !== undefined)("a turn of a ring that gathers", () => {
  /** Opens a slot for each socket, and begins to receive. What arrives is noted. */
  function receiving(ring: Ring, pairs: readonly Pair[]): string[] {
    const arrived: string[] = [];
    const owner: SlotOwner = { ...IDLE, receivedBytes: (bytes) => void arrived.push(String(bytes)) };
    for (const { near } of pairs) ring.receive(ring.openCopy(descriptorOf(near), owner), true, false);
    return arrived;
  }

  function open(gatherNs: number): Ring {
    const memory = createEstateMemory();
    const ring = new Ring(memory, noop, { entries: 64, gatherNs });
    onTestFinished(() => {
      ring.close();
      settle(memory);
    });
    return ring;
  }

  it.each([
    ["its batch", (): void => {}],
    ["a batch that was handed over before", (ring: Ring): void => void ring.flush(false)],
  ])("waits until there are so many completions, with %s", async (_, prepare) => {
    const pairs = [await pair(), await pair()];
    const ring = open(LONG_NS);
    const arrived = receiving(ring, pairs);
    prepare(ring);
    // The bytes come from another thread, because this one is stopped within the turn.
    const begun = new Int32Array(new SharedArrayBuffer(4));
    const writer = new Worker(
      `const { workerData: { begun, descriptors } } = require("node:worker_threads");
       Atomics.wait(begun, 0, 0);
       for (const descriptor of descriptors) require("node:fs").writeSync(descriptor, "x");`,
      { eval: true, workerData: { begun, descriptors: pairs.map(({ far }) => descriptorOf(far)) } },
    );
    await once(writer, "online");
    Atomics.store(begun, 0, 1);
    Atomics.notify(begun, 0);
    expect(ring.turn(2)).toBe(2);
    expect(arrived).toEqual(["x", "x"]);
    await once(writer, "exit");
  });

  it("ends although nothing comes, and takes what has come", async () => {
    const pairs = [await pair(), await pair()];
    const ring = open(1e6);
    const arrived = receiving(ring, pairs);
    ring.turn();
    const [talking, silent] = pairs as [Pair, Pair];
    await new Promise((resolve) => talking.far.write("x", resolve));
    ring.receive(ring.openCopy(descriptorOf(silent.near), IDLE), true, false);
    ring.turn(3);
    expect(arrived).toEqual(["x"]);
  });

  /** Listens with a ring of its own, and echoes. */
  async function echo(gatherNs: number): Promise<number> {
    const memory = createEstateMemory();
    const sockets = new UringSockets(memory, { gatherNs });
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const accepted = (transport: UringTransport): void =>
      transport.start({
        received: (chunk) => transport.write(Buffer.from(chunk)),
        drained: noop,
        ended: () => transport.destroy(),
        closed: noop,
      });
    const listener = sockets.accept(server, accepted, noop);
    onTestFinished(() => {
      listener.close();
      sockets.close();
      settle(memory);
    });
    return port;
  }

  it("comes about for many connections that are busy", async () => {
    const turns = vi.spyOn(Ring.prototype, "turn");
    onTestFinished(() => turns.mockRestore());
    const port = await echo(1e9);
    const clients = new Worker(
      `const { workerData: { port, clients, rounds } } = require("node:worker_threads");
       for (let client = 0; client < clients; client++) {
         let count = 0;
         const socket = require("node:net").connect(port, "127.0.0.1", () => socket.write("x"));
         socket.on("data", () => (++count === rounds ? socket.destroy() : socket.write("x")));
       }`,
      { eval: true, workerData: { port, clients: CLIENTS, rounds: ROUNDS } },
    );
    await once(clients, "exit");
    const gathered = turns.mock.calls.flatMap(([gather = 0], turn) =>
      gather > 0 ? [turns.mock.results[turn]?.value as number] : [],
    );
    expect(Math.max(...gathered)).toBeGreaterThanOrEqual(6);
  });

  it("doesn't come about for few connections", async () => {
    const port = await echo(LONG_NS);
    const peers = [connect(port, "127.0.0.1"), connect(port, "127.0.0.1")];
    onTestFinished(() => peers.forEach((peer) => void peer.destroy()));
    await Promise.all(
      peers.map(async (peer) => {
        for (let round = 0; round < ROUNDS; round++) {
          peer.write("x");
          expect(String((await once(peer, "data"))[0])).toBe("x");
        }
      }),
    );
  });
});
