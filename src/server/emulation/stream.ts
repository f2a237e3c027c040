/** One response as the way of one connection to its client: from the WebSocket in memory to the HTTP stream. */

import { CloseCode } from "../../wire/protocol/close-code.ts";
import type { WebSocket } from "../../wire/websocket/websocket.ts";
import { cut, type HttpResponse, isGone, write } from "./http.ts";
import { MIN_PUSHED_CODE, type StreamFormat } from "./messages.ts";

/**
 * Writes the messages of a WebSocket to a response that has begun, as fast as the client reads them. Resolves when both
 * are over; never rejects.
 *
 * The client's leaving closes the WebSocket with 1001. The close of the WebSocket becomes a disconnect push, if it has
 * a code of the protocol, and the end of the response.
 *
 * @param lingerMs time that the client has to read the rest after the close of the WebSocket
 */
export async function streamMessages(
  socket: WebSocket,
  response: HttpResponse,
  format: StreamFormat,
  lingerMs: number,
): Promise<void> {
  if (isGone(response)) return socket.close(CloseCode.goingAway);
  let linger: NodeJS.Timeout | undefined;
  const over = new Promise<void>((resolve) => {
    response.once("close", () => {
      clearTimeout(linger);
      socket.close(CloseCode.goingAway);
      resolve();
    });
  });
  // The client may be too slow even for what is left, and the loop below waits for it.
  void socket.closed.then(() => {
    linger = setTimeout(() => cut(response), lingerMs);
  });
  for await (const message of socket) await write(response, format.message(message));
  const { code, reason } = await socket.closed;
  if (code >= MIN_PUSHED_CODE) await write(response, format.disconnect(code, reason));
  response.end();
  await over;
  clearTimeout(linger);
}
