import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { expect, it } from "vitest";
import { type InnerSocketOptions, openInnerSocket } from "../../../src/server/emulation/inner-socket.ts";
import { checkHandshake } from "../../../src/wire/handshake/server.ts";
import { refuseUpgrade } from "../../../src/wire/upgrade/response.ts";

const CLIENT = { url: "/a?cf_connect=x&b=1&format=protobuf", headers: { host: "a" }, remoteAddress: "192.0.2.1" };

/** A board that does with each upgrade what it is told. */
function board(handleUpgrade: (request: IncomingMessage, socket: Duplex) => void) {
  return { handleUpgrade };
}

function options(signal = new AbortController().signal): InnerSocketOptions {
  return { route: {}, protocols: ["centrifuge-protobuf"], closeTimeoutMs: 1_000, signal };
}

it("sends an upgrade that passes all checks, with the client's address and without what is for us", async () => {
  const asked = Promise.withResolvers<IncomingMessage>();
  const headers = {
    ":path": "/a",
    ":authority": "example.com",
    "content-length": "7",
    "content-type": "application/json",
    "transfer-encoding": "chunked",
    "sec-websocket-key": "forged",
    "sec-websocket-protocol": "forged",
    "user-agent": "test",
  };
  const opening = openInnerSocket(
    board((request, socket) => {
      asked.resolve(request);
      socket.destroy();
    }),
    { ...CLIENT, headers },
    options(),
  );
  const request = await asked.promise;
  expect(checkHandshake(request, { protocols: ["centrifuge-protobuf"] })).toMatchObject({
    ok: true,
    protocol: "centrifuge-protobuf",
  });
  expect(request.url).toBe("/a?b=1");
  expect(request.socket.remoteAddress).toBe("192.0.2.1");
  expect(Object.keys(request.headers).toSorted()).toEqual([
    "connection",
    "host",
    "sec-websocket-key",
    "sec-websocket-protocol",
    "sec-websocket-version",
    "upgrade",
    "user-agent",
  ]);
  await opening;
});

it("gives a refusal without the headers of its connection", async () => {
  const refusing = board((_, socket) =>
    refuseUpgrade(socket, { status: 401, headers: { "X-Why": "a: b" }, body: "no\n" }),
  );
  expect(await openInnerSocket(refusing, CLIENT, options())).toEqual({
    status: 401,
    headers: { "x-why": "a: b" },
    body: "no\n",
  });
});

it.each([
  ["closes the connection", (socket: Duplex) => void socket.destroy()],
  ["ends it in the middle of the answer", (socket: Duplex) => void socket.end("HTTP/1.1 101 Switching")],
  ["writes without an end", (socket: Duplex) => void socket.write("x".repeat(100_000))],
])("takes it for 503 when the board %s", async (_, act) => {
  const closed = Promise.withResolvers<void>();
  const silent = board((_request, socket) => {
    socket.on("close", () => closed.resolve());
    act(socket);
  });
  expect(await openInnerSocket(silent, CLIENT, options())).toMatchObject({ status: 503 });
  await closed.promise;
});

it("closes both ends, and rejects with the reason, when the signal is aborted", async () => {
  const abort = new AbortController();
  const closed = Promise.withResolvers<void>();
  const waiting = board((_, socket) => socket.on("close", () => closed.resolve()));
  const opening = openInnerSocket(waiting, CLIENT, options(abort.signal));
  abort.abort(new Error("left"));
  await expect(opening).rejects.toThrow("left");
  await closed.promise;
});
