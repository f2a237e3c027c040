/**
 * Canary: fails when a new Node's sockets no longer close their handles by the method `close`, or the handle can't be
 * lent.
 */
import { once } from "node:events";
import { fstatSync } from "node:fs";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { expect, it, onTestFinished } from "vitest";
import { lend } from "../../../src/wire/node-internals/loan.ts";
import { handleOf } from "../../../src/wire/node-internals/net.ts";

async function socketPair(): Promise<[accepted: Socket, peer: Socket]> {
  const server = createServer().listen(0, "127.0.0.1");
  onTestFinished(() => void server.close());
  await once(server, "listening");
  const accepting = once(server, "connection");
  const peer = connect((server.address() as AddressInfo).port, "127.0.0.1");
  const [accepted] = (await accepting) as [Socket];
  onTestFinished(() => void peer.destroy());
  return [accepted, peer];
}

function lendHandleOf(socket: Socket) {
  const handle = handleOf(socket);
  const loan = handle === null ? undefined : lend(handle);
  if (loan === undefined) throw new Error("the socket has no descriptor");
  return loan;
}

it("a lent socket goes on, and its descriptor stays open until the end of the loan", async () => {
  const [accepted, peer] = await socketPair();
  const loan = lendHandleOf(accepted);
  const before = fstatSync(loan.descriptor).ino;
  peer.write("to");
  expect(String((await once(accepted, "data"))[0])).toBe("to");
  accepted.write("fro");
  expect(String((await once(peer, "data"))[0])).toBe("fro");
  let hasClosed = false;
  const closed = once(accepted, "close").then(() => {
    hasClosed = true;
  });
  accepted.destroy();
  for (let turn = 0; turn < 3; turn++) await new Promise(setImmediate);
  expect(fstatSync(loan.descriptor).ino).toBe(before);
  expect(hasClosed).toBe(false);
  loan.end();
  await Promise.all([closed, once(peer.resume(), "close")]);
});

it("a socket that was lent closes as ever", async () => {
  const [accepted, peer] = await socketPair();
  lendHandleOf(accepted).end();
  accepted.destroy();
  await Promise.all([once(accepted, "close"), once(peer.resume(), "close")]);
});
