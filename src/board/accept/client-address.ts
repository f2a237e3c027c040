/**
 * Finds the address of the client of a request behind trusted proxies: the option `trustedProxies`. Used by
 * `admission-control.ts` and `record-request.ts`.
 */
import type { IncomingHttpHeaders } from "node:http";
import { AddressSet, normalizeAddress } from "../../wire/transport/ip-address.ts";

/** Member of `trustedProxies` that stands for every peer of a Unix socket. */
export const UNIX_PEERS = "unix:";

/** Finds the address of the client behind proxies that are trusted to say it. */
export class ClientAddresses {
  readonly #proxies: AddressSet;
  readonly #trustsUnix: boolean;

  /** @param trustedProxies addresses, networks and `unix:` */
  constructor(trustedProxies: readonly string[]) {
    this.#proxies = new AddressSet(trustedProxies.filter((proxy) => proxy !== UNIX_PEERS));
    this.#trustsUnix = trustedProxies.includes(UNIX_PEERS);
  }

  /**
   * Returns the client's address. That is the peer's own address, unless the peer is a trusted proxy. Then it is the
   * last address of `X-Forwarded-For` that isn't a trusted proxy's. What is no address there is ignored with all before
   * it. `Forwarded` is ignored: a proxy that writes one of the two headers lets its clients write the other. Undefined
   * for the peer of a Unix socket.
   *
   * @param remoteAddress the peer's; undefined for the peer of a Unix socket
   */
  of(headers: IncomingHttpHeaders, remoteAddress: string | undefined): string | undefined {
    const peer = remoteAddress === undefined ? undefined : normalizeAddress(remoteAddress);
    if (!this.#trusts(peer)) return peer;
    const { "x-forwarded-for": forwarded } = headers;
    if (forwarded === undefined) return peer;
    let client = peer;
    for (const hop of String(forwarded).split(",").reverse()) {
      const address = normalizeAddress(hop.trim());
      // No trusted proxy writes that: the connection counts for the proxy that passed it on.
      if (address === undefined) return client;
      client = address;
      if (!this.#trusts(client)) return client;
    }
    return client;
  }

  #trusts(address: string | undefined): boolean {
    return address === undefined ? this.#trustsUnix : this.#proxies.has(address);
  }
}
