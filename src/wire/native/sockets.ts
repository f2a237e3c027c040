/** System calls on the descriptors of sockets. The ring and its transports use them. */
import { bind, type CFunction } from "./libc.ts";

const ONE = { return: "int32", arguments: ["int32"] } as const;
const TWO = { return: "int32", arguments: ["int32", "int32"] } as const;
const THREE = { return: "int32", arguments: ["int32", "int32", "int32"] } as const;
const NAME = { return: "int32", arguments: ["int32", "pointer", "pointer"] } as const;
const OPTION = { return: "int32", arguments: ["int32", "int32", "int32", "pointer", "uint32"] } as const;
const TO_TEXT = { return: "pointer", arguments: ["int32", "pointer", "pointer", "uint32"] } as const;

interface Calls {
  readonly close: CFunction<typeof ONE>;
  readonly shutdown: CFunction<typeof TWO>;
  readonly fcntl: CFunction<typeof THREE>;
  readonly getpeername: CFunction<typeof NAME>;
  readonly setsockopt: CFunction<typeof OPTION>;
  readonly inet_ntop: CFunction<typeof TO_TEXT>;
}

let bound: Calls | undefined;

function calls(): Calls {
  bound ??= {
    close: bind("close", ONE),
    shutdown: bind("shutdown", TWO),
    fcntl: bind("fcntl", THREE),
    getpeername: bind("getpeername", NAME),
    setsockopt: bind("setsockopt", OPTION),
    inet_ntop: bind("inet_ntop", TO_TEXT),
  };
  return bound;
}

const F_GETFL = 3;
const F_SETFL = 4;
const O_NONBLOCK = 0x800;
const IPPROTO_TCP = 6;
const TCP_NODELAY = 1;
const TCP_DEFER_ACCEPT = 9;
const AF_INET = 2;

/** Directions that `shutDown` ends. */
export const READ_AND_WRITE = 2;
export const WRITE = 1;

/** Closes a descriptor that no object of Node owns. */
export function closeDescriptor(descriptor: number): void {
  calls().close(descriptor);
}

/** Ends one direction of a socket, or both. An error means that the peer is gone. */
export function shutDown(descriptor: number, directions: typeof WRITE | typeof READ_AND_WRITE): void {
  calls().shutdown(descriptor, directions);
}

/**
 * Lets calls on a socket wait. The ring waits for sockets by itself, but only for those that don't say no: a receive on
 * a socket that never waits fails at once with EAGAIN.
 */
export function letWait(descriptor: number): void {
  const { fcntl } = calls();
  fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL, 0) & ~O_NONBLOCK);
}

const ENABLED = new Int32Array([1]);

/** Sends small writes at once (TCP_NODELAY). A listening socket passes the option on to the sockets it accepts. */
export function sendAtOnce(descriptor: number): void {
  calls().setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, ENABLED, ENABLED.byteLength);
}

/**
 * Lets a listening socket accept a connection when its first bytes come (TCP_DEFER_ACCEPT). The kernel accepts a
 * connection without bytes after a second, about. Other sockets than those of TCP stay as they are.
 */
export function deferAccept(descriptor: number): void {
  calls().setsockopt(descriptor, IPPROTO_TCP, TCP_DEFER_ACCEPT, ENABLED, ENABLED.byteLength);
}

const peer = Buffer.alloc(128);
const peerLength = new Uint32Array(1);
const text = Buffer.alloc(64);

/** Returns the address of a socket's other end, as `net.Socket.remoteAddress` has it; undefined if it is gone. */
export function peerAddress(descriptor: number): string | undefined {
  const { getpeername, inet_ntop } = calls();
  peerLength[0] = peer.length;
  if (getpeername(descriptor, peer, peerLength) !== 0) return undefined;
  const family = peer.readUInt16LE(0);
  const address = peer.subarray(family === AF_INET ? 4 : 8);
  if (inet_ntop(family, address, text, text.length) === 0n) return undefined;
  return text.toString("latin1", 0, text.indexOf(0));
}
