/** IP addresses: one form for each, networks, and the key under which a client is counted. */
import { BlockList, isIP, isIPv4, SocketAddress } from "node:net";

/** Number of 16-bit groups of an IPv6 address that a network gives to one customer. Source: RFC 6177. */
const IPV6_CLIENT_GROUPS = 4;

/**
 * Returns an IP address in one form: IPv4 also if it is mapped into IPv6, IPv6 in lower case without a zone. Undefined
 * if the text is no address. A port, as some proxies append it, is removed.
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

/**
 * Returns the key under which a client is counted: its IPv4 address, or the /64 of its IPv6 address, of which the
 * client can choose any address.
 */
export function clientKey(address: string): string {
  if (isIPv4(address)) return address;
  const [head = "", tail] = address.split("::");
  const first = head === "" ? [] : head.split(":");
  if (tail !== undefined) {
    // `::` stands for groups of zeros.
    const last = tail === "" ? [] : tail.split(":");
    const width = last.at(-1)?.includes(".") ? last.length + 1 : last.length;
    while (first.length < 8 - width) first.push("0");
    first.push(...last);
  }
  return `${first.slice(0, IPV6_CLIENT_GROUPS).join(":")}::/64`;
}

/** A set of addresses and networks, such as `10.0.0.1`, `10.0.0.0/8` and `2001:db8::/32`. */
export class AddressSet {
  readonly #list = new BlockList();

  /** @param members each one must pass `isAddressOrNetwork` */
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
