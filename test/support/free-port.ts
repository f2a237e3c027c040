/** Ports for tests that must know the port before a server listens on it, or that need a port without a server. */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createServer } from "node:net";

/**
 * The ports that `freePort` gives. Linux and macOS take the ports of clients, and of servers that listen on port 0,
 * from 32,768 on: those could be taken between the moment that a test chooses a port and the moment that it listens.
 */
const FIRST_PORT = 20_000;
const PORT_COUNT = 12_768;

let chosen = Math.floor(Math.random() * PORT_COUNT);

/**
 * Returns a port on which no server listens. Until this process ends, `freePort` returns the port to nobody else, in
 * no other process either: a UDP socket on the same port number keeps the others away.
 */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < PORT_COUNT; attempt++) {
    chosen = (chosen + 1) % PORT_COUNT;
    const port = FIRST_PORT + chosen;
    if ((await isReserved(port)) && (await isUnused(port))) return port;
  }
  throw new Error("each port that tests may use is taken");
}

/** True if this process has reserved the port, false if another process has it. */
async function isReserved(port: number): Promise<boolean> {
  const socket = createSocket("udp4").unref();
  try {
    await once(socket.bind({ port, address: "127.0.0.1", exclusive: true }), "listening");
    return true;
  } catch {
    socket.close();
    return false;
  }
}

/** True if no server listens on the port. */
async function isUnused(port: number): Promise<boolean> {
  const server = createServer();
  try {
    await once(server.listen({ port, host: "127.0.0.1", exclusive: true }), "listening");
  } catch {
    return false;
  }
  server.close();
  await once(server, "close");
  return true;
}
