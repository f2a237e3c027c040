/** Questions about request headers whose answers HTTP itself gives, for the opening handshake. */
import type { IncomingHttpHeaders } from "node:http";
import { hasMember, listMembers } from "./tokens.ts";

/** Names of the header fields that an opening handshake reads and that hold one value, by their lower-case form. */
const SINGLE_HEADERS = new Map(
  ["Host", "Origin", "Sec-WebSocket-Key", "Sec-WebSocket-Version", "Content-Length"].map((name) => [
    name.toLowerCase(),
    name,
  ]),
);

/**
 * The first header that was sent twice and may be sent only once; `node:http` drops or joins repeated headers silently.
 */
export function repeatedHeader(rawHeaders: readonly string[]): string | undefined {
  const seen = new Set<string>();
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = SINGLE_HEADERS.get((rawHeaders[i] as string).toLowerCase());
    if (name === undefined) continue;
    if (seen.has(name)) return name;
    seen.add(name);
  }
  return undefined;
}

/** The values of all Host headers. */
export function listHosts(rawHeaders: readonly string[]): string[] {
  return rawHeaders.filter((_, i) => i % 2 === 1 && rawHeaders[i - 1]?.toLowerCase() === "host");
}

/**
 * A name or an IPv4 address, or an IPv6 address (with a zone, RFC 6874) or a later one in brackets; then perhaps a
 * port. Source: RFC 3986 section 3.2.2.
 */
const HOST =
  /^(?:\[(?:[:.\dA-Fa-f]+(?:%[-.~\w%]+)?|v[\dA-Fa-f]+\.[-.~\w!$&'()*+,;=:]+)\]|(?:[-.~\w!$&'()*+,;=]|%[\dA-Fa-f]{2})+)(?::\d*)?$/;

/** True if a value of the Host header is valid. Source: RFC 9110 section 7.2. */
export function isHost(value: string): boolean {
  return HOST.test(value);
}

/** The part of a request that names the protocols to which it may be upgraded. An `IncomingMessage` is one. */
interface Offer {
  readonly httpVersionMajor: number;
  readonly httpVersionMinor: number;
  readonly headers: IncomingHttpHeaders;
}

/**
 * True if the request asks for a WebSocket, among others perhaps. A server ignores what HTTP/1.0 offers (RFC 9110
 * section 7.8).
 */
export function offersWebSocket(request: Offer): boolean {
  return isHttp11(request) && hasMember(request.headers.upgrade, "websocket");
}

/**
 * True if the Upgrade header is to be ignored: that of HTTP/1.0, and an offer of nothing but `h2c`, which some clients
 * make with every request and which is obsolete. Sources: RFC 9110 section 7.8, RFC 9113 section 3.1.
 */
export function isUpgradeIgnored(request: Offer): boolean {
  return !isHttp11(request) || listMembers(request.headers.upgrade ?? "").every((name) => name.toLowerCase() === "h2c");
}

/**
 * True if a request over HTTP/1 may offer an upgrade. A request over HTTP/2 never comes here: one that names another
 * major version on a connection of HTTP/1 is malformed. Source: RFC 9110 section 2.5.
 */
export function isHttp11({ httpVersionMajor, httpVersionMinor }: Offer): boolean {
  return httpVersionMajor === 1 && httpVersionMinor >= 1;
}
