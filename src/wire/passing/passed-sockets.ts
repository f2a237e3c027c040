/**
 * Sockets on their way between processes, in the main thread: each is known by the number of its descriptor. With
 * `node:ffi` the number is all there is. Without, the descriptor belongs to a handle of Node, which this file keeps.
 */
import { whyNoPassing } from "../native/pass-descriptors.ts";
import { closeDescriptor } from "../native/sockets.ts";
import type { TcpHandle } from "../node-internals/net.ts";

const handles = new Map<number, TcpHandle>();

/** True if a number is enough to hold a socket; false if a handle of Node must hold it. */
export function holdsByNumber(): boolean {
  return whyNoPassing() === undefined;
}

/** Keeps an open handle under its number, and returns the number. */
export function keepHandle(handle: TcpHandle): number {
  const { fd = -1 } = handle;
  if (fd >= 0) handles.set(fd, handle);
  return fd;
}

/** Returns the open handle that is kept under a number; undefined for a bare descriptor. */
export function handleAt(descriptor: number): TcpHandle | undefined {
  const handle = handles.get(descriptor);
  if (handle === undefined || handle.fd === descriptor) return handle;
  // The handle was closed by its owner since, such as a server.
  handles.delete(descriptor);
  return undefined;
}

/** Takes the handle that is kept under a number. The handle belongs to the caller. Undefined for a bare descriptor. */
export function takeHandleAt(descriptor: number): TcpHandle | undefined {
  const handle = handleAt(descriptor);
  handles.delete(descriptor);
  return handle;
}

/** Closes a socket on its way. */
export function closePassed(descriptor: number): void {
  const handle = takeHandleAt(descriptor);
  if (handle !== undefined) handle.close();
  else if (holdsByNumber()) closeDescriptor(descriptor);
}
