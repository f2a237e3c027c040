import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { connect, createServer, type TLSSocket } from "node:tls";
import { expect, it, onTestFinished, vi } from "vitest";
import { Acceptor } from "../../../../src/board/accept/acceptor.ts";
import { ClosedSocketReporter } from "../../../../src/board/accept/closed-socket-reporter.ts";
import { HeldUpgrades } from "../../../../src/board/accept/held-upgrades.ts";
import { HttpSockets } from "../../../../src/board/accept/sockets/http-sockets.ts";
import { FairScheduler } from "../../../../src/runtime/scheduling/fair-scheduler.ts";
import { Counters } from "../../../../src/runtime/stats/counters.ts";
import { nodeSockets } from "../../../../src/wire/transport/tcp-sockets.ts";
import { createCertificate } from "../../../support/certificate.ts";

it("closes a TLS socket if Node hides the accepted socket below it, and reports that", async () => {
  const acceptFailed = vi.fn<(error: Error) => void>();
  const counters = new Counters();
  const here = {
    shard: 0,
    requestHeadersOf: () => [],
    handOff: () => Promise.reject(new Error("nothing is handed off")),
  };
  const placing = { isRemote: false, place: () => here, here, handshakeFailed: acceptFailed, acceptFailed };
  const sockets = new HttpSockets({
    acceptor: new Acceptor(placing, { counters: counters.upgrades }),
    held: new HeldUpgrades(),
    counters,
    closedSockets: new ClosedSocketReporter(counters, () => {}),
    turns: new FairScheduler(),
    sockets: nodeSockets,
    authorizeOf: () => undefined,
    passOn: () => {},
    adopt: () => {},
    acceptFailed,
  });
  const server = createServer(createCertificate()).listen(0, "127.0.0.1");
  onTestFinished(() => void server.close());
  await once(server, "listening");
  const secured = once(server, "secureConnection");
  const { port } = server.address() as AddressInfo;
  const peer = connect({ port, host: "127.0.0.1", rejectUnauthorized: false });
  const [socket] = (await secured) as [TLSSocket];
  Reflect.deleteProperty(socket, "_parent");
  const closed = once(peer, "close");
  sockets.secured(socket);
  await closed;
  expect(acceptFailed).toHaveBeenCalledExactlyOnceWith(expect.objectContaining({ code: "ERR_NODE_INTERNALS" }));
});
