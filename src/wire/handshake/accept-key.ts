import { hash } from "node:crypto";

const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/** The `Sec-WebSocket-Accept` that answers a `Sec-WebSocket-Key`. Source: RFC 6455 section 4.2.2, item 5. */
export function acceptKey(key: string): string {
  return hash("sha1", key + GUID, "base64");
}
