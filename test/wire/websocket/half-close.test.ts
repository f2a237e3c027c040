import { once } from "node:events";
import { createServer as createTcpServer, type Socket } from "node:net";
import { setImmediate } from "node:timers/promises";
import { createServer as createTlsServer } from "node:tls";
import { describe, expect, it } from "vitest";
import { acceptKey } from "../../../src/wire/handshake/accept-key.ts";
import { connect, type WebSocket } from "../../../src/wire/websocket/index.ts";
import { selfSigned } from "../../support/certificate.ts";
import { close, text } from "../../support/frames.ts";
import { dialTcp, dialTls } from "../../support/half-open.ts";
import { RawClient, upgradeRequest } from "../../support/raw-client.ts";
import { echo, listen, startSocketServer } from "./servers.ts";

/**
 * Number of peers of each test, one after the other. Whether the end arrives in the same read as the data differs from
 * peer to peer.
 */
const PEERS = 30;

/** More bytes than the operating system takes at once. */
const LARGE_BYTES = 16 * 1024 * 1024;

/** The answer to a message and a close frame. */
const BOTH = "\x81\x05hello\x88\x02\x03\xe8";

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

/** Echoes every message, but not at once: comes late, and waits before each answer. */
async function echoLate(socket: WebSocket): Promise<void> {
  await someTurns();
  for await (const message of socket) {
    await someTurns();
    await socket.send(message);
  }
}

async function someTurns(): Promise<void> {
  for (let i = 0; i < 5; i++) await setImmediate();
}

describe.each(kinds)("over $kind", ({ scheme, server, dial, createServer }) => {
  it.each([
    ["a message", text("hello"), "\x81\x05hello", echo],
    ["a message and a close frame", Buffer.concat([text("hello"), close(1000)]), BOTH, echo],
    ["messages and a close frame to a late reader", Buffer.concat([text("hello"), close(1000)]), BOTH, echoLate],
    ["messages to a late reader", Buffer.concat([text("a"), text("b")]), "\x81\x01a\x81\x01b", echoLate],
  ])(`a server answers each of ${PEERS} clients that send %s and end their direction`, async (...row) => {
    const [, sent, answer, serve] = row;
    const { port, nextSocket } = await startSocketServer(server);
    for (let i = 0; i < PEERS; i++) {
      const client = new RawClient(dial(port));
      client.write(upgradeRequest());
      expect((await client.response()).status).toBe(101);
      const socket = await nextSocket();
      void serve(socket);
      client.socket.end(sent);
      expect(await client.rest()).toBe(Buffer.from(answer, "latin1").toString());
      expect((await socket.closed).wasClean).toBe(answer === BOTH);
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

  it.each([
    ["ends its direction", "\x81\x05hello", { code: 1006, reason: "", wasClean: false }, 22],
    ["closes", BOTH, { code: 1000, reason: "", wasClean: true }, 30],
  ])(`a late client answers each of ${PEERS} servers that sends a message and %s`, async (_, sent, closed, length) => {
    const answers: Promise<Buffer[]>[] = [];
    const { port } = await listen(
      createServer((socket) => {
        socket.once("data", (request: Buffer) => {
          const key = /Sec-WebSocket-Key: (.*)\r\n/i.exec(request.toString())?.[1] ?? "";
          socket.write(
            `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${acceptKey(key)}\r\n\r\n`,
          );
          socket.once("data", () => socket.end(sent, "latin1"));
          answers.push(socket.toArray());
        });
      }),
    );
    for (let i = 0; i < PEERS; i++) {
      const socket = await connect(`${scheme}://127.0.0.1:${port}/`, { proxy: false, tls: { ca: tls.cert } });
      await socket.send("begin");
      await echoLate(socket);
      expect(await socket.closed).toEqual(closed);
      // Frames with headers of 6 bytes: "begin", "hello" and a close code.
      expect(Buffer.concat((await answers[i]) ?? [])).toHaveLength(length);
    }
  });
});
