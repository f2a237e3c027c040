/**
 * A thread that moves a connection from Node to io_uring and back, again and again, until it is terminated. The test of the
 * way back starts it as a worker.
 */
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { parentPort, workerData } from "node:worker_threads";
import { UringSockets } from "../../../src/wire/transport/uring/uring-sockets.ts";

const NOTHING = Buffer.alloc(0);
const ROUNDS = 100;

const sockets = new UringSockets(workerData as SharedArrayBuffer);
const server = createServer().listen(0, "127.0.0.1");
await once(server, "listening");
parentPort?.postMessage((server.address() as AddressInfo).port);
let [socket] = (await once(server, "connection")) as [Socket];
server.close();
for (let count = 0; ; count++) {
  for (let round = 0; round < ROUNDS; round++) socket = sockets.take(socket, NOTHING, true).toStream(NOTHING);
  if (count === 1) parentPort?.postMessage("goes");
  await new Promise(setImmediate);
}
