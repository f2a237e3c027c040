import { once } from "node:events";
import { createServer as createTcpServer, type Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { describe, expect, it } from "vitest";
import { acceptKey } from "../../../src/wire/handshake/accept-key.ts";
import { connect } from "../../../src/wire/websocket/index.ts";
import { selfSigned } from "../../support/certificate.ts";
import { close, text } from "../../support/frames.ts";
import { dialTcp, dialTls } from "../../support/half-open.ts";
import { RawClient, upgradeRequest } from "../../support/raw-client.ts";
import { echo, listen, startSocketServer } from "./servers.ts";

/**
 * Number of peers of each test, one after the other. Whether the end arrives in the same read as the data differs from
 * peer to peer.
 */
const PEERS = 100;

/** More bytes than the operating system takes at once. */
const LARGE_BYTES = 16 * 1024 * 1024;

const tls = selfSigned();
const halfOpen = { allowHalfOpen: true };

const kinds = [
  {
    kind: "TCP",
    scheme: "ws",
    server: {},
    dial: dialTcp,
    createServer: (serve: (socket: Socket) => void) => createTcpServer(halfOpen, serve),
  },
  {
    kind: "TLS",
    scheme: "wss",
    server: { tls },
    dial: dialTls,
    createServer: (serve: (socket: Socket) => void) => createTlsServer({ ...tls, ...halfOpen }, serve),
  },
];

describe.each(kinds)("over $kind", ({ scheme, server, dial, createServer }) => {
  it.each([
    ["a message", text("hello"), "\x81\x05hello"],
    ["a message and a close frame", Buffer.concat([text("hello"), close(1000)]), "\x81\x05hello\x88\x02\x03\xe8"],
  ])(`a server answers each of ${PEERS} clients that send %s and end their direction`, async (_, sent, answer) => {
    const { port, nextSocket } = await startSocketServer(server);
    for (let i = 0; i < PEERS; i++) {
      const client = new RawClient(dial(port));
      client.write(upgradeRequest());
      expect((await client.response()).status).toBe(101);
      const socket = await nextSocket();
      void echo(socket);
      client.socket.end(sent);
      expect(await client.rest()).toBe(Buffer.from(answer, "latin1").toString());
      expect((await socket.closed).wasClean).toBe(answer.length > 7);
    }
  });

  it("a server sends everything queued to a client that ended its direction", async () => {
    const { port, nextSocket } = await startSocketServer(server);
    const client = dial(port);
    client.write(upgradeRequest());
    await once(client, "data");
    const socket = await nextSocket();
    void socket.next().then(() => socket.send(Buffer.alloc(LARGE_BYTES)));
    client.end(text("send"));
    const received = await client.toArray();
    // The frame's header has 10 bytes.
    expect(Buffer.concat(received)).toHaveLength(10 + LARGE_BYTES);
    expect(await socket.closed).toMatchObject({ code: 1006 });
  });

  it(`a client answers each of ${PEERS} servers that send a message and end their direction`, async () => {
    const answers: Promise<Buffer[]>[] = [];
    const { port } = await listen(
      createServer((socket) => {
        socket.once("data", (request: Buffer) => {
          const key = /Sec-WebSocket-Key: (.*)\r\n/i.exec(request.toString())?.[1] ?? "";
          socket.write(
            `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${acceptKey(key)}\r\n\r\n`,
          );
          socket.once("data", () => socket.end("\x81\x05hello", "latin1"));
          answers.push(socket.toArray());
        });
      }),
    );
    for (let i = 0; i < PEERS; i++) {
      const socket = await connect(`${scheme}://127.0.0.1:${port}/`, { proxy: false, tls: { ca: tls.cert } });
      await socket.send("begin");
      await echo(socket);
      expect(await socket.closed).toEqual({ code: 1006, reason: "", wasClean: false });
      // Two frames with headers of 6 bytes, one with "begin" and one with "hello".
      expect(Buffer.concat((await answers[i]) ?? [])).toHaveLength(22);
    }
  });
});
