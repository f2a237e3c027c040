/**
 * Sockets on their way between processes, in the main thread: each is known by the number of its descriptor. With
 * `node:ffi` the number is all there is. Without, the descriptor belongs to a handle of Node, which this file keeps.
 */
import { Socket } from "node:net";
import { duplicate, whyNoPassing } from "../native/pass-descriptors.ts";
import { closeDescriptor } from "../native/sockets.ts";
import {
  classOf,
  handleKinds,
  optionsOver,
  type TcpHandle,
  type TcpHandleClass,
  takeHandle,
} from "../node-internals/net.ts";
import { atRest } from "../transport/at-rest.ts";

const handles = new Map<number, TcpHandle>();

/**
 * Handles over descriptors of other threads, by number, only to name them in a call of `process.send`. They are never
 * closed: that would close the descriptor. At the next takeover each names the socket that has its number then.
 */
const borrowed = new Map<number, TcpHandle>();
let handleClass: TcpHandleClass | undefined;

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

/**
 * Prepares to send a socket that another thread has lent (`node-internals/loan.ts`) and goes on with. Returns false if
 * the socket can't be sent so.
 */
export function borrow(descriptor: number): boolean {
  if (holdsByNumber() || borrowed.has(descriptor)) return true;
  try {
    if (handleClass === undefined) {
      const options = { fd: descriptor, readable: true, writable: true, manualStart: true };
      const handle = takeHandle(new Socket(options)) as TcpHandle;
      handleClass = classOf(handle);
      borrowed.set(descriptor, handle);
      return true;
    }
    const handle = new handleClass(handleKinds.socket);
    if (handle.open(descriptor) !== 0) return false;
    borrowed.set(descriptor, handle);
    return true;
  } catch {
    return false;
  }
}

/** Returns the handle with which a lent socket is sent. The handle stays open. Undefined where the number is enough. */
export function borrowedAt(descriptor: number): TcpHandle | undefined {
  return borrowed.get(descriptor);
}

/**
 * Returns a socket of Node for a number. The socket doesn't read by itself, and the number belongs to the socket.
 * Throws as `net.Socket` does for a number that is no socket; then the number is the caller's still.
 */
export function socketAt(descriptor: number): Socket {
  const handle = takeHandleAt(descriptor);
  if (handle !== undefined) return new Socket(optionsOver(handle, { allowHalfOpen: true }));
  const options = { fd: descriptor, readable: true, writable: true, allowHalfOpen: true, manualStart: true };
  return new Socket(options);
}

/** Takes a handle that may be read out of its thread, and returns the number of its socket, which nobody reads. */
export function bringToRest(handle: TcpHandle): number {
  if (!holdsByNumber()) return keepHandle(atRest(handle));
  const descriptor = duplicate(handle.fd ?? -1);
  handle.close();
  return descriptor;
}

/** Closes a socket on its way. */
export function closePassed(descriptor: number): void {
  const handle = takeHandleAt(descriptor);
  if (handle !== undefined) handle.close();
  else if (holdsByNumber()) closeDescriptor(descriptor);
}
