/**
 * A thread that echoes bytes over io_uring and dies as its peers tell it. The tests of dead threads start it as a
 * worker.
 */
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { parentPort, workerData } from "node:worker_threads";
import { UringSockets } from "../../../src/wire/transport/uring/uring-sockets.ts";

const ways: Readonly<Record<string, () => void>> = {
  exit: () => process.exit(),
  throw: () => {
    throw new Error("thrown by the thread");
  },
  "throw and survive": () => {
    process.once("uncaughtException", () => {});
    throw new Error("thrown by the thread");
  },
  spin: () => {
    for (;;);
  },
  "stop for good": () => {
    parentPort?.postMessage("stops");
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  },
  wedge: () => {
    // A call of C that `terminate` doesn't end, until the folder is gone that the test has made.
    const folder = process.env["WEDGE_FOLDER"] ?? "";
    spawnSync("sh", ["-c", 'touch "$0/wedged"; while [ -e "$0" ]; do sleep 0.05; done', folder]);
  },
  "fill the heap": () => {
    const kept: number[][] = [];
    for (;;) kept.push(new Array(10_000).fill(1));
  },
};

const sockets = new UringSockets(workerData as SharedArrayBuffer);
const server = createServer().listen(0, "127.0.0.1");
await once(server, "listening");
const { port } = server.address() as AddressInfo;
sockets.accept(
  server,
  (transport) =>
    transport.start({
      received: (chunk) => {
        ways[chunk.toString()]?.();
        transport.write(Buffer.from(chunk));
      },
      drained: () => {},
      ended: () => transport.end(),
      closed: () => {},
    }),
  (error) => {
    throw error;
  },
);
parentPort?.on("message", () => {});
parentPort?.postMessage(port);
