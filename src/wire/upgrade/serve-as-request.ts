import type { IncomingMessage, Server } from "node:http";
import type { Http2SecureServer, Http2Server } from "node:http2";
import type { Duplex } from "node:stream";

/**
 * Headers of an upgrade, which the request is served without. HTTP2-Settings goes with an offer of h2c (RFC 7540
 * section 3.2.1).
 */
const UPGRADE_HEADERS = new Set(["upgrade", "http2-settings"]);

/**
 * Serves a request whose Upgrade header nobody wants to follow, from the arguments of an `upgrade` event: the server
 * reads it once more from its connection, without that header, and then what comes after it. The server's `connection`
 * event (`secureConnection` of one with TLS) is emitted a second time for the socket. Source: RFC 9110 section 7.8, a
 * server may ignore an Upgrade header.
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
