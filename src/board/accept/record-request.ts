/** Makes what a connection keeps of its request: `this.request` of the actor. Used by the acceptor. */
import type { IncomingHttpHeaders } from "node:http";
import type { RequestRecord } from "../../runtime/actor/context/connection-request.ts";
import type { ClientAddresses } from "./client-address.ts";

/** V8 keeps shorter parts of a string as copies, and longer ones as references to the whole string. */
const SHORTEST_SLICE = 13;

/** The parts of a request, in any version of HTTP, that are recorded. */
interface RecordedRequest {
  readonly url?: string | undefined;
  readonly headers: IncomingHttpHeaders;
}

/**
 * Returns what a connection keeps of its request.
 *
 * @param names headers to keep, in lower case
 * @param clients finds the client behind trusted proxies; undefined where none are trusted
 */
export function recordRequest(
  { url = "", headers }: RecordedRequest,
  peer: { readonly remoteAddress?: string | undefined },
  names: readonly string[],
  clients: ClientAddresses | undefined,
): RequestRecord {
  return {
    url: copyOf(url),
    headers: names.length === 0 ? undefined : keepHeaders(names, headers),
    clientAddress: clients?.of(headers, peer.remoteAddress),
  };
}

function keepHeaders(names: readonly string[], headers: IncomingHttpHeaders): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const name of names) {
    if (!Object.hasOwn(headers, name)) continue;
    const value = headers[name];
    if (value !== undefined) kept[name] = copyOf(typeof value === "string" ? value : value.join(", "));
  }
  return kept;
}

/**
 * Copies a text into memory of its own. A mere part of the request's head would keep the whole head in memory, as long
 * as the connection lives.
 */
function copyOf(text: string): string {
  return text.length < SHORTEST_SLICE ? text : Buffer.from(text).toString();
}
