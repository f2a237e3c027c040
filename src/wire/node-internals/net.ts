/** Private parts of `node:net` and `node:tls`. The transports, the acceptors and the load generator use them. */
import type { Server, Socket, SocketConstructorOpts } from "node:net";
import type { TLSSocket } from "node:tls";
import type { MessagePort } from "node:worker_threads";
import { missingError } from "./missing.ts";

/** The native object below a `net.Socket` or a `net.Server` (`src/tcp_wrap.cc`). */
export interface TcpHandle {
  /**
   * Number of the descriptor (`src/stream_base.cc`); -1 after the handle was closed or moved. Undefined on Windows.
   * Without `fd` nobody notices that few descriptors are left, and a socket that couldn't be moved counts as moved
   * until its deadline (`ERR_HANDOFF_TIMEOUT`).
   */
  readonly fd: number | undefined;
  close(): void;
}

/**
 * Returns the number of bytes of a handle's writes that the operating system hasn't taken: exact at every moment.
 * Source: `writeQueueSize` of the handles of streams (`src/stream_wrap.cc`). Throws `ERR_NODE_INTERNALS`.
 */
export function unsentBytesOf(handle: object): number {
  const { writeQueueSize } = handle as { readonly writeQueueSize?: unknown };
  if (typeof writeQueueSize !== "number") throw missingError("writeQueueSize of a handle");
  return writeQueueSize;
}

/** Owner of a handle: a `net.Socket`, or an object in its place (`ownerOf`). */
export interface HandleOwner {
  /** Property of `net.Socket` and `net.Server` (`lib/net.js`). Without it no socket can become a transport or move. */
  _handle: object | null;
}

/**
 * Returns the handle of a socket or a server; null after it was closed, moved or taken. Throws `ERR_NODE_INTERNALS`.
 */
export function handleOf(owner: Socket | Server): TcpHandle | null {
  const { _handle: handle } = owner as unknown as { readonly _handle?: TcpHandle | null };
  if (handle === undefined) throw missingError("net.Socket._handle");
  return handle;
}

/** Takes the handle out of its owner, which is of no use afterwards. Throws `ERR_NODE_INTERNALS`. */
export function takeHandle(source: Socket | Server | HandleOwner): object | null {
  const owner = source as HandleOwner;
  const { _handle: handle } = owner as Partial<HandleOwner>;
  if (handle === undefined) throw missingError("net.Socket._handle");
  owner._handle = null;
  return handle;
}

/** Returns an owner for a handle that no socket was created for. */
export function ownerOf(handle: object): HandleOwner {
  return { _handle: handle };
}

/** A TCP handle that has no descriptor yet. */
export interface EmptyTcpHandle extends TcpHandle {
  /** Takes a descriptor over. Returns 0, or a negative error number. Source: `Open` in `src/tcp_wrap.cc`. */
  open(descriptor: number): number;
}

/**
 * The class of TCP handles (`TCP` in `src/tcp_wrap.cc`). Its argument is the kind that `async_hooks` shows: see
 * `handleKinds`.
 */
export type TcpHandleClass = new (kind: number) => EmptyTcpHandle;

/** `TCPConstants` of `src/tcp_wrap.cc`. */
export const handleKinds = { socket: 0, server: 1 } as const;

/**
 * Returns the class of a TCP handle, which Node gives out in no other way. Without it a socket can't become one of Node
 * again: throws `ERR_NODE_INTERNALS`.
 */
export function classOf(handle: TcpHandle): TcpHandleClass {
  const { constructor: handleClass, open } = handle as Partial<EmptyTcpHandle>;
  if (typeof handleClass !== "function" || typeof open !== "function") throw missingError("open of a TCP handle");
  return handleClass as TcpHandleClass;
}

/**
 * Returns the options of a `net.Socket` over a handle. The socket doesn't read by itself. `handle` and `manualStart`
 * are private options of `net.Socket` (`lib/net.js`). Without them the new socket has no handle: `checkHandle` throws.
 */
export function optionsOver(handle: object | null, options: SocketConstructorOpts): SocketConstructorOpts {
  const all: object = { ...options, handle, manualStart: true };
  return all;
}

/** Throws `ERR_NODE_INTERNALS` for a socket that was created with `optionsOver` and has another handle. */
export function checkHandle(socket: Socket, handle: object | null): void {
  if (handleOf(socket) !== handle) throw missingError("option `handle` of net.Socket");
}

/** Returns the number of the descriptor of a stream; -1 for a stream without a descriptor, such as one of HTTP/2. */
export function descriptorOf(stream: object): number {
  const { _handle: handle } = stream as { readonly _handle?: { readonly fd?: number } | null };
  return handle?.fd ?? -1;
}

/** The handle of a listening server. */
export interface ListeningHandle {
  setNoDelay?(on: boolean): number;
  /**
   * Node calls this function for each accepted connection (set in `lib/net.js`, called in `src/connection_wrap.cc`).
   * Without it the shards accept through the server's own sockets, for a fifth more CPU per connection.
   */
  onconnection: (this: ListeningHandle, error: number, client: object | null | undefined) => void;
}

/** Returns the handle of a listening server; undefined when this Node has no `onconnection`. */
export function listeningHandleOf(server: Server): ListeningHandle | undefined {
  const { _handle: handle } = server as unknown as { readonly _handle?: ListeningHandle | null };
  return typeof handle?.onconnection === "function" ? handle : undefined;
}

/** The options of `net.createServer` that a server can get later. */
export interface AcceptOptions {
  readonly noDelay?: boolean;
  readonly allowHalfOpen?: boolean;
  readonly pauseOnConnect?: boolean;
}

/**
 * Sets options of a server that has moved here, or listens already: they are fields of `net.Server`, which Node reads
 * for each connection (`onconnection` in `lib/net.js`). Without the fields the server's sockets have Node's defaults:
 * they close with the peer's end, and small writes wait for acknowledgements.
 */
export function setAcceptOptions(server: Server, options: AcceptOptions): void {
  Object.assign(server, options);
}

/** Returns these options of a server. Source: as for `setAcceptOptions`. */
export function acceptOptionsOf(server: Server): AcceptOptions {
  const { noDelay = false, allowHalfOpen = false, pauseOnConnect = false } = server as Server & AcceptOptions;
  return { noDelay, allowHalfOpen, pauseOnConnect };
}

/**
 * Lets a socket be moved on which bytes were read and written. Node (24.20, 26.6 and newer) moves only sockets whose
 * two byte counters are 0, lest bytes be left behind (`assertTransferableSocket` in `lib/net.js`). The caller has taken
 * every byte read and flushed every byte written. If Node looked elsewhere, each post would throw: the handoff fails
 * with Node's error, and the socket is closed.
 */
export function makeTransferable(socket: Socket): void {
  Object.defineProperty(socket, "bytesRead", { value: 0 });
  Object.defineProperty(socket, "bytesWritten", { value: 0 });
}

/** Returns a socket or a server as an entry of a transfer list. Documented; Node's types don't know it. */
export function transferable(owner: Socket | Server | object): MessagePort {
  return owner as unknown as MessagePort;
}

/**
 * Writes through `_write`, the hook below a stream's own queue (`Socket.prototype._write` in `lib/net.js`), which saves
 * a microsecond per write. Only one write at a time; `done` is called within this call if the system takes everything
 * at once. Without the hook the first write throws a `TypeError`.
 */
export function writeBelowQueue(socket: Socket, bytes: Buffer, done: (error?: Error | null) => void): void {
  socket._write(bytes, "buffer" as BufferEncoding, done);
}

/**
 * Ends our direction through `_final`, the hook that goes with `_write` (`lib/net.js`): `end` would take a microsecond
 * or two more. Without the hook the first end throws a `TypeError`.
 */
export function endBelowQueue(socket: Socket, done: (error?: Error | null) => void): void {
  socket._final(done);
}

/**
 * Returns the accepted socket below a TLS socket of a server (`_parent` in `lib/internal/tls/wrap.js`; `_tls_wrap.js`
 * in older Nodes). Undefined when this Node has no `_parent`: then nobody can tell which accepted socket, and which
 * place in the count, a TLS handshake belongs to, and the shard closes each TLS socket with an event `acceptFailed`.
 */
export function socketBelow(socket: TLSSocket): Socket | undefined {
  return (socket as unknown as { readonly _parent?: Socket })._parent;
}
