/** The headers of calls to the application: fixed ones, and those of the client that the config allows. */
import { SwitchboardError } from "../../errors.ts";
import { builtins } from "../../wire/node-internals/builtins.ts";
import type { ClientFacts } from "../client/backend.ts";
import type { EndpointConfig } from "../config/config.ts";

/** Bytes of the client's own headers at most: servers refuse requests with more than 8 to 16 KiB of headers. */
const MAX_EMULATED_HEADER_BYTES = 4 * 1024;

/** Headers that belong to one hop, or that the call itself sets: they are never taken from a client. */
const OWN_HEADERS = new Set([
  "connection",
  "content-encoding",
  "content-length",
  "content-type",
  "expect",
  "host",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

type Headers = Readonly<Record<string, string>>;

/**
 * The fixed headers of an endpoint, checked, with names in lower case.
 *
 * @param name key of the endpoint in the config
 * @throws `ERR_OPTION`
 */
export function fixedHeaders(config: EndpointConfig, name: string): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [header, value] of Object.entries(config.staticHttpHeaders)) {
    try {
      builtins.http.validateHeaderName(header);
      builtins.http.validateHeaderValue(header, value);
    } catch (cause) {
      // The value may be a secret: the message doesn't hold it.
      const message = `${name}.http.static_headers: name or value of ${JSON.stringify(header)} can't stand in a header`;
      throw new SwitchboardError("ERR_OPTION", message, { cause });
    }
    const lower = header.toLowerCase();
    if (lower === "host" || !OWN_HEADERS.has(lower)) headers[lower] = value;
  }
  return headers;
}

/** Makes the headers of the calls of one endpoint. A client's headers go before fixed ones, real before emulated. */
export class RequestHeaders {
  readonly #fixed: Headers;
  readonly #allowed: readonly string[];
  readonly #emulated: ReadonlySet<string>;

  constructor(config: EndpointConfig, name: string) {
    this.#fixed = fixedHeaders(config, name);
    const lower = (names: readonly string[]) =>
      names.map((header) => header.toLowerCase()).filter((header) => !OWN_HEADERS.has(header));
    this.#allowed = lower(config.httpHeaders);
    this.#emulated = new Set(lower(config.emulatedHeaders));
  }

  /** Gives the headers, or undefined if the client gave more of them than a server takes. */
  of(facts: ClientFacts): Record<string, string> | undefined {
    const headers: Record<string, string> = { ...this.#fixed };
    let bytes = 0;
    if (this.#emulated.size > 0) {
      for (const [header, value] of Object.entries(facts.emulatedHeaders)) {
        const name = header.toLowerCase();
        if (!this.#emulated.has(name) || !isHeaderValue(value)) continue;
        bytes += name.length + value.length;
        headers[name] = value;
      }
    }
    for (const name of this.#allowed) {
      const value = facts.headers[name];
      if (value !== undefined && isHeaderValue(value)) headers[name] = value;
    }
    headers["content-type"] = "application/json";
    return bytes > MAX_EMULATED_HEADER_BYTES ? undefined : headers;
  }
}

/** True if these characters can stand in a header: no line breaks, nothing beyond Latin-1. */
function isHeaderValue(value: string): boolean {
  return /^[\t\x20-\x7e\x80-\xff]*$/.test(value);
}
