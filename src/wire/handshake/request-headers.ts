/** Checks of single request headers that HTTP itself demands of a server, for the opening handshake. */

/** Names of the header fields that an opening handshake reads and that hold one value, by their lower-case form. */
const SINGLE_HEADERS = new Map(
  ["Host", "Origin", "Sec-WebSocket-Key", "Sec-WebSocket-Version", "Content-Length"].map((name) => [
    name.toLowerCase(),
    name,
  ]),
);

/** The first header that was sent twice and may be sent only once; `node:http` drops or joins repeated headers silently. */
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
 * A name or an IPv4 address, or an IPv6 address (with a zone, RFC 6874) or a later one in brackets; then perhaps a port.
 * Source: RFC 3986 section 3.2.2.
 */
const HOST =
  /^(?:\[(?:[:.\dA-Fa-f]+(?:%[-.~\w%]+)?|v[\dA-Fa-f]+\.[-.~\w!$&'()*+,;=:]+)\]|(?:[-.~\w!$&'()*+,;=]|%[\dA-Fa-f]{2})+)(?::\d*)?$/;

/** Whether a value of the Host header is valid. Source: RFC 9110 section 7.2. */
export function isHost(value: string): boolean {
  return HOST.test(value);
}
