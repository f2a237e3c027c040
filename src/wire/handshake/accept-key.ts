/** The server's answer to a client's key. Both ends of the opening handshake use it. */
import { builtins } from "../node-internals/builtins.ts";

const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/** Computes the `Sec-WebSocket-Accept` for a `Sec-WebSocket-Key`. Source: RFC 6455 section 4.2.2, item 5. */
export function acceptKey(key: string): string {
  return builtins.crypto.hash("sha1", key + GUID, "base64");
}
