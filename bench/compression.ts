/**
 * Measures the cost of compression: CPU for one message, by size and by zlib API, and memory of a shard for one idle
 * connection. Run by hand.
 *
 *     node bench/compression.ts [--connections 2000]
 */
import { fork } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { parseArgs, promisify } from "node:util";
import * as zlib from "node:zlib";
import { type StartOptions, Switchboard } from "../src/index.ts";

const { values } = parseArgs({
  options: { connections: { type: "string", default: "2000" }, serve: { type: "string" } },
});

if (values.serve !== undefined) await serve(JSON.parse(values.serve));
else {
  for (const bytes of [64, 1024, 4096, 65_536]) await compareZlibCalls(records(bytes));
  const connections = Number(values.connections);
  for (const compression of [false, true, { contextTakeover: true, windowBits: 11 }, { contextTakeover: true }]) {
    const bytes = await idleMemory(compression, connections);
    console.log(`idle, compression ${JSON.stringify(compression)}: ${(bytes / 1024).toFixed(1)} KiB a connection`);
  }
  process.exit(0);
}

/** Makes JSON like that of an application, of the given length. */
function records(bytes: number): Buffer {
  let text = "";
  for (let id = 0; text.length < bytes; id++) {
    text += JSON.stringify({
      id,
      name: `user${Math.floor(Math.random() * 1e6)}`,
      price: Math.random() * 100,
      at: Date.now(),
    });
  }
  return Buffer.from(text.slice(0, bytes));
}

async function compareZlibCalls(message: Buffer): Promise<void> {
  const flush = { finishFlush: zlib.constants.Z_SYNC_FLUSH };
  const options = { ...flush, level: 3 };
  const small = zlib.deflateRawSync(message, options);
  const dictionary = records(32 * 1024);
  const [deflate, inflate] = [promisify(zlib.deflateRaw), promisify(zlib.inflateRaw)] as [
    (bytes: Buffer, options: zlib.ZlibOptions) => Promise<Buffer>,
    (bytes: Buffer, options: zlib.ZlibOptions) => Promise<Buffer>,
  ];
  const [deflater, inflater] = [zlib.createDeflateRaw({ level: 3 }), zlib.createInflateRaw()];
  const through = (stream: typeof deflater | typeof inflater, bytes: Buffer): Promise<void> => {
    stream.resume().write(bytes);
    return new Promise((resolve) => stream.flush(zlib.constants.Z_SYNC_FLUSH, resolve));
  };
  const calls = {
    "deflate sync": () => zlib.deflateRawSync(message, options),
    "deflate sync, dictionary": () => zlib.deflateRawSync(message, { ...options, dictionary }),
    "deflate async": () => deflate(message, options),
    "deflate persistent stream": () => through(deflater, message),
    "inflate sync": () => zlib.inflateRawSync(small, flush),
    "inflate sync, dictionary": () => zlib.inflateRawSync(small, { ...flush, dictionary }),
    "inflate async": () => inflate(small, flush),
    "inflate persistent stream": () => through(inflater, small),
  };
  console.log(`${message.length} bytes, compressed ${small.length}`);
  for (const [name, run] of Object.entries(calls)) {
    for (let i = 0; i < 50; i++) await run();
    const before = process.cpuUsage();
    const start = performance.now();
    let runs = 0;
    for (; performance.now() - start < 300; runs++) await run();
    const { user, system } = process.cpuUsage(before);
    const wall = ((performance.now() - start) / runs) * 1000;
    console.log(
      `  ${name.padEnd(26)} ${wall.toFixed(0).padStart(5)} µs, CPU ${((user + system) / runs).toFixed(0)} µs`,
    );
  }
}

/**
 * Measures the memory that a connection adds to a server after one message of 60 KB, in bytes. The message is
 * compressed if the server compresses.
 */
async function idleMemory(compression: StartOptions["compression"], connections: number): Promise<number> {
  const server = fork(import.meta.filename, ["--serve", JSON.stringify(compression)]);
  const [port] = (await once(server, "message")) as [number];
  // The first connections aren't counted: they also pay for code, and for garbage that isn't collected yet.
  const first = await openMany(port, connections, compression !== false);
  const before = residentBytes(server.pid);
  const sockets = await openMany(port, connections, compression !== false);
  const grown = residentBytes(server.pid) - before;
  for (const socket of [...first, ...sockets]) socket.destroy();
  server.kill();
  await once(server, "exit");
  return grown / connections;
}

async function openMany(port: number, count: number, compressed: boolean): Promise<Socket[]> {
  const sockets: Socket[] = [];
  for (let i = 0; i < count; i++) sockets.push(await openOne(port, compressed));
  return sockets;
}

/** Opens a connection, sends one message, and waits for the end of the echo. */
async function openOne(port: number, compressed: boolean): Promise<Socket> {
  const socket = connect({ port, host: "127.0.0.1" });
  const offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";
  socket.write(
    `GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString("base64")}\r\n${compressed ? offer : ""}\r\n`,
  );
  await once(socket, "data");
  const payload = compressed
    ? zlib.deflateRawSync(records(60_000), { windowBits: 9, finishFlush: zlib.constants.Z_SYNC_FLUSH }).subarray(0, -4)
    : records(60_000);
  // A masking key of zeros leaves the payload as it is.
  const header = Buffer.from([compressed ? 0xc2 : 0x82, 0xfe, payload.length >> 8, payload.length & 0xff, 0, 0, 0, 0]);
  socket.write(Buffer.concat([header, payload, Buffer.from([0x89, 0x80, 0, 0, 0, 0])]));
  // The pong, which comes last, ends the echo.
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
    if ((chunk as Buffer).subarray(-2).equals(Buffer.from([0x8a, 0x00]))) break;
  }
  return socket;
}

/** Reads the resident memory of a process, in bytes. */
function residentBytes(pid: number | undefined): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) * 1024;
}

async function serve(compression: NonNullable<StartOptions["compression"]>): Promise<void> {
  const actor = new URL("./targets/actors/echo.ts", import.meta.url);
  const board = await Switchboard.start({ actor, shards: 1, compression });
  const { port } = await board.listen({ port: 0, host: "127.0.0.1" });
  process.send?.(port);
}
