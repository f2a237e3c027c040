/** Writes the answers to upgrade requests. Used by `serve.ts` and by everything of a board that accepts or refuses. */
import type { Duplex } from "node:stream";
import { builtins } from "../node-internals/builtins.ts";

/** Headers of an answer, as `node:http` takes them: an array becomes as many lines. */
export type AnswerHeaders = Readonly<Record<string, string | number | readonly string[]>>;

/** Statuses that leave HTTP as it is: redirects, and errors of either side. */
export const MIN_REFUSAL_STATUS = 300;
export const MAX_REFUSAL_STATUS = 599;

/** An answer that refuses an upgrade, so that the exchange ends as HTTP. */
export interface UpgradeRefusal {
  /** HTTP status, 300 to 599. */
  readonly status: number;
  /** Headers of the answer. The answer sets Content-Length, Transfer-Encoding and Connection itself. */
  readonly headers?: AnswerHeaders;
  /** Body: plain text unless the headers say otherwise. Default: the status in words. Not sent with status 304. */
  readonly body?: string;
}

/** The one refusal that has no body. Source: RFC 9110 section 15.4.5. */
const NOT_MODIFIED = 304;

/** Time that a refused peer has to read its answer, in milliseconds. */
const LINGER_MS = 1_000;

/** Returns the head of a 101, to be written as latin1. Source: RFC 9110 section 15.2.2. */
export function switchingProtocols(headers: AnswerHeaders): string {
  return head(101, headers);
}

/**
 * Returns the head of a 200 to CONNECT, to be written as latin1. The answer has no body: the tunnel begins right after
 * the head. Source: RFC 9110 section 9.3.6.
 */
export function connectionEstablished(headers: AnswerHeaders): string {
  return head(200, headers);
}

/**
 * Refuses an upgrade request. Closes the socket when the peer has read the answer, or after one second. Throws for a
 * status or header that can't be sent.
 */
export function refuseUpgrade(socket: Duplex, refusal: UpgradeRefusal): void {
  const { headers, payload } = renderRefusal(refusal);
  const response = head(refusal.status, { ...headers, connection: "close" });
  socket.end(Buffer.concat([Buffer.from(response, "latin1"), payload]));
  awaitReader(socket);
}

/** A refusal as any version of HTTP sends it. */
export interface RenderedRefusal {
  /** Headers with names in lower case, Content-Type and Content-Length among them. */
  readonly headers: AnswerHeaders;
  readonly payload: Buffer;
}

/** Adds what a refusal needs. Throws `RangeError` for a status outside of 300 to 599. */
export function renderRefusal({ status, headers = {}, body }: UpgradeRefusal): RenderedRefusal {
  checkRefusalStatus(status);
  const { "content-length": _length, "transfer-encoding": _encoding, ...given } = lowerCased(headers);
  if (status === NOT_MODIFIED) return { headers: given, payload: Buffer.alloc(0) };
  const payload = Buffer.from(body ?? `${builtins.http.STATUS_CODES[status] ?? status}\n`);
  const type = "text/plain; charset=utf-8";
  return { headers: { "content-type": type, ...given, "content-length": String(payload.length) }, payload };
}

/**
 * Gives the peer one second to read the answer that was written last, then destroys the stream. Drops input meanwhile:
 * closing a socket with unread input resets the connection, and the peer may lose the answer.
 */
export function awaitReader(stream: Duplex): void {
  stream.on("error", () => stream.destroy());
  stream.resume();
  const timer = setTimeout(() => stream.destroy(), LINGER_MS).unref();
  stream.once("close", () => clearTimeout(timer));
}

function checkRefusalStatus(status: number): void {
  if (Number.isInteger(status) && status >= MIN_REFUSAL_STATUS && status <= MAX_REFUSAL_STATUS) return;
  throw new RangeError(`a refusal's status must be from ${MIN_REFUSAL_STATUS} to ${MAX_REFUSAL_STATUS}, got ${status}`);
}

function lowerCased(headers: AnswerHeaders): AnswerHeaders {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}

function head(status: number, headers: AnswerHeaders): string {
  let text = `HTTP/1.1 ${status} ${builtins.http.STATUS_CODES[status] ?? "Unknown"}\r\n`;
  for (const [name, value] of Object.entries(headers)) {
    builtins.http.validateHeaderName(name);
    for (const one of typeof value === "object" ? value : [value]) {
      builtins.http.validateHeaderValue(name, String(one));
      text += `${name}: ${one}\r\n`;
    }
  }
  return `${text}\r\n`;
}
