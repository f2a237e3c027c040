/**
 * The order of answers on one connection. A client may send an upgrade while responses to its earlier requests are
 * still pending (pipelining): those go first, or they would be lost or end up among the bytes of the new protocol.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { responseOn } from "../node-internals/http.ts";

/**
 * Undefined when nothing is pending. Otherwise resolves when all responses to earlier requests have been sent, or the
 * socket is closed. The caller sets the deadline: a response may take as long as its request listener likes.
 */
export function earlierResponses({ socket }: IncomingMessage): Promise<void> | undefined {
  return pendingResponse(socket) === undefined ? undefined : responsesSent(socket);
}

async function responsesSent(socket: Socket): Promise<void> {
  // Node stops telling responses of `drain` when the request of an upgrade has been read.
  const passDrainOn = (): void => {
    const response = pendingResponse(socket);
    if (response?.writableNeedDrain) response.emit("drain");
  };
  socket.on("drain", passDrainOn);
  let response = pendingResponse(socket);
  while (response !== undefined) {
    await sent(response, socket);
    const next = pendingResponse(socket);
    response = next === response ? undefined : next;
  }
  socket.off("drain", passDrainOn);
  // Node starts its keep-alive timeout after the last response, and this connection isn't idle. Streams that are no
  // sockets have none.
  if (typeof socket.setTimeout === "function") socket.setTimeout(0);
}

function pendingResponse(socket: Socket | undefined): ServerResponse | undefined {
  return socket === undefined || socket.destroyed ? undefined : responseOn(socket);
}

/**
 * Node assigns the next response to the socket in the `finish` event of this one, before other listeners are called.
 */
function sent(response: ServerResponse, socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      response.off("finish", done).off("close", done);
      socket.off("close", done);
      resolve();
    };
    response.on("finish", done).on("close", done);
    socket.on("close", done);
  });
}
