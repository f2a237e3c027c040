import { once } from "node:events";
import { createServer as createHttpsServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import type { Duplex } from "node:stream";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import type { AttachOptions, ListenOptions, StartOptions, Switchboard } from "../../src/index.ts";
import { whyNoUring } from "../../src/wire/native/ring.ts";
import { startBoard } from "../support/board.ts";
import { selfSigned } from "../support/certificate.ts";
import { close, text } from "../support/frames.ts";
import { dialTcp, dialTls } from "../support/half-open.ts";
import { start as startHttp2 } from "../support/http2-board.ts";
import { ask } from "../support/http2-client.ts";
import { upgradeRequest } from "../support/raw-client.ts";

/**
 * Number of peers at a time. Whether the end arrives in the same read as the data differs from peer to peer: set
 * HALF_CLOSE_ROUNDS for more of them.
 */
const PEERS = 20;
const ROUNDS = Number(process.env["HALF_CLOSE_ROUNDS"] ?? 1);
vi.setConfig({ testTimeout: 120_000 * ROUNDS });

/**
 * Messages that a peer asks for: more bytes than the operating system takes at once, and less than `maxBufferedBytes`.
 */
const LARGE = { count: 12, bytes: 640 * 1024 };

const MAX_BUFFERED_BYTES = 16 * 1024 * 1024;

const tls = selfSigned();

interface Way {
  readonly name: string;
  readonly dial: (port: number) => Socket;
  readonly start: (actor: string) => Promise<{ readonly board: Switchboard; readonly port: number }>;
}

const listening = (attach: Partial<ListenOptions>, options: Partial<StartOptions> = {}) => {
  return (actor: string) => startBoard({ maxBufferedBytes: MAX_BUFFERED_BYTES, ...options, actor, attach });
};

async function attachToHttps(actor: string, options: AttachOptions = {}) {
  const { board } = await startBoard({ maxBufferedBytes: MAX_BUFFERED_BYTES, actor });
  const server = createHttpsServer(tls);
  board.attach(server, options);
  server.on("request", (_, response) => response.end()).listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.close();
  });
  return { board, port: (server.address() as AddressInfo).port };
}

const ways: readonly Way[] = [
  { name: "a handshake in the main thread", dial: dialTcp, start: listening({}) },
  { name: "a handshake in the shard", dial: dialTcp, start: listening({ handshake: "shard" }) },
  { name: "accept in the shard", dial: dialTcp, start: listening({ accept: "shard" }) },
  ...(whyNoUring() === undefined
    ? [{ name: "io_uring", dial: dialTcp, start: listening({ accept: "shard" }, { sockets: "uring" }) }]
    : []),
  { name: "the relay", dial: dialTcp, start: listening({}, { sockets: "relay" }) },
  { name: "TLS in the shard", dial: dialTls, start: listening({ tls }) },
  { name: "accept and TLS in the shard", dial: dialTls, start: listening({ tls, accept: "shard" }) },
  { name: "an https server", dial: dialTls, start: attachToHttps },
];

/** All bytes that the other end sends until its end. */
async function allOf(stream: Duplex): Promise<Buffer> {
  return Buffer.concat(await stream.toArray());
}

/** All bytes that a server sends after its 101 to a peer that sends these bytes and ends its direction. */
async function answerTo(socket: Socket, bytes: Buffer, together: boolean): Promise<Buffer> {
  if (together) {
    socket.end(Buffer.concat([Buffer.from(upgradeRequest()), bytes]));
  } else {
    socket.write(upgradeRequest());
    await once(socket, "readable");
    socket.end(bytes);
  }
  const all = await allOf(socket);
  return all.subarray(all.indexOf("\r\n\r\n") + 4);
}

const message = { sent: text("hello"), answer: Buffer.from("\x81\x05hello", "latin1") };
const closing = { sent: close(1000), answer: Buffer.from("\x88\x02\x03\xe8", "latin1") };
const both = {
  sent: Buffer.concat([message.sent, closing.sent]),
  answer: Buffer.concat([message.answer, closing.answer]),
};

/** What a peer sends before its end, and its answer. */
const cases = [message, closing, both];

/** Expects for each case the answers of so many peers. */
async function expectAnswers(ask: (sent: Buffer) => Promise<Buffer>, of: typeof cases): Promise<void> {
  for (let round = 0; round < ROUNDS; round++) {
    for (const { sent, answer } of of) {
      const answers = await Promise.all(Array.from({ length: PEERS }, () => ask(sent)));
      expect(answers, sent.toString("latin1")).toEqual(answers.map(() => answer));
    }
  }
}

/** Expects that so many peers came, and that all have gone. */
async function expectGone(board: Switchboard, accepted: number): Promise<void> {
  await vi.waitFor(() => expect(board.stats()).toMatchObject({ connections: 0, upgrades: { accepted } }));
}

describe.each(ways)("over $name, a peer that ends its direction", ({ dial, start }) => {
  it("right after a message or a close frame gets the answer", async () => {
    const { board, port } = await start("echo");
    await expectAnswers((sent) => answerTo(dial(port), sent, false), cases);
    await expectAnswers((sent) => answerTo(dial(port), sent, true), [message]);
    await expectGone(board, (cases.length + 1) * PEERS * ROUNDS);
  });

  it("right after a message or a close frame gets the answer of an actor that is late", async () => {
    const { board, port } = await start("late");
    await expectAnswers((sent) => answerTo(dial(port), sent, false), cases);
    await expectGone(board, cases.length * PEERS * ROUNDS);
  });

  it("gets all messages that were sent to it before", async () => {
    const { port } = await start("pouring");
    const answer = await answerTo(dial(port), text(JSON.stringify(LARGE)), false);
    // The header of each frame has 10 bytes.
    expect(answer).toHaveLength(LARGE.count * (10 + LARGE.bytes));
  });
});

describe("over an HTTP/2 stream, a peer that ends its direction", () => {
  it.each(["echo", "late"])("right after a message or a close frame gets the answer of an actor: %s", async (actor) => {
    const { board, session } = await startHttp2({ actor });
    await expectAnswers((sent) => allOf(ask(session).end(sent)), cases);
    await expectGone(board, cases.length * PEERS * ROUNDS);
  });

  it("gets all messages that were sent to it before", async () => {
    const { session } = await startHttp2({ actor: "pouring", maxBufferedBytes: MAX_BUFFERED_BYTES });
    const answer = await allOf(ask(session).end(text(JSON.stringify(LARGE))));
    expect(answer).toHaveLength(LARGE.count * (10 + LARGE.bytes));
  });
});

it("over an https server, a peer that ends its direction while authorize is pending gets the answer", async () => {
  const asked = Promise.withResolvers<void>();
  const admitted = Promise.withResolvers<{ session: undefined }>();
  const { port } = await attachToHttps("echo", {
    authorize: () => {
      asked.resolve();
      return admitted.promise;
    },
  });
  const answer = answerTo(dialTls(port), message.sent, true);
  await asked.promise;
  // The server has read the peer's end before it closes this later connection.
  await allOf(dialTls(port).end("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"));
  admitted.resolve({ session: undefined });
  expect(await answer).toEqual(message.answer);
});
