/** Threads that die while they give a socket away: to Node, or to another thread. */
import { once } from "node:events";
import { closeSync, fstatSync, openSync, readdirSync } from "node:fs";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { devNull } from "node:os";
import { setImmediate as nextTurn } from "node:timers/promises";
import { MessageChannel, Worker } from "node:worker_threads";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { entrustDescriptor } from "../../../../src/wire/native/estate/settlement.ts";
import { duplicate } from "../../../../src/wire/native/pass-descriptors.ts";
import { descriptorOf } from "../../../../src/wire/node-internals/net.ts";
import { UringEstate } from "../../../../src/wire/transport/uring/uring-estate.ts";
import type { PassingTask } from "../../../support/programs/uring-passing.ts";
import { missingUring } from "../../native/availability.ts";

/** `npm run kills:uring` kills more. */
const KILLS = Number(process.env["KILLS"] ?? 6);
vi.setConfig({ testTimeout: 120_000 + KILLS * 10_000 });
const CONNECTIONS = 4;
/** Kills come after at most this number of sockets given away. */
const MAX_GIVEN = 1_000;
const PROGRAM = new URL("../../../support/programs/uring-passing.ts", import.meta.url);

const descriptors = (): number => readdirSync("/proc/self/fd").length;

interface Thread {
  readonly worker: Worker;
  readonly estate: UringEstate;
  readonly given: Int32Array;
  readonly exit: Promise<void>;
}

/** Starts a thread, which says when it runs. */
function startThread(task: Omit<PassingTask, "memory" | "given">, estate: UringEstate): Thread {
  const given = new SharedArrayBuffer(4);
  const { other } = task;
  const worker = new Worker(PROGRAM, {
    workerData: { ...task, memory: estate.memory, given } satisfies PassingTask,
    transferList: other === undefined ? [] : [other.port],
  });
  const exit = new Promise<void>((resolve) => worker.once("exit", () => resolve()));
  return { worker, estate, given: new Int32Array(given), exit };
}

/** Kills a thread at a random moment. Nothing that isn't its own is closed when it is settled. */
async function kill({ worker, estate, given, exit }: Thread): Promise<void> {
  const enough = Math.random() * MAX_GIVEN;
  while ((given[0] as number) < enough) await nextTurn();
  void worker.terminate();
  await exit;
  // These take the numbers that are free.
  const others = Array.from({ length: 64 }, () => openSync(devNull, "r"));
  await estate.settle(() => exit);
  for (const other of others) expect(fstatSync(other).isCharacterDevice()).toBe(true);
  for (const other of others) closeSync(other);
}

describe.skipIf(missingUring !== undefined)("a thread that dies while it gives sockets away", () => {
  let server: Server;
  beforeAll(async () => {
    server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
  });
  afterAll(() => void server.close());

  /** Opens a connection, whose end here belongs to a thread. */
  async function openFor(estate: UringEstate): Promise<{ readonly peer: Socket; readonly descriptor: number }> {
    const peer = connect((server.address() as AddressInfo).port, "127.0.0.1").on("error", () => {});
    const [socket] = (await once(server, "connection")) as [Socket];
    const descriptor = duplicate(descriptorOf(socket));
    socket.destroy();
    expect(entrustDescriptor(estate.memory, descriptor)).toBe(true);
    return { peer: peer.resume(), descriptor };
  }

  async function openAll(estate: UringEstate): Promise<{ readonly peers: Socket[]; readonly descriptors: number[] }> {
    const all: Awaited<ReturnType<typeof openFor>>[] = [];
    while (all.length < CONNECTIONS) all.push(await openFor(estate));
    return { peers: all.map(({ peer }) => peer), descriptors: all.map(({ descriptor }) => descriptor) };
  }

  it(`to Node, leaves none behind, ${KILLS} times in a row`, async () => {
    const before = descriptors();
    for (let i = 0; i < KILLS; i++) {
      const estate = new UringEstate();
      const { peers, descriptors: mine } = await openAll(estate);
      const thread = startThread({ descriptors: mine, other: undefined }, estate);
      await once(thread.worker, "message");
      await kill(thread);
      await vi.waitFor(() => expect(peers.filter(({ closed }) => !closed)).toEqual([]));
    }
    await vi.waitFor(() => expect(descriptors()).toBe(before));
  });

  it(`to another thread, leaves none that neither of them has, ${KILLS} times in a row`, async () => {
    const before = descriptors();
    for (let i = 0; i < KILLS; i++) {
      const estates = [new UringEstate(), new UringEstate()] as const;
      const { port1, port2 } = new MessageChannel();
      const { peers, descriptors: mine } = await openAll(estates[0]);
      const [dying, other] = [
        startThread({ descriptors: mine, other: { port: port1, uringEstate: estates[1].memory } }, estates[0]),
        startThread({ descriptors: [], other: { port: port2, uringEstate: estates[0].memory } }, estates[1]),
      ];
      await Promise.all([dying, other].map(({ worker }) => once(worker, "message")));
      await kill(dying);
      other.worker.postMessage("stop");
      const [kept] = (await once(other.worker, "message")) as [number];
      await vi.waitFor(() => expect(peers.filter(({ closed }) => !closed)).toHaveLength(kept));
      await other.worker.terminate();
      await estates[1].settle(() => other.exit);
      await vi.waitFor(() => expect(peers.filter(({ closed }) => !closed)).toEqual([]));
    }
    await vi.waitFor(() => expect(descriptors()).toBe(before));
  });
});
