/**
 * The load for `bench/echo.ts`, in a process of its own: N connections over plain sockets, each with K messages in flight. Prints one line of
 * JSON: messages per second in the counted time.
 */
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { connect } from "node:net";
import { parseArgs } from "node:util";

const { values } = parseArgs({
  options: {
    port: { type: "string" },
    connections: { type: "string", default: "100" },
    bytes: { type: "string", default: "20" },
    inflight: { type: "string", default: "1" },
    warmup: { type: "string", default: "1000" },
    time: { type: "string", default: "4000" },
  },
});
const payloadBytes = Number(values.bytes);
const inflight = Number(values.inflight);
const message = maskedBinary(payloadBytes);
const replyBytes = payloadBytes + (payloadBytes < 126 ? 2 : payloadBytes < 65_536 ? 4 : 10);
/** Sends for 1 to `inflight` replies at once, so that a burst of replies is answered with one write. */
const bursts = Array.from({ length: inflight + 1 }, (_, n) => Buffer.concat(Array(n).fill(message)));

let received = 0;
const sockets = await Promise.all(Array.from({ length: Number(values.connections) }, open));
for (const socket of sockets) socket.write(bursts[inflight] as Buffer);
await wait(Number(values.warmup));
console.log("start");
const before = received;
const startedAt = performance.now();
const cpuBefore = process.cpuUsage();
await wait(Number(values.time));
const seconds = (performance.now() - startedAt) / 1000;
const cpu = process.cpuUsage(cpuBefore);
console.log(JSON.stringify({ messages: received - before, seconds, load: (cpu.user + cpu.system) / 1e6 / seconds }));
process.exit(0);

async function open() {
  const socket = connect({ port: Number(values.port), host: "127.0.0.1", noDelay: true });
  socket.write(
    `GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString("base64")}\r\n\r\n`,
  );
  const [answer] = (await once(socket, "data")) as [Buffer];
  if (!answer.toString("latin1").startsWith("HTTP/1.1 101")) throw new Error(answer.toString());
  let waiting = 0;
  socket.on("data", (chunk: Buffer) => {
    waiting += chunk.length;
    const replies = Math.floor(waiting / replyBytes);
    if (replies === 0) return;
    waiting -= replies * replyBytes;
    received += replies;
    socket.write(bursts[replies] as Buffer);
  });
  return socket;
}

function maskedBinary(bytes: number): Buffer {
  const key = randomBytes(4);
  const head =
    bytes < 126 ? Buffer.from([0x82, 0x80 | bytes]) : Buffer.from([0x82, 0x80 | 126, bytes >> 8, bytes & 0xff]);
  return Buffer.concat([head, key, randomBytes(bytes)]);
}

function wait(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
