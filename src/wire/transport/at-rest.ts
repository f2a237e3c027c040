/** Stops a listening handle without closing its socket, in a Node that can't duplicate descriptors. */
import { MessageChannel, receiveMessageOnPort } from "node:worker_threads";
import { SwitchboardError } from "../../errors.ts";
import { type TcpHandle, transferable } from "../node-internals/net.ts";

/**
 * Returns a handle over the same socket that doesn't accept. The old handle is closed. Connections wait in the queue of
 * the system. Throws `ERR_SOCKET_STAYED` if no descriptor is left; then the old handle is as it was.
 */
export function atRest(handle: TcpHandle): TcpHandle {
  const { port1, port2 } = new MessageChannel();
  try {
    port1.postMessage(handle, [transferable(handle)]);
    const received: { readonly message: TcpHandle } | undefined = receiveMessageOnPort(port2);
    if (received !== undefined) return received.message;
    throw new SwitchboardError("ERR_SOCKET_STAYED", "no descriptor is left to stop a listening socket");
  } finally {
    port1.close();
  }
}
