/** Sockets as numbers of descriptors: the way of a connection to another process, and back after a failure. */
import { Socket } from "node:net";
import { duplicate } from "../native/pass-descriptors.ts";
import { TcpTransport } from "../transport/tcp-transport.ts";
import type { DetachedSocket } from "../transport/transport.ts";

/**
 * Returns a descriptor of a socket that was taken from its transport, and closes the socket's own: a write under way
 * ends where it is. The descriptor is valid in every thread, and belongs to the caller. Throws `ERR_SYSTEM_CALL`: then
 * the socket is as it was.
 */
export function toDescriptor({ handle }: DetachedSocket): number {
  const descriptor = duplicate(handle.fd ?? -1);
  handle.close();
  return descriptor;
}

/**
 * Makes a transport of a descriptor, which belongs to it from then on. Throws as `net.Socket` does for a descriptor that
 * is no socket.
 *
 * @param unread bytes that were read before, which come first
 */
export function fromDescriptor(descriptor: number, unread: Buffer): TcpTransport {
  const options = { fd: descriptor, readable: true, writable: true, allowHalfOpen: true, manualStart: true };
  return new TcpTransport(new Socket(options), unread, true);
}
