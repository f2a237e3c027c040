/**
 * The parts of `node:net` and `node:tls` that Node's types and documents don't show. The transports and the acceptors
 * reach them only through this file. `test/wire/transport/node-internals.test.ts` fails when a Node has one no longer.
 */
import type { Server, Socket } from "node:net";
import type { TLSSocket } from "node:tls";

/** The object below a `net.Socket` or a `net.Server`, seen in Node 20 to 26. */
export interface TcpHandle {
  /** Number of the descriptor; -1 after the handle was closed or moved. On Windows undefined. */
  readonly fd: number;
  close(): void;
}

/**
 * Owner of a handle: a `net.Socket`, or an object in its place. Seen in Node 20 to 26. Without the handle no socket can
 * become a transport.
 */
export interface HandleOwner {
  _handle: object | null;
}

/** Returns the handle of a socket or a server; null after it was closed, moved or taken. */
export function handleOf(owner: Socket | Server): TcpHandle | null {
  return (owner as unknown as HandleOwner)._handle as TcpHandle | null;
}

/** Takes the handle out of its owner, which is of no use afterwards. */
export function takeHandle(source: Socket | HandleOwner): object | null {
  const owner = source as HandleOwner;
  const handle = owner._handle;
  owner._handle = null;
  return handle;
}

/** Returns the number of the descriptor of a stream; -1 for a stream without a descriptor, such as one of HTTP/2. */
export function descriptorOf(stream: object): number {
  const { _handle: handle } = stream as { readonly _handle?: { readonly fd?: number } | null };
  return handle?.fd ?? -1;
}

/**
 * The handle of a listening server. Node calls `onconnection` for each accepted connection, seen in Node 20 to 26.
 * Without `onconnection` the shards accept through the server's own sockets, for a fifth more CPU per connection.
 */
export interface ListeningHandle {
  setNoDelay?(on: boolean): number;
  onconnection: (this: ListeningHandle, error: number, client: object | null | undefined) => void;
}

/** Returns the handle of a listening server; undefined when this Node has no `onconnection`. */
export function listeningHandleOf(server: Server): ListeningHandle | undefined {
  const { _handle: handle } = server as unknown as { readonly _handle: ListeningHandle | null };
  return typeof handle?.onconnection === "function" ? handle : undefined;
}

/**
 * Lets a socket be moved on which bytes were read and written. Node (24.20, 26.6 and newer) moves only sockets whose
 * two byte counters are 0, lest bytes be left behind. The caller has taken every byte read and flushed every byte
 * written. If Node looked elsewhere, each move would throw, and the handoff would fail.
 */
export function makeTransferable(socket: Socket): void {
  Object.defineProperty(socket, "bytesRead", { value: 0 });
  Object.defineProperty(socket, "bytesWritten", { value: 0 });
}

/**
 * Returns the accepted socket below a TLS socket of a server, seen in Node 20 to 26. Without it an acceptor couldn't
 * find the accepted socket, and its place in the count, that a TLS handshake belongs to.
 */
export function socketBelow(socket: TLSSocket): Socket {
  return (socket as unknown as { readonly _parent: Socket })._parent;
}
