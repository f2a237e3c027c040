/** How a thread reads and writes its TCP sockets: the port, and the sockets of Node. The other way is in `uring/`. */
import { type Server, Socket } from "node:net";
import type { MessagePort, Transferable } from "node:worker_threads";
import type { Estate } from "../native/estate/estate.ts";
import { closeDescriptor } from "../native/sockets.ts";
import { ownerOf, transferable } from "../node-internals/net.ts";
import type { DescriptorRoom } from "./descriptors.ts";
import { acceptTransportsWith } from "./raw-socket-server.ts";
import { TcpTransport } from "./tcp-transport.ts";
import type { BareSocket, HandshakeTransport, MovableTransport } from "./transport.ts";

/** A listening socket that accepts in this thread. */
export interface ListeningSocket {
  close(): void;
  /**
   * Stops to accept, and returns the socket as a server for another thread, with the connections that wait to be
   * accepted. Undefined if it is closed.
   */
  toServer(): Server | undefined;
}

/** The way from this thread to another one. */
export interface ThreadWay {
  readonly port: MessagePort;
  /** List of what the other thread owns past Node; undefined if it uses Node's sockets. */
  readonly uringEstate: SharedArrayBuffer | undefined;
}

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
  ): ListeningSocket;
  /**
   * Makes a transport of a bare socket: of this thread, or from another thread or process. Throws as `net.Socket` does
   * for a descriptor that is no socket; then the descriptor is the caller's still.
   *
   * @param unread bytes that were read before, which come first
   */
  adopt(socket: BareSocket, unread: Buffer): MovableTransport;
  /**
   * Posts a message of plain data with a bare socket to another thread, which adopts it. Returns false if the socket
   * stays with the caller, because that thread has ended or no descriptor is left. If this throws, the socket stays as
   * well.
   */
  post(to: ThreadWay, message: { readonly socket: BareSocket }, transfer: readonly Transferable[]): boolean;
  /**
   * Gives a bare socket up as a descriptor that is valid in every thread. The main thread claims the descriptor
   * (`claimDescriptor`) from the estate of the ring, if the thread has one, or else from `list`; until then this
   * thread, or the settlement, closes it. Throws `ERR_SYSTEM_CALL`; then the socket is as it was.
   */
  release(socket: BareSocket, list: Estate | undefined): number;
  /** Closes a bare socket that belongs to this thread. */
  discard(socket: BareSocket): void;
}

/** The sockets of Node. */
export const nodeSockets: TcpSockets = {
  take: (source, head) => new TcpTransport(source, head),

  accept: (server, accepted, failed) => {
    acceptTransportsWith(server, accepted);
    return listeningWith(server.on("error", failed));
  },

  adopt: (socket, unread) => {
    if ("handle" in socket) return new TcpTransport(ownerOf(socket.handle), unread, true);
    const options = { fd: socket.descriptor, readable: true, writable: true, allowHalfOpen: true, manualStart: true };
    return new TcpTransport(new Socket(options), unread, true);
  },

  post: ({ port }, message, transfer) => {
    const { socket } = message;
    if (!("handle" in socket)) return false;
    port.postMessage(message, [...transfer, transferable(socket.handle)]);
    // Without a descriptor for the move Node posts nothing, throws nothing, and leaves the handle open.
    return socket.handle.fd === undefined || socket.handle.fd < 0;
  },

  release: (socket, list) => {
    if (!("handle" in socket)) return socket.descriptor;
    if (list === undefined) throw new Error("a descriptor that leaves Node needs a list");
    const descriptor = list.duplicate(socket.handle.fd ?? -1);
    // A write under way ends where it is.
    socket.handle.close();
    return descriptor;
  },

  discard: (socket) => {
    if ("handle" in socket) socket.handle.close();
    else closeDescriptor(socket.descriptor);
  },
};

/** Returns a server that accepts in this thread as a listening socket. */
export function listeningWith(server: Server): ListeningSocket {
  return { close: () => void server.close(), toServer: () => server };
}
