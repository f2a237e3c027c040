/** The request that a connection came with, as its actor sees it: `this.request`. */
import { SwitchboardError } from "../../../errors.ts";
import { normalizeAddress } from "../../../wire/transport/ip-address.ts";

/** The part of a request that is kept for the life of its connection. Plain data: it crosses threads. */
export interface RequestRecord {
  /** Target of the request as it was sent, in HTTP/2 its `:path`: `/chat/blue?token=1`. */
  readonly url: string;
  /**
   * Values of the headers that the actor class asks for, by names in lower case; undefined if the class asks for none.
   */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Address of the client according to trusted proxies; undefined if none are trusted. */
  readonly clientAddress?: string | undefined;
}

/** The request of a connection. Parsed at first use: an actor that doesn't look at it keeps only the url. */
export class ConnectionRequest {
  readonly #record: RequestRecord;
  #query: URLSearchParams | undefined;
  /**
   * Address of the other end of the socket (of a proxy, if there is one), as in `net.Socket`. Undefined for Unix
   * sockets and streams without addresses, and if the peer had left before `this.request` was first read.
   */
  readonly remoteAddress: string | undefined;

  constructor(record: RequestRecord, remoteAddress: string | undefined) {
    this.#record = record;
    this.remoteAddress = remoteAddress;
  }

  /** Target of the request: path and query, such as `/chat/blue?token=1`. */
  get url(): string {
    return this.#record.url;
  }

  /** Query of the url, decoded. The same object each time. */
  get query(): URLSearchParams {
    if (this.#query === undefined) {
      const { url } = this.#record;
      const mark = url.indexOf("?");
      this.#query = new URLSearchParams(mark === -1 ? "" : url.slice(mark));
    }
    return this.#query;
  }

  /**
   * Headers that the actor class asks for (`static requestHeaders = ["user-agent"]`), by names in lower case; undefined
   * for a header that the request lacks. Repeated headers are joined as Node joins them. Throws `ERR_REQUEST_HEADERS`
   * if the class asks for none.
   */
  get headers(): Readonly<Record<string, string | undefined>> {
    const { headers } = this.#record;
    if (headers !== undefined) return headers;
    throw misfit('headers are kept only for a class that asks for them: static requestHeaders = ["user-agent"]');
  }

  /**
   * IP address of the client, in one form for IPv4 and IPv6: behind `trustedProxies` the address that they tell, else
   * `remoteAddress`.
   */
  get clientAddress(): string | undefined {
    const { remoteAddress } = this;
    return this.#record.clientAddress ?? (remoteAddress === undefined ? undefined : normalizeAddress(remoteAddress));
  }
}

const HEADER_NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

/** Returns the headers that an actor class asks for, in lower case. Throws `ERR_REQUEST_HEADERS`. */
export function requestHeadersOf(actorClass: object): readonly string[] {
  const given: unknown = "requestHeaders" in actorClass ? actorClass.requestHeaders : [];
  if (!Array.isArray(given)) throw misfit("static requestHeaders takes an array of header names");
  for (const name of given) {
    if (typeof name === "string" && HEADER_NAME.test(name)) continue;
    throw misfit(`static requestHeaders takes an array of header names, got ${JSON.stringify(name) ?? String(name)}`);
  }
  return [...new Set(given.map((name: string) => name.toLowerCase()))];
}

function misfit(what: string): SwitchboardError {
  return new SwitchboardError("ERR_REQUEST_HEADERS", `the actor class's request: ${what}`);
}
