/**
 * Makes a transport of the socket. From the call on the socket belongs to the handoff and ends up adopted or closed.
 *
 * @param head bytes of the stream that were read before, such as the `head` of an `upgrade` event
 * @param adopt takes over the transport, or throws: then the socket is closed here
 */
import { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { DuplexTransport } from "./duplex-transport.ts";
import { flushed } from "./handoff.ts";
import type { HandoffResult } from "./pending-handoffs.ts";
import { isTlsSocket, takeBuffered } from "./taken-socket.ts";
import { nodeSockets, type TcpSockets } from "./tcp-sockets.ts";
import type { Transport } from "./transport.ts";

/**
 * The handoff of a socket that stays in its thread: from the call on it is ours, and ends up adopted or closed.
 *
 * @param head bytes of the stream that were read before, such as the `head` of an `upgrade` event
 * @param adopt takes the transport over, or throws: then the socket is closed here
 */
export async function localHandoff(
  socket: Duplex,
  head: Buffer,
  adopt: (transport: Transport) => void,
  sockets: TcpSockets = nodeSockets,
): Promise<HandoffResult> {
  // The answer to an earlier request on the same connection may still be leaving.
  if (socket.writableLength > 0) await flushed(socket);
  if (socket.destroyed || !socket.writable) {
    socket.destroy();
    return { outcome: "peerGone" };
  }
  let transport: Transport | undefined;
  try {
    transport = transportOver(socket, head, sockets);
    adopt(transport);
    return { outcome: "adopted" };
  } catch (thrown) {
    transport?.destroy();
    return { outcome: "failed", error: thrown as Error };
  }
}

function transportOver(socket: Duplex, head: Buffer, sockets: TcpSockets): Transport {
  if (!(socket instanceof Socket) || isTlsSocket(socket)) return new DuplexTransport(socket, head);
  socket.setTimeout(0);
  return sockets.take(socket, Buffer.from(takeBuffered(socket, head).buffer), false);
}
