import { once } from "node:events";
import { createServer, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { connect as connectTls } from "node:tls";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import type { Switchboard } from "../../../src/index.ts";
import { startBoard } from "../../support/board.ts";
import { selfSigned } from "../../support/certificate.ts";
import { text } from "../../support/frames.ts";
import { RawClient, upgradeRequest } from "../../support/raw-client.ts";

const GET = "GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n";

interface Way {
  readonly name: string;
  readonly createServer?: () => Server;
  readonly sockets?: "relay";
  readonly take: (board: Switchboard, server: Server) => void;
}

const attach: Way["take"] = (board, server) => board.attach(server, { path: "/ws", handshakeTimeoutMs: 2_000 });

const ways: readonly Way[] = [
  { name: "attach", take: attach },
  { name: "attach, relayed", take: attach, sockets: "relay" },
  { name: "attach to https", take: attach, createServer: () => createTlsServer(selfSigned()) },
  {
    name: "attach beside another listener",
    take: (board, server) =>
      attach(
        board,
        server.on("upgrade", () => {}),
      ),
  },
  {
    name: "handleUpgrade",
    take: (board, server) =>
      server.on("upgrade", (request, socket, head) =>
        board.handleUpgrade(request, socket, head, { path: "/ws", handshakeTimeoutMs: 2_000 }),
      ),
  },
];

/** A client that has sent two requests and an upgrade, and the responses, none of them sent yet. */
async function pipeline(way: Way, path: string): Promise<{ board: Switchboard; client: RawClient; send: () => void }> {
  const { board } = await startBoard(way.sockets && { sockets: way.sockets });
  const server = way.createServer?.() ?? createServer();
  way.take(board, server);
  const responses: ServerResponse[] = [];
  server.on("request", (_request, response) => responses.push(response));
  const upgraded = once(server, "upgrade");
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as AddressInfo;
  const client =
    way.createServer === undefined
      ? await RawClient.connect(port)
      : new RawClient(connectTls({ port, host: "127.0.0.1", ca: selfSigned().cert, servername: "localhost" }));
  client.write(Buffer.concat([Buffer.from(GET + GET + upgradeRequest({ path })), text("early")]));
  await upgraded;
  const send = (): void => {
    for (const response of responses.splice(0)) response.writeHead(200, { "Content-Length": 4 }).end("slow");
  };
  return { board, client, send };
}

async function expectResponses(client: RawClient): Promise<void> {
  for (let i = 0; i < 2; i++) {
    expect((await client.response()).status).toBe(200);
    expect(await client.take(4)).toBe("slow");
  }
}

describe.each(ways)("an upgrade behind requests that are still being answered ($name)", (way) => {
  it("becomes a WebSocket after their responses", async () => {
    const { client, send } = await pipeline(way, "/ws");
    send();
    await expectResponses(client);
    expect((await client.response()).status).toBe(101);
    expect(await client.text()).toBe("early");
    client.write(text("later"));
    expect(await client.text()).toBe("later");
    await client.close();
  });

  it("is refused after their responses", async () => {
    const { client, send } = await pipeline(way, "/elsewhere");
    send();
    await expectResponses(client);
    expect((await client.response()).status).toBe(404);
    client.socket.end();
    await client.closed();
  });

  it("waits at most handshakeTimeoutMs", async () => {
    const { board, client } = await pipeline(way, "/ws");
    expect(await client.rest()).toBe("");
    await vi.waitFor(() =>
      expect(board.stats()).toMatchObject({ connections: 0, upgrades: { accepted: 0, timedOut: 1 } }),
    );
  });
});

it.each(["main", "shard"] as const)(
  "answers requests before the upgrade on its own port, in the %s",
  async (handshake) => {
    const { port } = await startBoard({ attach: { path: "/ws", handshake } });
    for (const [path, status] of [
      ["/ws", 101],
      ["/elsewhere", 404],
    ] as const) {
      const client = await RawClient.connect(port);
      client.write(GET + GET + GET + upgradeRequest({ path }));
      for (let i = 0; i < 3; i++) {
        expect((await client.response()).status).toBe(404);
        expect(await client.take(5)).toBe("0\r\n\r\n");
      }
      expect((await client.response()).status).toBe(status);
      client.reset();
    }
  },
);
