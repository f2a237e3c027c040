import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Worker } from "node:worker_threads";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { UringEstate } from "../../../../src/wire/transport/uring/uring-estate.ts";
import { missingUring } from "../../native/availability.ts";

/** `npm run kills:uring` kills more. */
const KILLS = Number(process.env["KILLS"] ?? 10);
vi.setConfig({ testTimeout: 120_000 + KILLS * 10_000 });
const PEERS = 20;
/** Longer than a second only because test machines are busy. */
const PROMPTLY_MS = 8_000;
const PROGRAM = new URL("../../../support/programs/uring-echo.ts", import.meta.url);
const WAYS = ["terminate", "exit", "throw", "spin", "fill the heap"];

const descriptors = (): number => readdirSync("/proc/self/fd").length;

/** The lists of dead threads are memory that only the garbage collector frees. */
function collectGarbage(): void {
  setFlagsFromString("--expose-gc");
  runInNewContext("gc")();
}

interface EchoThread {
  readonly worker: Worker;
  readonly estate: UringEstate;
  readonly port: number;
  /** Resolves when the thread has ended. */
  readonly exit: Promise<unknown>;
}

async function startThread(): Promise<EchoThread> {
  const estate = new UringEstate();
  const worker = new Worker(PROGRAM, {
    workerData: estate.memory,
    resourceLimits: { maxOldGenerationSizeMb: 32, maxYoungGenerationSizeMb: 4 },
  });
  const exit = new Promise((resolve) => worker.once("exit", resolve));
  worker.on("error", () => {});
  const [port] = (await once(worker, "message")) as [number];
  return { worker, estate, port, exit };
}

async function openPeer(port: number): Promise<Socket> {
  const peer = connect(port, "127.0.0.1");
  peer.on("error", () => {});
  await once(peer, "connect");
  const echoed = once(peer, "data");
  peer.write("hello");
  expect(String((await echoed)[0])).toBe("hello");
  return peer.resume();
}

/** Kills a thread with open connections. Returns the milliseconds from its end until the last peer saw its own. */
async function kill(way: string): Promise<number> {
  const { worker, estate, port, exit } = await startThread();
  const peers = await Promise.all(Array.from({ length: PEERS }, () => openPeer(port)));
  const closed = Promise.all(peers.map((peer) => new Promise((resolve) => peer.once("close", resolve))));
  if (way === "terminate") void worker.terminate();
  else peers[0]?.write(way);
  if (way === "spin") {
    // The write must have arrived: the thread answers nobody any more.
    peers[1]?.write("anybody?");
    void worker.terminate();
  }
  await exit;
  const endedAt = performance.now();
  await estate.settle(() => exit.then(() => {}));
  await closed;
  const tookMs = performance.now() - endedAt;
  const refused = connect(port, "127.0.0.1");
  const [error] = await once(refused, "error");
  expect(error).toMatchObject({ code: "ECONNREFUSED" });
  return tookMs;
}

describe.skipIf(missingUring !== undefined)("a thread with io_uring that dies", () => {
  it.each(WAYS)("leaves no peer waiting and no port taken: %s", async (way) => {
    expect(await kill(way)).toBeLessThan(PROMPTLY_MS);
  });

  it("leaves no peer waiting for longer than a deadline when it doesn't end, and closes the rest later", async () => {
    const folder = mkdtempSync(join(tmpdir(), "switchboard-wedge-"));
    // Workers inherit the environment.
    process.env["WEDGE_FOLDER"] = folder;
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    const { worker, estate, port, exit } = await startThread();
    const peers = await Promise.all(Array.from({ length: PEERS }, () => openPeer(port)));
    const closed = Promise.all(peers.map((peer) => new Promise((resolve) => peer.once("close", resolve))));
    peers[0]?.write("wedge");
    await vi.waitFor(() => expect(existsSync(join(folder, "wedged"))).toBe(true));
    peers[1]?.write("anybody?");
    void worker.terminate();
    let hasEnded = false;
    void exit.then(() => {
      hasEnded = true;
    });
    await estate.settle(() => exit.then(() => {}));
    await closed;
    expect(hasEnded).toBe(false);
    rmSync(folder, { recursive: true });
    await exit;
    await vi.waitFor(async () => {
      const [error] = await once(connect(port, "127.0.0.1"), "error");
      expect(error).toMatchObject({ code: "ECONNREFUSED" });
    });
  });

  it("leaves nothing behind when peers send more than its buffers hold, and connect, while it is stopped", async () => {
    await kill("terminate");
    const before = descriptors();
    const { worker, estate, port, exit } = await startThread();
    const peers = await Promise.all(Array.from({ length: PEERS }, () => openPeer(port)));
    const stopped = once(worker, "message");
    peers[0]?.write("stop for good");
    await stopped;
    // Each peer sends until the kernel takes no more: far more than all buffers of the ring hold.
    const full = Buffer.alloc(1024 * 1024);
    for (const peer of peers.slice(1)) while (peer.writableLength < 8 * full.length) peer.write(full);
    const late = Array.from({ length: PEERS }, () => connect(port, "127.0.0.1").on("error", () => {}));
    await Promise.all(late.map((peer) => once(peer, "connect")));
    // A connection without bytes would wait in the kernel, which tells its peer nothing when the port closes.
    for (const peer of late) peer.write("x");
    const all = [...peers, ...late.map((peer) => peer.resume())];
    const closed = Promise.all(all.map((peer) => new Promise((resolve) => peer.once("close", resolve))));
    void worker.terminate();
    await estate.settle(() => exit.then(() => {}));
    await closed;
    await vi.waitFor(() => expect(descriptors()).toBe(before));
  });

  it(`leaves no descriptor and no memory behind, ${KILLS} times in a row`, async () => {
    // What is allocated once is allocated now, such as the arenas of malloc that a heap at its limit needs.
    for (const way of WAYS) await kill(way);
    collectGarbage();
    const before = { descriptors: descriptors(), rss: process.memoryUsage.rss() };
    for (let i = 0; i < KILLS; i++) await kill(WAYS[i % WAYS.length] as string);
    collectGarbage();
    const grownBytes = process.memoryUsage.rss() - before.rss;
    console.log(`${KILLS} kills: ${descriptors() - before.descriptors} descriptors, ${grownBytes} bytes`);
    expect(descriptors()).toBe(before.descriptors);
    // A ring with its buffers has 24 MB, of which a few are touched: a leak of one in four would show.
    expect(grownBytes).toBeLessThan(40_000_000);
  });
});
