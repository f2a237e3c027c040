/**
 * Canaries: each fails when a new Node no longer has one of the private parts of `node:http` that `src` uses. The tests
 * behind them show what happens then.
 */
import { once } from "node:events";
import { createServer, IncomingMessage, request, type Server, type ServerResponse } from "node:http";
import { type AddressInfo, connect, createServer as createNetServer, Socket } from "node:net";
import { expect, it, onTestFinished, vi } from "vitest";
import { idleSocketsOf, replaceShouldUpgrade, responseOn, serverOf } from "../../../src/wire/node-internals/http.ts";
import { earlierResponses } from "../../../src/wire/upgrade/earlier-responses.ts";

async function listen(): Promise<{ readonly server: Server; readonly port: number }> {
  const server = createServer().listen(0, "127.0.0.1");
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  await once(server, "listening");
  return { server, port: (server.address() as AddressInfo).port };
}

it("finds the response that a socket of a server is sending (`_httpMessage`)", async () => {
  const { server, port } = await listen();
  const asked = once(server, "request");
  const client = request({ port, host: "127.0.0.1" }).end();
  const answered = once(client, "response");
  const [{ socket }, response] = (await asked) as [IncomingMessage, ServerResponse];
  expect(responseOn(socket)).toBe(response);
  const finished = once(response, "close");
  response.end();
  const [answer] = (await answered) as [IncomingMessage];
  answer.resume();
  await finished;
  expect(responseOn(socket)).toBeUndefined();
});

it("doesn't wait for earlier responses without `_httpMessage`", () => {
  expect(earlierResponses(new IncomingMessage(new Socket()))).toBeUndefined();
});

it("tells Node whether a request is an upgrade, until the earlier callback is restored (`shouldUpgradeCallback`)", async () => {
  const { server, port } = await listen();
  server.on("request", (_request, response) => response.end());
  server.on("upgrade", (_request, socket) => socket.end("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"));
  const statusOf = async (): Promise<number | undefined> => {
    const headers = { Connection: "Upgrade", Upgrade: "foobar" };
    const [answer] = (await once(request({ port, host: "127.0.0.1", headers }).end(), "response")) as [IncomingMessage];
    answer.resume();
    return answer.statusCode;
  };
  const answer = vi.fn((asked: IncomingMessage) => asked.headers.upgrade !== "foobar");
  const befores: boolean[] = [];
  const restore = replaceShouldUpgrade(server, (before) => (asked) => {
    befores.push(before(asked));
    return answer(asked);
  });
  expect(await statusOf()).toBe(200);
  expect(answer).toHaveBeenCalledOnce();
  expect(befores).toEqual([true]);
  restore();
  expect(await statusOf()).toBe(400);
  expect(answer).toHaveBeenCalledOnce();
});

it("treats every offer as an upgrade on a server without `shouldUpgradeCallback`", () => {
  const server: { shouldUpgradeCallback?: (request: IncomingMessage) => boolean } = {};
  const restore = replaceShouldUpgrade(server, (before) => before);
  expect(server.shouldUpgradeCallback?.(new IncomingMessage(new Socket()))).toBe(true);
  restore();
  expect(server.shouldUpgradeCallback).toBeUndefined();
});

it("finds the server that a socket speaks HTTP with (`socket.server`)", async () => {
  const { server, port } = await listen();
  const upgraded = once(server, "upgrade");
  const headers = { Connection: "Upgrade", Upgrade: "foobar" };
  const client = request({ port, host: "127.0.0.1", headers }).on("error", () => {});
  client.end();
  const [, socket] = (await upgraded) as [IncomingMessage, Socket];
  expect(serverOf(socket)).toBe(server);
  expect(serverOf(new Socket())).toBeUndefined();
  socket.destroy();
});

it("finds the sockets on which no request is read or answered (`http.server.connections`)", async () => {
  const { server, port } = await listen();
  const accepted = async (): Promise<readonly [Socket, Socket]> => {
    const connection = once(server, "connection");
    const client = connect({ port, host: "127.0.0.1" });
    onTestFinished(() => void client.destroy());
    return [client, (await connection)[0]];
  };
  const [, fresh] = await accepted();
  expect(idleSocketsOf(server)).toEqual([fresh]);
  const [client, used] = await accepted();
  const asked = once(server, "request");
  client.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
  const [, response] = (await asked) as [IncomingMessage, ServerResponse];
  expect(idleSocketsOf(server)).toEqual([fresh]);
  response.end();
  await once(client, "data");
  await vi.waitFor(() => expect(new Set(idleSocketsOf(server))).toEqual(new Set([fresh, used])));
  client.write("GET / HT");
  await vi.waitFor(() => expect(idleSocketsOf(server)).toEqual([fresh]));
});

it("finds no idle sockets of a server without `http.server.connections`", () => {
  expect(idleSocketsOf(createNetServer())).toEqual([]);
});
