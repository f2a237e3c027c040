/** The headers that accept an opening handshake. Used by the acceptors of a board and by `upgradeConnection`. */
import type { Accepted } from "./server.ts";

/** The part of an accepted handshake that its answer tells the client. */
type Answered = Pick<Accepted, "accept" | "protocol" | "deflate">;

/** Returns the headers of the 101. Source: RFC 6455 section 4.2.2, item 5. */
export function switchingHeaders(accepted: Answered): Record<string, string> {
  return {
    Upgrade: "websocket",
    Connection: "Upgrade",
    "Sec-WebSocket-Accept": accepted.accept,
    ...agreementHeaders(accepted),
  };
}

/**
 * Returns the headers that name the chosen subprotocol and the negotiated compression. The 101 has them among others;
 * the 200 of HTTP/2 has no others (RFC 8441 section 5).
 */
export function agreementHeaders({ protocol, deflate }: Omit<Answered, "accept">): Record<string, string> {
  return {
    ...(protocol !== "" && { "Sec-WebSocket-Protocol": protocol }),
    ...(deflate !== undefined && { "Sec-WebSocket-Extensions": deflate.header }),
  };
}

/** The beginning of each 101 that accepts a WebSocket, up to the value of `Sec-WebSocket-Accept`. */
const SWITCHING =
  "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ";

/** Returns the 101 with `switchingHeaders`, to be written as latin1. Each value was checked or made here. */
export function switchingAnswer({ accept, protocol, deflate }: Answered): string {
  let answer = SWITCHING + accept;
  if (protocol !== "") answer += `\r\nSec-WebSocket-Protocol: ${protocol}`;
  if (deflate !== undefined) answer += `\r\nSec-WebSocket-Extensions: ${deflate.header}`;
  return `${answer}\r\n\r\n`;
}
