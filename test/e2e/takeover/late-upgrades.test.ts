/** Upgrades on sockets that the old process of a takeover has accepted, and whose requests come during it or later. */
import { type EventEmitter, once } from "node:events";
import { createServer, type Server } from "node:http";
import { createServer as createSecureServer } from "node:https";
import type { AddressInfo } from "node:net";
import { connect as connectSecurely } from "node:tls";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { type AttachOptions, type ListenOptions, type StartOptions, Switchboard } from "../../../src/index.ts";
import { whyNoPassing } from "../../../src/wire/native/pass-descriptors.ts";
import { whyNoUring } from "../../../src/wire/native/ring.ts";
import { actorUrl } from "../../support/board.ts";
import { createCertificate } from "../../support/certificate.ts";
import { text } from "../../support/frames.ts";
import { freePort } from "../../support/free-port.ts";
import { RawClient, upgradeRequest } from "../../support/raw-client.ts";
import { allAnswered, expectAllRight, openClients } from "./counted-clients.ts";
import { aliasOf, ServerProcess, takeoverPath } from "./server-process.ts";

/** A takeover on a busy machine takes longer than a request may take. */
const handshakeTimeoutMs = 60_000;

interface Way {
  /** Options of `board.listen`, or of `attach` to a server that is made for each process. */
  readonly listen?: Omit<ListenOptions, "port">;
  readonly attach?: AttachOptions;
  readonly newServer?: () => Server;
  readonly start?: Partial<StartOptions>;
}

const WAYS: readonly (Way & { readonly way: string })[] = [
  { way: "is attached to a server of the program's", attach: {} },
  { way: "does handshakes in the main thread", listen: { handshake: "main" } },
  { way: "does handshakes in the shards", listen: {} },
  { way: "does handshakes in the shards, with authorize", listen: {}, start: { actor: actorUrl("authorizing") } },
  { way: "accepts in the shards", listen: { accept: "shard" } },
  { way: "uses io_uring", listen: { accept: "shard" }, start: { sockets: "uring" } },
];

/** Starts boards that take over from each other, each with a server of its own if `attach` is given. */
async function chain({ listen = {}, attach, newServer = createServer, start = {} }: Way) {
  const takeover = takeoverPath();
  const port = await freePort();
  const startNext = async () => {
    const options = { actor: actorUrl("counting"), takeover: aliasOf(takeover), shards: 1, warmUp: false, ...start };
    const board = await Switchboard.start(options);
    const failures: Error[] = [];
    board.on("handshakeFailed", (error) => failures.push(error));
    const server = newServer();
    onTestFinished(async () => {
      server.closeAllConnections();
      await board.close({ timeoutMs: 0 });
    });
    const goOn = async (): Promise<void> => {
      if (attach !== undefined) board.attach(server, { handshakeTimeoutMs, ...attach });
      if (attach === undefined) await board.listen({ port, host: "127.0.0.1", handshakeTimeoutMs, ...listen });
      else await board.listen(server, { port, host: "127.0.0.1" });
    };
    return { board, server, failures, listen: goOn };
  };
  const first = await startNext();
  await first.listen();
  return { port, first, startNext, takeover };
}

const event = (board: Switchboard, name: string): Promise<unknown> => once(board as unknown as EventEmitter, name);

/** Connects, and resolves when the board has accepted all these sockets: it accepts in order. */
async function connectSome(port: number, count: number): Promise<RawClient[]> {
  const clients = await Promise.all(Array.from({ length: count }, () => RawClient.connect(port)));
  const last = await RawClient.open({ port });
  await last.close();
  onTestFinished(() => {
    for (const { socket } of clients) socket.destroy();
  });
  return clients;
}

/** Sends a request with a message behind it, and expects the answer of a `Counting` actor. */
const REQUEST = Buffer.concat([Buffer.from(upgradeRequest({ path: "/late?a=b" })), text("first")]);

async function expectOpen(client: RawClient): Promise<void> {
  expect(await client.response()).toMatchObject({ status: 101, headers: { upgrade: "websocket" } });
}

async function expectServed(client: RawClient): Promise<void> {
  await expectOpen(client);
  expect((await client.frame()).payload.toString("latin1")).toBe("\0\0\0\0first");
  client.write(text("second"));
  expect((await client.frame()).payload.toString("latin1")).toBe("\0\0\0\u0001second");
}

describe.skipIf(whyNoPassing() !== undefined)("an upgrade that comes too late for the old process", () => {
  const ways = WAYS.filter(({ start }) => start?.sockets !== "uring" || whyNoUring() === undefined);
  it.each(ways)("is answered by the new one when the board $way", async (way) => {
    const { port, first, startNext } = await chain(way);
    const [during, half, after] = (await connectSome(port, 3)) as [RawClient, RawClient, RawClient];
    // An `Authorizing` actor answers no such message.
    const isCounting = way.start?.actor === undefined;
    const request = isCounting ? REQUEST : Buffer.from(upgradeRequest());
    first.board.once("handingOver", () => {
      during.write(request);
      half.write(request.subarray(0, 40));
    });
    const handedOver = event(first.board, "handedOver");
    const next = await startNext();
    await next.listen();
    await handedOver;
    half.write(request.subarray(40));
    after.write(request);
    for (const client of [during, half, after]) await (isCounting ? expectServed(client) : expectOpen(client));
    expect(next.board.stats().upgrades).toMatchObject({ accepted: 3, refused: {}, failed: 0 });
    await vi.waitFor(() => expect(first.board.stats().upgrades).toMatchObject({ accepted: 1, passedOn: 3 }));
    expect(first.board.stats().upgrades).toMatchObject({ refused: {}, abandoned: 0, timedOut: 0, failed: 0 });
    expect([...first.failures, ...next.failures]).toEqual([]);
    expect(first.board.stats().connections).toBe(0);
  });

  it("leaves with an idle HTTP connection, which goes on with its requests in the new process", async () => {
    const servers = [
      createServer((_, response) => response.end("old")),
      createServer((_, response) => response.end("new")),
    ];
    const { port, first, startNext } = await chain({ attach: {}, newServer: () => servers.shift() as Server });
    const client = await RawClient.connect(port);
    const ask = async (): Promise<string> => {
      client.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
      expect(await client.response()).toMatchObject({ status: 200, headers: { connection: "keep-alive" } });
      return client.take(3);
    };
    expect(await ask()).toBe("old");
    const handedOver = event(first.board, "handedOver");
    const next = await startNext();
    await next.listen();
    await handedOver;
    expect(await ask()).toBe("new");
    client.write(REQUEST);
    await expectServed(client);
  });

  it("leaves with an idle HTTP connection also when everybody is stopped for longer than a second", async () => {
    // The old process waits 2 s for a handshake whose `authorize` isn't through.
    const authorize = Promise.withResolvers<{ session: undefined }>();
    const attach: AttachOptions = { path: "/late", authorize: () => authorize.promise };
    const servers = [
      createServer((_, response) => response.end("old")),
      createServer((_, response) => response.end("new")),
    ];
    const { port, first, startNext } = await chain({ attach, newServer: () => servers.shift() as Server });
    const silent = await RawClient.connect(port);
    const idle = await RawClient.connect(port);
    const waiting = await RawClient.connect(port);
    idle.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    expect(await idle.response()).toMatchObject({ status: 200 });
    expect(await idle.take(3)).toBe("old");
    const asked = event(first.board, "handingOver");
    waiting.write(REQUEST);
    const handedOver = event(first.board, "handedOver");
    const next = await startNext();
    await next.listen();
    await asked;
    await handedOver;
    for (const client of [silent, idle]) {
      client.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
      expect(await client.response()).toMatchObject({ status: 200 });
      expect(await client.take(3)).toBe("new");
    }
    authorize.resolve({ session: undefined });
    await expectServed(waiting);
  });

  it("leaves with an HTTP connection whose request was under way, once that is answered", async () => {
    const answer = Promise.withResolvers<void>();
    const asked = Promise.withResolvers<void>();
    const slow = createServer((_, response) => {
      asked.resolve();
      void answer.promise.then(() => response.end("old"));
    });
    const servers = [slow, createServer((_, response) => response.end("new"))];
    const { port, first, startNext } = await chain({ attach: {}, newServer: () => servers.shift() as Server });
    const client = await RawClient.connect(port);
    const ask = async (): Promise<string> => {
      client.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
      expect(await client.response()).toMatchObject({ status: 200, headers: { connection: "keep-alive" } });
      return client.take(3);
    };
    const answered = ask();
    await asked.promise;
    const handedOver = event(first.board, "handedOver");
    const next = await startNext();
    await next.listen();
    await handedOver;
    answer.resolve();
    expect(await answered).toBe("old");
    await vi.waitFor(() => expect(first.board.stats().upgrades).toMatchObject({ passedOn: 1 }), 20_000);
    expect(await ask()).toBe("new");
  });

  it("is answered by the third process if the second has been taken over, too", async () => {
    const { port, first, startNext } = await chain({ attach: {} });
    const [late] = (await connectSome(port, 1)) as [RawClient];
    // A half request stays in the first process.
    late.write(REQUEST.subarray(0, 40));
    let old = first.board;
    for (let process = 2; process <= 3; process++) {
      const handedOver = event(old, "handedOver");
      const next = await startNext();
      await next.listen();
      await handedOver;
      old = next.board;
    }
    late.write(REQUEST.subarray(40));
    await expectServed(late);
    expect(old.stats().upgrades).toMatchObject({ accepted: 1 });
  });

  it("is answered by the new one if it was being authorized when everybody was stopped", async () => {
    const asked: number[] = [];
    let board: Switchboard | undefined;
    // The old process answers only once all connections are suspended.
    const authorize = async () => {
      asked.push(1);
      if (asked.length === 2) await event(board as Switchboard, "handingOver");
      return { session: undefined };
    };
    const { port, first, startNext } = await chain({ attach: { authorize } });
    board = first.board;
    const [late] = (await connectSome(port, 1)) as [RawClient];
    const next = await startNext();
    late.write(REQUEST);
    await vi.waitFor(() => expect(asked).toHaveLength(2));
    await next.listen();
    await expectServed(late);
    expect(asked).toHaveLength(3);
    expect(next.board.stats().upgrades).toMatchObject({ accepted: 1 });
  });

  it("is accepted by the old one if the takeover fails", async () => {
    const { port, first, takeover } = await chain({ listen: {} });
    const clients = await openClients(20, { port });
    const late = await connectSome(port, 3);
    const failed = event(first.board, "successorFailed");
    first.board.once("handingOver", () => {
      for (const client of late) client.write(REQUEST);
    });
    const start = { actor: "counting", takeover, shards: 1, warmUp: false };
    const next = new ServerProcess({ start, listen: [{ port }], fails: "suspend" });
    await next.tells("failing");
    await failed;
    for (const client of late) await expectServed(client);
    await allAnswered(clients);
    expect(first.board.stats().upgrades).toMatchObject({ accepted: 24, refused: {}, passedOn: 0 });
    await expectAllRight(clients);
  });

  it("gets 503 with Retry-After: 0 over TLS of the main thread, whose state can't leave the process", async () => {
    const certificate = createCertificate();
    const { port, first, startNext } = await chain({ attach: {}, newServer: () => createSecureServer(certificate) });
    const socket = connectSecurely({ port, host: "127.0.0.1", rejectUnauthorized: false });
    await once(socket, "secureConnect");
    const client = new RawClient(socket);
    first.board.once("handingOver", () => client.write(REQUEST));
    const next = await startNext();
    await next.listen();
    expect(await client.response()).toMatchObject({
      status: 503,
      headers: { "retry-after": "0", connection: "close" },
    });
    await client.closed();
    expect(first.board.stats().upgrades).toMatchObject({ refused: { 503: 1 }, passedOn: 0 });
  });

  it("gets 503 with Retry-After: 0 if the new process has closed its server", async () => {
    const { port, first, startNext } = await chain({ attach: {} });
    const [late] = (await connectSome(port, 1)) as [RawClient];
    // A half request stays in the first process.
    late.write(REQUEST.subarray(0, 40));
    const handedOver = event(first.board, "handedOver");
    const next = await startNext();
    await next.listen();
    await handedOver;
    next.server.close();
    await once(next.server, "close");
    late.write(REQUEST.subarray(40));
    expect(await late.response()).toMatchObject({ status: 503, headers: { "retry-after": "0", connection: "close" } });
    expect(first.failures).toEqual([expect.objectContaining({ code: "ERR_NO_LISTENER" })]);
    expect(first.board.stats().upgrades).toMatchObject({ refused: { 503: 1 }, passedOn: 0 });
  });

  it("gets 503 with Retry-After: 0 if a listener of the new process throws, and nobody else's socket is closed", async () => {
    const { port, first, startNext } = await chain({ attach: {} });
    const clients = await openClients(5, { port });
    const [late] = (await connectSome(port, 1)) as [RawClient];
    late.write(REQUEST.subarray(0, 40));
    const handedOver = event(first.board, "handedOver");
    const next = await startNext();
    await next.listen();
    await handedOver;
    next.server.prependOnceListener("connection", () => {
      throw new Error("thrown by a listener");
    });
    late.write(REQUEST.subarray(40));
    expect(await late.response()).toMatchObject({ status: 503, headers: { "retry-after": "0", connection: "close" } });
    await allAnswered(clients);
    await expectAllRight(clients);
  });

  it("gets 503 with Retry-After: 0 on a server that nobody can take over", async () => {
    const { first, startNext } = await chain({ attach: {} });
    const other = createServer();
    onTestFinished(() => void other.close());
    first.board.attach(other);
    other.listen(0, "127.0.0.1");
    await once(other, "listening");
    const client = await RawClient.connect((other.address() as AddressInfo).port);
    first.board.once("handingOver", () => client.write(REQUEST));
    const next = await startNext();
    await next.listen();
    expect(await client.response()).toMatchObject({ status: 503, headers: { "retry-after": "0" } });
  });
});
