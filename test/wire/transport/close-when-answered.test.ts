import { once } from "node:events";
import { Agent, createServer, request, type Server } from "node:http";
import { type AddressInfo, createServer as createTcpServer } from "node:net";
import { expect, it, onTestFinished } from "vitest";
import { closeWhenAnswered } from "../../../src/wire/transport/close-when-answered.ts";
import { freePort } from "../../support/free-port.ts";

async function start(port = 0): Promise<{ server: Server; port: number }> {
  const server = createServer((_request, response) => response.end("hello"));
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  return { server, port: (server.address() as AddressInfo).port };
}

/**
 * Sends requests one after the other on one connection. Resolves when that connection has closed, with their number.
 */
async function ask(port: number, answered: (count: number) => void): Promise<number> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  onTestFinished(() => agent.destroy());
  let count = 0;
  for (let isOpen = true; isOpen; ) {
    const asked = request({ port, agent }).end();
    const [response] = await once(asked, "response");
    response.resume();
    await once(response, "end");
    count++;
    answered(count);
    isOpen = response.headers.connection !== "close";
  }
  return count;
}

it("ends a connection on which request follows request: an answer asks the client to close it", async () => {
  const { server, port } = await start();
  const closed = once(server, "close");
  const count = await ask(port, (answers) => {
    if (answers === 20) closeWhenAnswered(server);
  });
  expect(count).toBe(21);
  await closed;
});

it("keeps connections once the server listens again", async () => {
  const { server, port } = await start(await freePort());
  closeWhenAnswered(server);
  await once(server, "close");
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  const closed = once(server, "close");
  const count = await ask(port, (answers) => {
    if (answers === 50) closeWhenAnswered(server);
  });
  expect(count).toBe(51);
  await closed;
  expect(server.listenerCount("request")).toBe(1);
});

it("closes a server that isn't one of HTTP", async () => {
  const server = createTcpServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  closeWhenAnswered(server);
  await once(server, "close");
});
