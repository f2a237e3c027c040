import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { expect, it, onTestFinished, vi } from "vitest";
import { Acceptor } from "../../../src/board/accept/acceptor.ts";
import { HeldUpgrades } from "../../../src/board/accept/held-upgrades.ts";
import { takeUnanswered } from "../../../src/board/accept/late-upgrade.ts";
import type { OpeningHandshake } from "../../../src/board/accept/opening-handshake.ts";
import { text } from "../../support/frames.ts";
import { RawClient, upgradeRequest } from "../../support/raw-client.ts";

const REQUEST = Buffer.from(upgradeRequest({ path: "/a?b", headers: { "X-Name": "\u00e9" } }), "latin1");

/** An acceptor with a server, whose upgrades wait at first. */
async function hold({
  handshakeTimeoutMs = 10_000,
  canPassOn = true,
  authorize = () => ({ session: undefined }),
} = {}) {
  const held = new HeldUpgrades();
  held.hold();
  const adopted = vi.fn<(socket: Duplex) => void>();
  const passed: Buffer[] = [];
  const here = {
    shard: 0,
    requestHeadersOf: () => [],
    handOff: async (socket: Duplex) => {
      adopted(socket);
      return { outcome: "adopted" } as const;
    },
  };
  const passOn = (handshake: OpeningHandshake): boolean => {
    const taken = canPassOn ? takeUnanswered(handshake) : undefined;
    if (taken === undefined) return false;
    passed.push(Buffer.from(taken.bytes));
    taken.handle.close();
    return true;
  };
  const failed = vi.fn<(error: Error) => void>();
  const owner = { isRemote: true, place: () => here, passOn, handshakeFailed: failed, acceptFailed: failed };
  const acceptor = new Acceptor(owner, { held });
  const server = createServer();
  const arrived = once(server, "upgrade");
  server.on("upgrade", (request, socket, head) => {
    acceptor.accept(request, socket, head, {}, { handshakeTimeoutMs, authorize });
  });
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const client = await RawClient.connect((server.address() as AddressInfo).port);
  onTestFinished(() => void client.socket.destroy());
  return { held, acceptor, arrived, client, adopted, passed, failed };
}

it("accepts an upgrade that has waited when the takeover has failed", async () => {
  const { held, acceptor, arrived, client, adopted } = await hold();
  client.write(REQUEST);
  await arrived;
  // A handshake that waits is none that a takeover waits for.
  await acceptor.quiet(60_000);
  expect(adopted).not.toHaveBeenCalled();
  held.release("open");
  await vi.waitFor(() => expect(adopted).toHaveBeenCalledOnce());
  expect(acceptor.counters.snapshot()).toMatchObject({ accepted: 1 });
});

it("passes on the socket with the bytes of its request, and what came behind it", async () => {
  const { held, acceptor, arrived, client, adopted, passed, failed } = await hold();
  client.write(Buffer.concat([REQUEST, text("early")]));
  await arrived;
  held.release("passing");
  await vi.waitFor(() => expect(passed).toHaveLength(1));
  expect(passed[0]).toEqual(Buffer.concat([REQUEST, text("early")]));
  await client.closed();
  expect(adopted).not.toHaveBeenCalled();
  expect(failed).not.toHaveBeenCalled();
  await acceptor.close();
});

it("passes on an upgrade whose `authorize` has let the peer in meanwhile", async () => {
  const { promise, resolve } = Promise.withResolvers<{ session: undefined }>();
  const authorize = vi.fn(() => promise as never);
  const { held, client, adopted, passed } = await hold({ authorize });
  held.release("open");
  client.write(REQUEST);
  await vi.waitFor(() => expect(authorize).toHaveBeenCalledOnce());
  held.hold();
  resolve({ session: undefined });
  held.release("passing");
  await vi.waitFor(() => expect(passed).toEqual([REQUEST]));
  expect(adopted).not.toHaveBeenCalled();
});

it("refuses with 503 and Retry-After: 0 an upgrade that can't be passed on", async () => {
  const { held, acceptor, arrived, client } = await hold({ canPassOn: false });
  client.write(REQUEST);
  await arrived;
  held.release("passing");
  expect(await client.response()).toMatchObject({ status: 503, headers: { "retry-after": "0", connection: "close" } });
  expect(acceptor.counters.snapshot()).toMatchObject({ refused: { 503: 1 } });
});

it("ends a wait that takes longer than a handshake may", async () => {
  const { held, acceptor, client, passed } = await hold({ handshakeTimeoutMs: 20 });
  client.write(REQUEST);
  await client.closed();
  held.release("passing");
  await acceptor.close();
  expect(passed).toEqual([]);
  expect(acceptor.counters.snapshot()).toMatchObject({ timedOut: 1, refused: {} });
});
