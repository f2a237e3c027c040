import { once } from "node:events";
import { connect, type Server } from "node:net";
import { expect, it, onTestFinished } from "vitest";
import { ReusePortListener } from "../../../../src/board/switchboard/listen/reuse-port-listener.ts";

const settings = { route: { handshakeTimeoutMs: 1_000 } };

it("gives a replaced shard its port again after a failure, and reports the failure", async () => {
  const given: Server[] = [];
  const failures: Error[] = [];
  let fails = false;
  const { signal } = new AbortController();
  const reopened = Promise.withResolvers<void>();
  const port = new ReusePortListener(0, settings, {
    shards: 1,
    closing: signal,
    giveServer: (_, server) => {
      if (fails) {
        fails = false;
        server.close();
        throw new Error("no descriptor left");
      }
      if (given.push(server) === 2) reopened.resolve();
    },
    acceptFailed: (error) => failures.push(error),
  });
  onTestFinished(() => {
    port.close();
    for (const server of given) server.close();
  });
  const address = await port.listen(0, "127.0.0.1", signal);
  given[0]?.close();
  fails = true;
  await port.reopen(0);
  expect(failures.map(({ message }) => message)).toEqual(["no descriptor left"]);
  await reopened.promise;
  const peer = connect(address.port, "127.0.0.1");
  await once(peer, "connect");
  peer.destroy();
});
