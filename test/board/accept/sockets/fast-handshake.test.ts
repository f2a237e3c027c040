import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { expect, it, onTestFinished, vi } from "vitest";
import { Acceptor } from "../../../../src/board/accept/acceptor.ts";
import { ClosedSocketReporter } from "../../../../src/board/accept/closed-socket-reporter.ts";
import { HeldUpgrades } from "../../../../src/board/accept/held-upgrades.ts";
import type { ShardPort } from "../../../../src/board/accept/shard-port.ts";
import { FastHandshakes } from "../../../../src/board/accept/sockets/fast-handshake.ts";
import { HttpSockets } from "../../../../src/board/accept/sockets/http-sockets.ts";
import { SocketAcceptor } from "../../../../src/board/accept/sockets/socket-acceptor.ts";
import type { SocketAcceptorOwner } from "../../../../src/board/accept/sockets/socket-acceptor-owner.ts";
import type { HandoffEnvelope } from "../../../../src/board/connection/connection-host.ts";
import { FairScheduler, type ScheduledTask } from "../../../../src/runtime/scheduling/fair-scheduler.ts";
import { Counters } from "../../../../src/runtime/stats/counters.ts";
import { createMovableServer } from "../../../../src/wire/transport/raw-socket-server.ts";
import { nodeSockets } from "../../../../src/wire/transport/tcp-sockets.ts";
import type { HandshakeTransport, Transport } from "../../../../src/wire/transport/transport.ts";
import { RawClient, upgradeRequest } from "../../../support/raw-client.ts";

interface Options {
  readonly handshakeTimeoutMs?: number;
  /** Name of the actor module of the port. */
  readonly actor?: string;
  readonly adopt?: (transport: Transport, envelope: HandoffEnvelope) => void;
  readonly turns?: Pick<FairScheduler, "admitsBackground" | "addBackground">;
  /** False: the server comes from another thread, before the main thread tells of its port. Default: true. */
  readonly isKnown?: boolean;
}

/** A shard's acceptor on a port of its own. `adopted` gets the envelope and the first bytes of each connection. */
async function startAcceptor({
  handshakeTimeoutMs = 60_000,
  actor,
  adopt,
  turns = new FairScheduler(),
  isKnown = true,
}: Options = {}) {
  const counters = new Counters();
  const adopted = vi.fn<(envelope: HandoffEnvelope, bytes: string) => void>();
  const handshakeFailed = vi.fn<(error: Error) => void>();
  const here = {
    shard: 3,
    requestHeadersOf: (name: string | undefined) => (name === "admin" ? ["x-admin"] : ["user-agent"]),
    handOff: () => Promise.reject(new Error("a fast handshake hands nothing off")),
  };
  const owner = { isRemote: false, place: () => here, here, handshakeFailed, acceptFailed: handshakeFailed };
  const answerAndRecord = (transport: Transport, envelope: HandoffEnvelope): void => {
    transport.write(Buffer.from(envelope.answer, "latin1"));
    transport.start({
      received: (chunk) => adopted(envelope, chunk.toString()),
      drained: () => {},
      ended: () => transport.destroy(),
      closed: () => {},
    });
  };
  const acceptor = new SocketAcceptor({
    acceptor: new Acceptor(owner, { counters: counters.upgrades }),
    held: new HeldUpgrades(),
    counters,
    closedSockets: new ClosedSocketReporter(counters, () => {}),
    turns,
    sockets: nodeSockets,
    authorizeOf: () => undefined,
    passOn: () => {},
    adopt: adopt ?? answerAndRecord,
    acceptFailed: handshakeFailed,
  });
  const settings = { route: { path: "/chat/:room", handshakeTimeoutMs, ...(actor && { actor }) } };
  const server = createMovableServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  if (isKnown) {
    acceptor.configure(0, settings);
    acceptor.listen(server, 0);
  } else acceptor.takeOver({ server, listenerId: 0, settings });
  onTestFinished(() => acceptor.close());
  return { port: (server.address() as AddressInfo).port, counters, adopted, handshakeFailed };
}

it("accepts with a server that another thread gives before the main thread tells of the port", async () => {
  const { port, counters } = await startAcceptor({ isKnown: false });
  const client = await RawClient.connect(port);
  client.write(upgradeRequest({ path: "/chat/blue" }));
  expect(await client.response()).toMatchObject({ status: 101 });
  expect(counters.upgrades.snapshot().accepted).toBe(1);
});

it("opens a connection for a simple request, with the bytes behind the request", async () => {
  const { port, counters, adopted } = await startAcceptor();
  const client = await RawClient.connect(port);
  client.write(`${upgradeRequest({ path: "/chat/blue", headers: { "User-Agent": "test" } })}first bytes`);
  expect(await client.response()).toMatchObject({ status: 101, headers: { upgrade: "websocket" } });
  await vi.waitFor(() => expect(adopted).toHaveBeenCalled());
  const [envelope, bytes] = adopted.mock.calls[0] ?? [];
  expect(bytes).toBe("first bytes");
  expect(envelope?.identity).toMatchObject({
    id: "3-0",
    params: { room: "blue" },
    url: "/chat/blue",
    headers: { "user-agent": "test" },
  });
  expect(counters.upgrades.snapshot().accepted).toBe(1);
  expect(counters.get("handshakes")).toBe(0);
});

it("opens a connection for the actor module of the port, with the headers of its class", async () => {
  const { port, adopted } = await startAcceptor({ actor: "admin" });
  const client = await RawClient.connect(port);
  client.write(upgradeRequest({ path: "/chat/blue", headers: { "User-Agent": "test", "X-Admin": "yes" } }));
  await client.response();
  client.write("bytes");
  await vi.waitFor(() => expect(adopted).toHaveBeenCalled());
  expect(adopted.mock.calls[0]?.[0].identity).toMatchObject({ actor: "admin", headers: { "x-admin": "yes" } });
});

it.each([
  { what: "a plain request on the path", bytes: "GET /chat/blue HTTP/1.1\r\nHost: a\r\n\r\n", status: 426 },
  { what: "a plain request elsewhere", bytes: "GET / HTTP/1.1\r\nHost: a\r\n\r\n", status: 404 },
  { what: "an upgrade elsewhere", bytes: upgradeRequest({ path: "/" }), status: 404 },
  {
    what: "an upgrade that a check refuses",
    bytes: upgradeRequest({ path: "/chat/blue", headers: { "Sec-WebSocket-Version": "8" } }),
    status: 426,
  },
  { what: "bytes that aren't HTTP", bytes: "no request\r\n\r\n", status: 400 },
])("leaves $what to node:http, which answers with $status", async ({ bytes, status }) => {
  const { port, counters, adopted } = await startAcceptor();
  const client = await RawClient.connect(port);
  client.write(bytes);
  expect((await client.response()).status).toBe(status);
  client.socket.destroy();
  await vi.waitFor(() => expect(counters.get("handshakes")).toBe(0));
  expect(adopted).not.toHaveBeenCalled();
});

it("counts a peer that leaves before its request", async () => {
  const { port, counters } = await startAcceptor();
  const client = await RawClient.connect(port);
  await vi.waitFor(() => expect(counters.get("handshakes")).toBe(1));
  client.socket.destroy();
  await vi.waitFor(() => expect(counters.upgrades.snapshot().abandoned).toBe(1));
  expect(counters.get("handshakes")).toBe(0);
  expect(counters.get("departed")).toBe(1);
});

it("closes a connection without a request at the deadline", async () => {
  const { port, counters } = await startAcceptor({ handshakeTimeoutMs: 20 });
  const client = await RawClient.connect(port);
  await client.closed();
  await vi.waitFor(() => expect(counters.upgrades.snapshot()).toMatchObject({ timedOut: 1, abandoned: 0 }));
  expect(counters.get("handshakes")).toBe(0);
  expect(counters.get("departed")).toBe(1);
});

it("answers 408 to an incomplete request, at the deadline that began at the accept", async () => {
  const { port, counters } = await startAcceptor({ handshakeTimeoutMs: 200 });
  const client = await RawClient.connect(port);
  client.write("GET /chat/blue HTTP/1.1\r\n");
  expect((await client.response()).status).toBe(408);
  expect(counters.upgrades.snapshot()).toMatchObject({ timedOut: 1, abandoned: 0 });
});

it("closes the socket and reports the error when the connection can't be opened", async () => {
  const error = new Error("no connection");
  const adopt = () => {
    throw error;
  };
  const { port, counters, handshakeFailed } = await startAcceptor({ adopt });
  const client = await RawClient.connect(port);
  client.write(upgradeRequest({ path: "/chat/blue" }));
  await client.closed();
  expect(handshakeFailed).toHaveBeenCalledExactlyOnceWith(error);
  expect(counters.upgrades.snapshot()).toMatchObject({ accepted: 0, failed: 1 });
  expect(counters.get("handshakes")).toBe(0);
  expect(counters.get("departed")).toBe(1);
});

/** A scheduler whose background is full until `free` is called. */
function busyScheduler() {
  const tasks: ScheduledTask[] = [];
  return {
    admitsBackground: () => false,
    addBackground: (task: ScheduledTask) => void tasks.push(task),
    get waiting() {
      return tasks.length;
    },
    free: () => {
      for (const task of tasks.splice(0)) task.takeTurn();
    },
  };
}

it("lets a request wait while the shard has much to do for new connections, and loses none of its bytes", async () => {
  const turns = busyScheduler();
  const { port, counters, adopted } = await startAcceptor({ turns });
  const client = await RawClient.connect(port);
  client.write(`${upgradeRequest({ path: "/chat/blue" })}first bytes`);
  await vi.waitFor(() => expect(turns.waiting).toBe(1));
  expect(counters.get("handshakes")).toBe(1);
  // The end of the peer's direction comes behind the bytes.
  client.socket.end();
  turns.free();
  expect((await client.response()).status).toBe(101);
  await vi.waitFor(() => expect(adopted).toHaveBeenCalledWith(expect.anything(), "first bytes"));
  expect(counters.upgrades.snapshot().accepted).toBe(1);
  expect(counters.get("handshakes")).toBe(0);
});

it("ends a request that waits for longer than the time of its handshake", async () => {
  const turns = busyScheduler();
  const { port, counters, adopted } = await startAcceptor({ turns, handshakeTimeoutMs: 50 });
  const client = await RawClient.connect(port);
  client.write(upgradeRequest({ path: "/chat/blue" }));
  await vi.waitFor(() => expect(counters.upgrades.snapshot().timedOut).toBe(1));
  turns.free();
  expect(adopted).not.toHaveBeenCalled();
  expect(counters.get("handshakes")).toBe(0);
});

it("ends each handshake at its own deadline, at most a twentieth of its time late, by one timer", () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
  onTestFinished(() => void vi.useRealTimers());
  const counters = new Counters();
  const closedSockets = new ClosedSocketReporter(counters, () => {});
  const owner = { counters, closedSockets, held: new HeldUpgrades() } as SocketAcceptorOwner;
  const handshakes = new FastHandshakes(owner, new HttpSockets(owner));
  const ended: string[] = [];
  const start = (name: string, handshakeTimeoutMs: number): void => {
    const transport: Partial<HandshakeTransport> = { start() {}, destroy: () => void ended.push(name) };
    const port = { settings: { handshakeTimeoutMs } } as ShardPort;
    handshakes.start(transport as HandshakeTransport, port, undefined);
  };
  start("slow", 10_000);
  start("quick", 100);
  vi.advanceTimersByTime(50);
  start("slow, 50 ms later", 10_000);
  expect(vi.getTimerCount()).toBe(1);
  vi.advanceTimersByTime(49);
  expect(ended).toEqual([]);
  vi.advanceTimersByTime(1);
  expect(ended).toEqual(["quick"]);
  vi.advanceTimersByTime(9_899);
  expect(ended).toEqual(["quick"]);
  vi.advanceTimersByTime(1);
  expect(ended).toEqual(["quick", "slow"]);
  vi.advanceTimersByTime(48);
  expect(ended).toEqual(["quick", "slow"]);
  vi.advanceTimersByTime(502);
  expect(ended).toEqual(["quick", "slow", "slow, 50 ms later"]);
  expect(counters.upgrades.snapshot().timedOut).toBe(3);
  expect(vi.getTimerCount()).toBe(0);
});
