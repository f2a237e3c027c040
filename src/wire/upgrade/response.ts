/** Writes the answers to upgrade requests. Used by `serve.ts` and by everything of a board that accepts or refuses. */
import { STATUS_CODES, validateHeaderName, validateHeaderValue } from "node:http";
import type { Duplex } from "node:stream";

/** An answer that refuses an upgrade, so that the exchange ends as HTTP. */
export interface UpgradeRefusal {
  /** HTTP status, 300 to 599. */
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Body: plain text unless the headers say otherwise. Default: the status in words. */
  readonly body?: string;
}

/** Time that a refused peer has to read its answer. */
const LINGER_MS = 1_000;

/** Returns the head of a 101, to be written as latin1. Source: RFC 9110 section 15.2.2. */
export function switchingProtocols(headers: Readonly<Record<string, string>>): string {
  return head(101, headers);
}

/**
 * Returns the head of a 200 to CONNECT, to be written as latin1. The answer has no body: the tunnel begins right after
 * the head. Source: RFC 9110 section 9.3.6.
 */
export function connectionEstablished(headers: Readonly<Record<string, string>>): string {
  return head(200, headers);
}

/**
 * Refuses an upgrade request. Closes the socket when the peer has read the answer, or after one second. Throws for a
 * status or header that can't be sent.
 */
export function refuseUpgrade(socket: Duplex, { status, headers = {}, body }: UpgradeRefusal): void {
  if (!Number.isInteger(status) || status < 300 || status > 599) {
    throw new RangeError(`a refusal's status must be from 300 to 599, got ${status}`);
  }
  const payload = Buffer.from(body ?? `${STATUS_CODES[status] ?? status}\n`);
  const own = { "content-length": String(payload.length), connection: "close" };
  const response = head(status, { "content-type": "text/plain; charset=utf-8", ...lowerCased(headers), ...own });
  socket.on("error", () => socket.destroy());
  socket.end(Buffer.concat([Buffer.from(response, "latin1"), payload]));
  // Closing a socket with unread input resets the connection, and the peer may lose the answer. So input is dropped.
  socket.resume();
  const timer = setTimeout(() => socket.destroy(), LINGER_MS).unref();
  socket.once("close", () => clearTimeout(timer));
}

function lowerCased(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}

function head(status: number, headers: Readonly<Record<string, string>>): string {
  let text = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? "Unknown"}\r\n`;
  for (const [name, value] of Object.entries(headers)) {
    validateHeaderName(name);
    validateHeaderValue(name, value);
    text += `${name}: ${value}\r\n`;
  }
  return `${text}\r\n`;
}
