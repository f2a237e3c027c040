import { expect, it } from "vitest";
import { ClientAddresses } from "../../../src/board/accept/client-address.ts";

const proxies = ["10.0.0.0/8", "2001:db8::/32"];

function clientOf(trusted: readonly string[], peer: string | undefined, forwarded?: string): string | undefined {
  const headers = forwarded === undefined ? {} : { "x-forwarded-for": forwarded };
  return new ClientAddresses(trusted).of(headers, peer);
}

it.each([
  { name: "no proxy is trusted", trusted: [], peer: "10.0.0.1", forwarded: "192.0.2.1", client: "10.0.0.1" },
  { name: "the peer isn't a trusted proxy", peer: "192.0.2.9", forwarded: "192.0.2.1", client: "192.0.2.9" },
  { name: "the proxy names the client", peer: "10.0.0.1", forwarded: "192.0.2.1", client: "192.0.2.1" },
  { name: "the peer is mapped into IPv6", peer: "::ffff:10.0.0.1", forwarded: "192.0.2.1", client: "192.0.2.1" },
  { name: "the proxy names no client", peer: "10.0.0.1", forwarded: undefined, client: "10.0.0.1" },
  {
    name: "the client forged a list",
    peer: "10.0.0.1",
    forwarded: "1.1.1.1, 10.9.9.9, 192.0.2.1",
    client: "192.0.2.1",
  },
  { name: "there are two proxies", peer: "10.0.0.1", forwarded: "1.1.1.1,192.0.2.1 , 10.0.0.2", client: "192.0.2.1" },
  { name: "all addresses are proxies", peer: "10.0.0.1", forwarded: "10.0.0.3, 10.0.0.2", client: "10.0.0.3" },
  { name: "the last entry isn't an address", peer: "10.0.0.1", forwarded: "192.0.2.1, unknown", client: "10.0.0.1" },
  { name: "an entry isn't an address", peer: "10.0.0.1", forwarded: "x, 10.0.0.2", client: "10.0.0.2" },
  { name: "the list is empty", peer: "10.0.0.1", forwarded: "", client: "10.0.0.1" },
  { name: "the addresses have ports", peer: "10.0.0.1", forwarded: "[2001:db9::7]:443", client: "2001:db9::7" },
  { name: "IPv6 is mapped in the list", peer: "2001:db8::1", forwarded: "::ffff:192.0.2.1", client: "192.0.2.1" },
  { name: "the peer has no address", peer: undefined, forwarded: "192.0.2.1", client: undefined },
  {
    name: "the peer of a Unix socket is trusted",
    trusted: ["unix:"],
    peer: undefined,
    forwarded: "192.0.2.1",
    client: "192.0.2.1",
  },
])("finds $client when $name", ({ trusted = proxies, peer, forwarded, client }) => {
  expect(clientOf(trusted, peer, forwarded)).toBe(client);
});
