import type { IncomingHttpHeaders } from "node:http";
import { AddressSet, normalizeAddress } from "../../wire/transport/ip-address.ts";

/** In `trustedProxies`: whoever connects to a Unix socket. */
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
   * The peer's own address; if that is a trusted proxy's, the one that it says it was asked by (the last of
   * `X-Forwarded-For`), and so on. `Forwarded` isn't looked at: a proxy that writes the one lets its clients write the
   * other. Undefined for the peer of a Unix socket.
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
      // Nobody who is trusted wrote that; it is counted with whoever passed it on.
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
