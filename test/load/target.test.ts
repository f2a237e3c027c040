import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { expect, it, onTestFinished } from "vitest";
import { resolveTarget } from "../../src/load/target.ts";
import { freePort } from "../support/free-port.ts";

const NEVER = new AbortController().signal;

/** A DNS answer with these addresses. */
const answer = (...addresses: string[]) => ({
  lookup: async () => addresses.map((address) => ({ address, family: address.includes(":") ? 6 : 4 })),
});

/** Starts a TCP server on this address. Returns its port. */
async function listen(host: string): Promise<number> {
  const server = createServer((socket) => socket.on("error", () => {}).resume()).listen(0, host);
  onTestFinished(() => void server.close());
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

it.each([
  { first: "IPv6", addresses: ["::1", "127.0.0.1"] },
  { first: "IPv4", addresses: ["127.0.0.2", "127.0.0.1"] },
])("uses the second address when no server listens on the first, an $first address", async ({ addresses }) => {
  const port = await listen("127.0.0.1");
  const target = await resolveTarget(`ws://two.example:${port}/path`, NEVER, answer(...addresses).lookup);
  expect(target).toMatchObject({ address: "127.0.0.1", port, host: `two.example:${port}`, path: "/path" });
});

it("uses the first address when a server listens on it", async () => {
  const port = await listen("127.0.0.1");
  const target = await resolveTarget(`ws://two.example:${port}`, NEVER, answer("127.0.0.1", "::1").lookup);
  expect(target.address).toBe("127.0.0.1");
});

it("uses the first address when no server listens on any", async () => {
  const url = `ws://two.example:${await freePort()}`;
  expect((await resolveTarget(url, NEVER, answer("::1", "127.0.0.1").lookup)).address).toBe("::1");
});

it("uses the first address when the run is ended before an address has accepted", async () => {
  const url = `ws://two.example:${await listen("127.0.0.1")}`;
  const { lookup } = answer("::1", "127.0.0.1");
  expect((await resolveTarget(url, AbortSignal.abort(), lookup)).address).toBe("::1");
});

it("connects to nothing when the name has one address", async () => {
  const url = `wss://one.example:${await freePort()}`;
  expect(await resolveTarget(url, NEVER, answer("127.0.0.1").lookup)).toMatchObject({
    secure: true,
    address: "127.0.0.1",
    serverName: "one.example",
  });
});
