/**
 * The load of the scenario `stream-resume`: clients that come back all at once. Each subscribes to one of the streams,
 * with `--missed` from a position before the newest publications. A client is counted when everything that it missed
 * has arrived, in order and unharmed. All stay open until the last one is done.
 *
 *     node bench/loads/stream-resume.ts URL [--clients 10000] [--streams 100] [--missed 0] [--at-once 500]
 *         [--duration S] [--warmup S]
 *
 * `--duration` and `--warmup` change nothing: the work is counted, not a time. A fifth of the clients come and go
 * before the counted time.
 */
import { connect, type Socket } from "node:net";
import { parseArgs } from "node:util";
import { countWork } from "./counted.ts";
import { type Position, StreamPublisher } from "./stream-publisher.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    clients: { type: "string", default: "10000" },
    streams: { type: "string", default: "100" },
    missed: { type: "string", default: "0" },
    "at-once": { type: "string", default: "500" },
    duration: { type: "string" },
    warmup: { type: "string" },
  },
});
const KEPT = 100;
const PAYLOAD_BYTES = 100;
const FRAME_BYTES = 2 + PAYLOAD_BYTES;
const [BINARY, TEXT] = [0x82, 0x81];
const DONE = "subscribed";
const WARM_UP_PART = 1 / 5;

const [url = ""] = positionals;
const { hostname, port } = new URL(url);
const [clients, streams, missed] = [Number(values.clients), Number(values.streams), Number(values.missed)];

const publisher = await StreamPublisher.open(url);
const tops: Position[] = [];
for (let stream = 0; stream < streams; stream++) tops.push(await publisher.publish(KEPT, stream, 1));

for (const client of (await comeBack(clients * WARM_UP_PART)).sockets) client.destroy();
await new Promise((resolve) => setTimeout(resolve, 500));
await countWork(async () => {
  const { sockets, latencies, wrong } = await comeBack(clients);
  return { received: sockets.length, lost: clients - sockets.length, wrong, latencies, slipP99Ms: 0 };
});

/** Opens connections, a number of them at a time. Resolves when all of them have what they missed. */
async function comeBack(count: number): Promise<{ sockets: Socket[]; latencies: number[]; wrong: number }> {
  const sockets: Socket[] = [];
  const latencies: number[] = [];
  let wrong = 0;
  let next = 0;
  const one = async (): Promise<void> => {
    while (next < count) {
      const startedAt = performance.now();
      const client = await subscribe(next++ % streams);
      sockets.push(client.socket);
      if (!client.isRight) wrong++;
      latencies.push((performance.now() - startedAt) * 1000);
    }
  };
  await Promise.all(Array.from({ length: Number(values["at-once"]) }, one));
  return { sockets, latencies, wrong };
}

/** Resolves when the server says that the client has subscribed. */
function subscribe(stream: number): Promise<{ readonly socket: Socket; readonly isRight: boolean }> {
  const { epoch, offset } = tops[stream] as Position;
  const position = missed === 0 ? "" : `?epoch=${encodeURIComponent(epoch)}&offset=${offset - missed}`;
  const socket = connect({ host: hostname, port: Number(port), noDelay: true });
  socket.write(
    `GET /stream/${stream}${position} HTTP/1.1\r\nHost: ${hostname}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`,
  );
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    socket.on("data", (chunk: Buffer) => {
      chunks.push(chunk);
      if (chunk.subarray(-DONE.length).toString("latin1") !== DONE) return;
      resolve({ socket, isRight: isRight(Buffer.concat(chunks)) });
    });
    socket.on("error", reject);
    socket.on("close", () => reject(new Error("the server has closed the connection of a client")));
  });
}

/**
 * Checks everything that a client has received: the response, the publications that it missed, and the last message.
 */
function isRight(received: Buffer): boolean {
  if (!received.subarray(0, 12).equals(Buffer.from("HTTP/1.1 101"))) return false;
  let at = received.indexOf("\r\n\r\n") + 4;
  for (let number = KEPT - missed; number < KEPT; number++, at += FRAME_BYTES) {
    if (received[at] !== BINARY || received[at + 1] !== PAYLOAD_BYTES) return false;
    if (received.readUInt32LE(at + 2) !== number) return false;
  }
  return received[at] === TEXT && received.length === at + 2 + DONE.length;
}
