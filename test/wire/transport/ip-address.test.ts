import fc from "fast-check";
import { expect, it } from "vitest";
import { AddressSet, clientKey, isAddressOrNetwork, normalizeAddress } from "../../../src/wire/transport/ip-address.ts";

it.each([
  { text: "10.1.2.3", is: "10.1.2.3" },
  { text: "::ffff:10.1.2.3", is: "10.1.2.3" },
  { text: "::FFFF:0a01:0203", is: "10.1.2.3" },
  { text: "0:0:0:0:0:ffff:10.1.2.3", is: "10.1.2.3" },
  { text: "10.1.2.3:4567", is: "10.1.2.3" },
  { text: "[2001:DB8::1]:4567", is: "2001:db8::1" },
  { text: "[2001:db8::1]", is: "2001:db8::1" },
  { text: "2001:0db8:0:0:0:0:0:1", is: "2001:db8::1" },
  { text: "fe80::1%eth0", is: "fe80::1" },
  { text: "::1", is: "::1" },
  ...[
    "",
    "unknown",
    "_hidden",
    "10.1.2",
    "10.1.2.3.4",
    "256.1.1.1",
    "010.1.1.1",
    "[10.1.2.3",
    "::1::",
    "1.2.3.4:x",
  ].map((text) => ({ text, is: undefined })),
])("parses $text as $is", ({ text, is }) => {
  expect(normalizeAddress(text)).toBe(is);
});

it.each([
  { address: "10.1.2.3", key: "10.1.2.3" },
  { address: "2001:db8:1:2:3:4:5:6", key: "2001:db8:1:2::/64" },
  { address: "2001:db8:1:2::9", key: "2001:db8:1:2::/64" },
  { address: "2001:db8::1", key: "2001:db8:0:0::/64" },
  { address: "2001:db8::4:0:0:0:9", key: "2001:db8:0:4::/64" },
  { address: "::1", key: "0:0:0:0::/64" },
  { address: "::", key: "0:0:0:0::/64" },
  { address: "fe80::", key: "fe80:0:0:0::/64" },
  { address: "64:ff9b::192.0.2.33", key: "64:ff9b:0:0::/64" },
])("counts $address under the key $key", ({ address, key }) => {
  expect(clientKey(address)).toBe(key);
});

it("counts all addresses of a /64 under one key, in whatever notation", () => {
  const group = fc.integer({ min: 0, max: 0xffff }).map((value) => value.toString(16));
  const half = fc.tuple(group, group, group, group);
  fc.assert(
    fc.property(half, half, half, (network, one, other) => {
      const keys = [one, other].map((host) => clientKey(normalizeAddress([...network, ...host].join(":")) ?? "none"));
      if (network.every((value) => value === "0")) return;
      expect(keys).toEqual([`${network.join(":")}::/64`, `${network.join(":")}::/64`]);
    }),
  );
});

it("compares addresses and networks of both families", () => {
  const set = new AddressSet(["10.0.0.0/8", "192.0.2.1", "2001:db8::/32", "::1"]);
  for (const address of ["10.255.0.1", "192.0.2.1", "2001:db8:ffff::1", "::1"]) expect(set.has(address)).toBe(true);
  for (const address of ["11.0.0.1", "192.0.2.2", "2001:db9::1", "::2"]) expect(set.has(address)).toBe(false);
  expect(new AddressSet([]).has("10.0.0.1")).toBe(false);
});

it("recognises valid addresses and networks", () => {
  for (const good of ["0.0.0.0/0", "10.0.0.1/32", "::/0", "::1/128", "10.0.0.1"])
    expect(isAddressOrNetwork(good)).toBe(true);
  for (const bad of [
    "",
    "/8",
    "10.0.0.1/",
    "10.0.0.1/-1",
    "10.0.0.1/ 8",
    "10.0.0.1/33",
    "::/129",
    "fe80::1%lo",
    "a/b",
  ]) {
    expect(isAddressOrNetwork(bad), bad).toBe(false);
  }
});
