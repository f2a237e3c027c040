/** Takes what Node has read of a socket, or the whole socket, out of Node's stream. Handoffs and takeovers use it. */
import { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { TLSSocket } from "node:tls";
import { handleOf, type TcpHandle, takeHandle } from "../node-internals/net.ts";

/** A socket that has lost its owner in this thread, and everything that was read of it. */
export interface TakenSocket {
  /** Node may go on reading the handle until the handle is closed or moved: the caller does that in the same turn. */
  readonly handle: TcpHandle;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** True for a TLS socket. To ask by `instanceof` would load `node:tls`. */
export function isTlsSocket(socket: Duplex): socket is TLSSocket {
  return "encrypted" in socket && socket.encrypted === true;
}

/**
 * Takes a socket, which the caller owns from now on. The stream closes without the socket. Returns undefined, and
 * changes nothing, for a closed socket, and for a stream that is more than a socket (TLS, HTTP/2).
 *
 * @param head bytes of the stream that were read before
 */
export function takeSocket(socket: Duplex, head: Buffer): TakenSocket | undefined {
  if (!(socket instanceof Socket) || isTlsSocket(socket)) return undefined;
  const handle = handleOf(socket);
  if (handle === null) return undefined;
  const bytes = takeBuffered(socket, head);
  takeHandle(socket);
  socket.destroy();
  return { handle, bytes };
}

/**
 * Returns `head` and everything that Node has read of the stream since, in memory of its own: posting a view would copy
 * the memory around it.
 */
export function takeBuffered(socket: Socket, head: Buffer): Uint8Array<ArrayBuffer> {
  const chunks = [head];
  for (let chunk = socket.read(); chunk !== null; chunk = socket.read()) chunks.push(chunk as Buffer);
  const all = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}
