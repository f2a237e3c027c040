/**
 * A fast parser of request heads, for sockets that a shard reads itself. It reads the requests that nearly all clients
 * send, and leaves all others to an HTTP parser.
 */
import type { IncomingHttpHeaders } from "node:http";
import type { UpgradeRequest } from "./server.ts";

export interface RequestHead extends UpgradeRequest {
  readonly url: string;
}

/** Longest head that is looked at, in bytes: the limit of Node's own parser. */
const MAX_HEAD_BYTES = 16 * 1024;
const END = "\r\n\r\n";
/**
 * A GET request in the simple form of RFC 9112 sections 3 and 5: no obsolete line folding, no bytes beyond ASCII, no
 * bare CR or LF.
 */
const PLAIN_GET = /^GET (\/[\x21-\x7e]*) HTTP\/1\.1\r\n((?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e]*\r\n)+)\r\n/;

/**
 * Maps the header names that clients send to their lower-case keys. The keys are strings that V8 has already interned
 * as property names, so that using them as keys needs no search of V8's string table.
 */
const KNOWN_NAMES = new Map(
  [
    "Host",
    "Connection",
    "Upgrade",
    "Sec-WebSocket-Key",
    "Sec-WebSocket-Version",
    "Sec-WebSocket-Extensions",
    "Sec-WebSocket-Protocol",
    "Origin",
    "User-Agent",
    "Pragma",
    "Cache-Control",
    "Accept",
    "Accept-Encoding",
    "Accept-Language",
    "Cookie",
    "Authorization",
    "X-Forwarded-For",
    "X-Forwarded-Proto",
    "X-Forwarded-Host",
  ].flatMap((name) => {
    const key = Object.keys({ [name.toLowerCase()]: undefined })[0] as string;
    return [[name, key] as const, [key, key] as const];
  }),
);

/**
 * Reads the head of a GET request, in the form that nearly all clients send, from the first bytes of a connection.
 * Returns undefined for any other request: incomplete, with repeated headers, with a body, of another method or
 * version. A full HTTP parser must read and answer those.
 *
 * @returns the head, and its length in bytes
 */
export function readSimpleHead(chunk: Buffer): { readonly head: RequestHead; readonly length: number } | undefined {
  const text = chunk.toString("latin1", 0, Math.min(chunk.length, MAX_HEAD_BYTES));
  const end = text.indexOf(END);
  if (end === -1) return undefined;
  const length = end + END.length;
  const plain = PLAIN_GET.exec(text);
  if (plain === null || plain[0].length !== length) return undefined;
  const headers = readHeaders(plain[2] as string);
  if (headers === undefined) return undefined;
  const head = { method: "GET", url: plain[1] as string, httpVersionMajor: 1, httpVersionMinor: 1, headers };
  return { head, length };
}

function readHeaders(lines: string): IncomingHttpHeaders | undefined {
  const headers: IncomingHttpHeaders = Object.create(null);
  for (let at = 0; at < lines.length; ) {
    const colon = lines.indexOf(":", at);
    const end = lines.indexOf("\r\n", colon);
    const written = lines.slice(at, colon);
    const name = KNOWN_NAMES.get(written) ?? written.toLowerCase();
    if (name in headers || name === "content-length" || name === "transfer-encoding" || name === "expect") {
      return undefined;
    }
    headers[name] = lines.slice(colon + 1, end).trim();
    at = end + 2;
  }
  return headers;
}
