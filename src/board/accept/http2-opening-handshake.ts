/**
 * The opening handshake of one stream of HTTP/2. `routes/http2-route.ts` makes one for each request, and the acceptor
 * runs it. Source: RFC 8441.
 */
import type { IncomingMessage } from "node:http";
import type { IncomingHttpHeaders, OutgoingHttpHeaders, ServerHttp2Stream } from "node:http2";
import type { Socket } from "node:net";
import { agreementHeaders } from "../../wire/handshake/answer.ts";
import { checkExtendedConnect } from "../../wire/handshake/extended-connect.ts";
import type { Accepted, Refusal, ServerHandshakeOptions } from "../../wire/handshake/server.ts";
import { builtins } from "../../wire/node-internals/builtins.ts";
import { EMPTY, noop } from "../../wire/protocol/empty.ts";
import { type AnswerHeaders, awaitReader, renderRefusal, type UpgradeRefusal } from "../../wire/upgrade/response.ts";
import type { OpeningHandshake } from "./opening-handshake.ts";

/** Headers of one HTTP/1 connection, which HTTP/2 forbids. Source: RFC 9113 section 8.2.2. */
const CONNECTION_HEADERS = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "transfer-encoding",
  "upgrade",
  "te",
]);

/** An extended CONNECT, answered with 200. Source: RFC 8441 section 5. */
export class Http2OpeningHandshake implements OpeningHandshake {
  readonly request: IncomingMessage;
  readonly socket: ServerHttp2Stream;
  readonly head = EMPTY;
  /** Streams don't wait for each other. */
  readonly turn = undefined;
  #accepted = false;

  constructor(request: IncomingMessage, stream: ServerHttp2Stream) {
    this.request = request;
    this.socket = stream;
  }

  get isTaken(): boolean {
    return !this.#accepted && this.socket.headersSent;
  }

  check(options: ServerHandshakeOptions): Accepted | Refusal {
    return checkExtendedConnect(this.request, options);
  }

  accept(accepted: Accepted, headers: AnswerHeaders = {}): string {
    this.#accepted = true;
    this.socket.respond({ ":status": 200, ...withoutConnectionHeaders(headers), ...agreementHeaders(accepted) });
    return "";
  }

  refuse(refusal: UpgradeRefusal): void {
    refuseStream(this.socket, refusal);
  }

  /** The 200 has left. The session stays. */
  withdraw(): boolean {
    this.socket.close(builtins.http2.constants.NGHTTP2_INTERNAL_ERROR);
    return false;
  }
}

/**
 * Calls back when what came in one read with the request has been seen, its reset too. A peer that opens streams and
 * resets them at once would otherwise have a connection made for each.
 */
export function afterItsRead(stream: ServerHttp2Stream, callback: () => void): void {
  // The close that follows the error is reported.
  stream.on("error", noop);
  setImmediate(callback);
}

/**
 * Refuses a request like `refuseUpgrade`, and closes its stream. The session stays open. Headers of a connection are
 * left out. A stream that other code has answered is left alone.
 */
export function refuseStream(stream: ServerHttp2Stream, refusal: UpgradeRefusal): void {
  const { headers, payload } = renderRefusal(refusal);
  if (stream.destroyed || stream.headersSent) return;
  stream.respond({ ...withoutConnectionHeaders(headers), ":status": refusal.status });
  // The peer needs to send no more: RFC 9113 section 8.1.
  stream.end(payload, () => stream.close(builtins.http2.constants.NGHTTP2_NO_ERROR));
  awaitReader(stream);
}

/** Headers in the form of HTTP/2: names in lower case, and none of a connection. */
function withoutConnectionHeaders(headers: AnswerHeaders): OutgoingHttpHeaders {
  const kept: OutgoingHttpHeaders = {};
  for (const [written, value] of Object.entries(headers)) {
    const name = written.toLowerCase();
    if (!CONNECTION_HEADERS.has(name)) kept[name] = typeof value === "object" ? [...value] : value;
  }
  return kept;
}

/**
 * The request of a stream as HTTP/1.1 would have it: `method` is `CONNECT`, `url` its `:path`, `headers.host` its
 * `:authority`. Its `socket` is the session's, to look at and not to write to.
 */
export function requestOf(
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  rawHeaders: readonly string[],
): IncomingMessage | undefined {
  // A proxy that refuses what would break the session.
  const socket: Socket | undefined = stream.session?.socket;
  if (socket === undefined) return undefined;
  const request = new builtins.http.IncomingMessage(socket);
  request.httpVersionMajor = 2;
  request.httpVersionMinor = 0;
  request.httpVersion = "2.0";
  request.method = headers[":method"] ?? "";
  request.url = headers[":path"] ?? "";
  request.headers = plainHeaders(headers);
  request.rawHeaders = plainRawHeaders(rawHeaders);
  request.complete = true;
  request.push(null);
  return request;
}

// Loops: a peer may open and reset a thousand streams in one read, and a request is made for each.

/** The headers without pseudo-headers, but with `host`. One called `__proto__` is left out. */
function plainHeaders(headers: IncomingHttpHeaders): IncomingHttpHeaders {
  const plain: IncomingHttpHeaders = {};
  for (const name in headers) if (!name.startsWith(":")) plain[name] = headers[name];
  const authority = headers[":authority"];
  if (authority !== undefined) plain.host = authority;
  return plain;
}

function plainRawHeaders(rawHeaders: readonly string[]): string[] {
  const plain: string[] = [];
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at] as string;
    if (!name.startsWith(":")) plain.push(name, rawHeaders[at + 1] ?? "");
  }
  return plain;
}
