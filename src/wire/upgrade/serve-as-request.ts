/** Serves a request again without its Upgrade header. Used by the routes of boards for offers that nobody takes. */
import type { IncomingMessage, Server } from "node:http";
import type { Http2SecureServer, Http2Server } from "node:http2";
import type { Duplex } from "node:stream";

/**
 * Headers that the request is served without, because they belong to an upgrade. HTTP2-Settings goes with an offer of
 * h2c (RFC 7540 section 3.2.1).
 */
const UPGRADE_HEADERS = new Set(["upgrade", "http2-settings"]);

/**
 * Serves a request as if it had no Upgrade header. Takes the arguments of an `upgrade` event. The server reads the
 * request again from its connection, without that header, and then what follows it: so the server's `connection` event
 * (`secureConnection` with TLS) is emitted again for the socket. Source: RFC 9110 section 7.8.
 */
export function serveAsRequest(
  server: Server | Http2Server | Http2SecureServer,
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
): void {
  socket.unshift(head);
  socket.unshift(Buffer.from(requestHead(request), "latin1"));
  server.emit(server.listenerCount("secureConnection") > 0 ? "secureConnection" : "connection", socket);
}

function requestHead({ method, url, httpVersion, rawHeaders }: IncomingMessage): string {
  let text = `${method} ${url} HTTP/${httpVersion}\r\n`;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] as string;
    const value = rawHeaders[i + 1] as string;
    if (UPGRADE_HEADERS.has(name.toLowerCase())) continue;
    text += `${name}: ${name.toLowerCase() === "connection" ? withoutUpgrade(value) : value}\r\n`;
  }
  return `${text}\r\n`;
}

function withoutUpgrade(connection: string): string {
  return connection
    .split(",")
    .map((option) => option.trim())
    .filter((option) => option.toLowerCase() !== "upgrade" && !UPGRADE_HEADERS.has(option.toLowerCase()))
    .join(", ");
}
