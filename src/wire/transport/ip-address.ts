import { BlockList, isIP, isIPv4, SocketAddress } from "node:net";

/** The bits of an IPv6 address that a network gives to one customer. Source: RFC 6177. */
const IPV6_CLIENT_GROUPS = 4;

/**
 * An IP address in the one form that it has here: IPv4 also where it is mapped into IPv6, IPv6 in lower case without a zone. Undefined when
 * it is none. A port, as some proxies append it, is left out.
 */
export function normalizeAddress(text: string): string | undefined {
  if (isIPv4(text)) return text;
  const bare = text.replace(/^\[([^\]]*)\](:\d+)?$|^([\d.]+):\d+$/, "$1$3").replace(/%.*$/, "");
  const version = isIP(bare);
  if (version === 0) return undefined;
  if (version === 4) return bare;
  const { address } = new SocketAddress({ address: bare, family: "ipv6" });
  const mapped = /^::ffff:([\d.]+)$/.exec(address);
  return mapped?.[1] ?? address;
}

/** What a client is counted under: its IPv4 address, or the /64 of its IPv6 address, any of which it can choose freely. */
export function clientKey(address: string): string {
  if (isIPv4(address)) return address;
  const [head = "", tail] = address.split("::");
  const first = head === "" ? [] : head.split(":");
  if (tail !== undefined) {
    // Shortened: what is left out are zeros.
    const last = tail === "" ? [] : tail.split(":");
    const width = last.at(-1)?.includes(".") ? last.length + 1 : last.length;
    while (first.length < 8 - width) first.push("0");
    first.push(...last);
  }
  return `${first.slice(0, IPV6_CLIENT_GROUPS).join(":")}::/64`;
}

/** Addresses and networks, as `10.0.0.1`, `10.0.0.0/8`, `2001:db8::/32`. */
export class AddressSet {
  readonly #list = new BlockList();

  /** @param members each one that `isAddressOrNetwork` */
  constructor(members: readonly string[]) {
    for (const member of members) {
      const [address = "", prefix] = member.split("/");
      const family = isIPv4(address) ? "ipv4" : "ipv6";
      if (prefix === undefined) this.#list.addAddress(address, family);
      else this.#list.addSubnet(address, Number(prefix), family);
    }
  }

  /** @param address normalized */
  has(address: string): boolean {
    return this.#list.check(address, isIPv4(address) ? "ipv4" : "ipv6");
  }
}

export function isAddressOrNetwork(text: string): boolean {
  const [address = "", prefix, ...more] = text.split("/");
  const version = isIP(address);
  if (version === 0 || more.length > 0 || address.includes("%")) return false;
  return prefix === undefined || (/^\d{1,3}$/.test(prefix) && Number(prefix) <= (version === 4 ? 32 : 128));
}
