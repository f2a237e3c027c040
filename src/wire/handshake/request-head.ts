/**
 * A fast parser of request heads, for sockets that a shard reads itself. It reads the requests that nearly all clients
 * send, and leaves all others to an HTTP parser.
 */
import type { IncomingHttpHeaders } from "node:http";
import type { UpgradeRequest } from "./server.ts";
import { trimBlanks } from "./tokens.ts";

export interface RequestHead extends UpgradeRequest {
  readonly url: string;
}

/** Longest head that is looked at, in bytes: the limit of Node's own parser. */
const MAX_HEAD_BYTES = 16 * 1024;
/** Length of the empty line behind the headers, in bytes. */
const EMPTY_LINE_BYTES = 2;
const SPACE = 0x20;
/**
 * The head of a GET request in the simple form of RFC 9112 sections 3 and 5: no obsolete line folding, no bytes beyond
 * ASCII, no bare CR or LF. Sticky: `lastIndex` tells where the head ends.
 */
const PLAIN_GET = /^GET \/[\x21-\x7e]* HTTP\/1\.1\r\n(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e]*\r\n)+\r\n/y;
/** Offset of the target in such a request. */
const TARGET = "GET ".length;
/** Characters between the target and the first header. */
const VERSION = " HTTP/1.1\r\n";

/** Prototype of headers without properties, because a client may name a header as it likes. */
const NO_PROPERTIES: IncomingHttpHeaders = Object.freeze(Object.create(null));

/** A header name that clients send. */
interface KnownName {
  readonly written: string;
  /**
   * The name in lower case: a string that V8 has already interned as a property name, so that using it as a key needs
   * no search of V8's string table.
   */
  readonly key: string;
}

/** The header names that clients send, by length: the name of a line is compared where it is, without a copy. */
const KNOWN_NAMES: KnownName[][] = [];
for (const name of [
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
]) {
  const key = Object.keys({ [name.toLowerCase()]: undefined })[0] as string;
  KNOWN_NAMES[name.length] ??= [];
  KNOWN_NAMES[name.length]?.push({ written: name, key }, { written: key, key });
}

/**
 * Reads the head of a GET request, in the form that nearly all clients send, from the first bytes of a connection.
 * Returns undefined for any other request: incomplete, with repeated headers, with a body, of another method or
 * version. A full HTTP parser must read and answer those.
 *
 * @returns the head, and its length in bytes
 */
export function readSimpleHead(chunk: Buffer): { readonly head: RequestHead; readonly length: number } | undefined {
  const text = chunk.toString("latin1", 0, Math.min(chunk.length, MAX_HEAD_BYTES));
  PLAIN_GET.lastIndex = 0;
  if (!PLAIN_GET.test(text)) return undefined;
  const length = PLAIN_GET.lastIndex;
  const targetEnd = text.indexOf(" ", TARGET);
  const headers = readHeaders(text, targetEnd + VERSION.length, length - EMPTY_LINE_BYTES);
  if (headers === undefined) return undefined;
  const url = text.slice(TARGET, targetEnd);
  return { head: { method: "GET", url, httpVersionMajor: 1, httpVersionMinor: 1, headers }, length };
}

/** Reads the header lines from `at` on. The last line ends before `end`. Returns undefined as `readSimpleHead` does. */
function readHeaders(text: string, at: number, end: number): IncomingHttpHeaders | undefined {
  // V8 makes an object without a prototype slow.
  const headers: IncomingHttpHeaders = Object.create(NO_PROPERTIES);
  while (at < end) {
    const colon = text.indexOf(":", at);
    const lineEnd = text.indexOf("\r\n", colon);
    const name = readName(text, at, colon);
    if (headers[name] !== undefined) return undefined;
    if (name === "content-length" || name === "transfer-encoding" || name === "expect") return undefined;
    headers[name] = readValue(text, colon + 1, lineEnd);
    at = lineEnd + 2;
  }
  return headers;
}

/** Reads the name of a header line, in lower case. */
function readName(text: string, start: number, end: number): string {
  const names = KNOWN_NAMES[end - start];
  // By index: V8 makes three times as much machine code of an iteration.
  for (let i = 0; names !== undefined && i < names.length; i++) {
    const { written, key } = names[i] as KnownName;
    if (text.startsWith(written, start)) return key;
  }
  return text.slice(start, end).toLowerCase();
}

/** Reads the value of a header line. Nearly every client writes one space before the value, and nothing behind. */
function readValue(text: string, start: number, end: number): string {
  const isPlain =
    start + 1 < end &&
    text.charCodeAt(start) === SPACE &&
    text.charCodeAt(start + 1) > SPACE &&
    text.charCodeAt(end - 1) > SPACE;
  return isPlain ? text.slice(start + 1, end) : trimBlanks(text, start, end);
}
