/** How a thread reads and writes its TCP sockets: the port, and the sockets of Node. The other way is in `uring/`. */
import type { Server, Socket } from "node:net";
import type { DescriptorRoom } from "./descriptors.ts";
import { acceptTransportsWith } from "./raw-socket-server.ts";
import { TcpTransport } from "./tcp-transport.ts";
import type { HandshakeTransport } from "./transport.ts";

export interface TcpSockets {
  /**
   * Takes a socket over, which is of no use afterwards. If this throws, the socket is closed.
   *
   * @param head bytes of this stream that were already read
   * @param inHandshake true if the transport may still become a stream
   */
  take(source: Socket, head: Buffer, inHandshake: boolean): HandshakeTransport;
  /**
   * Accepts with a server that belongs to this thread.
   *
   * @param failed told of an error, such as running out of descriptors; what was accepted stays open
   */
  accept(
    server: Server,
    accepted: (transport: HandshakeTransport, room: DescriptorRoom) => void,
    failed: (error: Error) => void,
  ): { close(): unknown };
}

/** The sockets of Node. */
export const nodeSockets: TcpSockets = {
  take: (source, head) => new TcpTransport(source, head),
  accept: (server, accepted, failed) => {
    acceptTransportsWith(server, accepted);
    return server.on("error", failed);
  },
};
