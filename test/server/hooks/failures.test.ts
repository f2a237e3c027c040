import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { createServer } from "node:http";
import { expect, it, onTestFinished, vi } from "vitest";
import { MAX_FAILURES_IN_A_ROW, OPEN_MS } from "../../../src/server/hooks/circuit-breaker.ts";
import { MAX_CALLS_UNDER_WAY, MAX_CALLS_WAITING } from "../../../src/server/hooks/endpoint.ts";
import { MAX_ANSWER_BYTES } from "../../../src/server/hooks/http-call.ts";
import {
  answering,
  backendConfig,
  client,
  deadUrl,
  INTERNAL_ERROR,
  recordingLog,
  rpc,
  startApplication,
  startBackend,
  startTcp,
} from "./support/application.ts";

const OK = '{"result":{}}';
const OK_RESPONSE = `HTTP/1.1 200 OK\r\ncontent-length: ${OK.length}\r\n\r\n${OK}`;
const facts = client();

/** Short, for calls that can only end by it. */
const TIMEOUT_MS = 50;

it("gives clients error 100 while nobody listens, and says where to look", async () => {
  const logged = recordingLog();
  const url = await deadUrl();
  const secret = url.replace("http://", "http://user:secret@").replace("/ask", "/ask?key=secret");
  const backend = startBackend(backendConfig(secret), logged);
  expect(await rpc(backend)).toEqual(INTERNAL_ERROR);
  expect(logged.lines).toEqual([
    {
      message: expect.stringMatching(/ECONNREFUSED.*check that the application runs there/),
      facts: { endpoint: "rpc.proxy", url, failure: "unreachable" },
    },
  ]);
  expect(JSON.stringify(logged.lines)).not.toContain("secret");
});

it.each([
  { what: "never answers", answer: "", says: "no answer within 50 ms" },
  { what: "answers with half a head", answer: "HTTP/1.1 200 OK\r\ncontent-", says: "no answer within 50 ms" },
  {
    what: "answers with a body without end",
    answer: "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{\r\n",
    says: "its answer didn't end within 1500 ms",
    // On a busy machine, too, the head comes in time.
    timeoutMs: 1_500,
  },
])("gives clients error 100 in time if the application $what", async ({ answer, says, timeoutMs = TIMEOUT_MS }) => {
  const url = await startTcp((socket) => socket.on("data", () => socket.write(answer)));
  const logged = recordingLog();
  const backend = startBackend(backendConfig(url, { timeoutMs }), logged);
  expect(await rpc(backend)).toEqual(INTERNAL_ERROR);
  expect(logged.lines[0]).toMatchObject({ message: expect.stringContaining(says), facts: { failure: "timeout" } });
  await vi.waitFor(() => expect(backend.snapshot()["rpc"]).toMatchObject({ underWay: 0, failures: 1 }));
});

it("says what to check if the application speaks no TLS", async () => {
  const { url } = await answering(OK);
  const logged = recordingLog();
  expect(await rpc(startBackend(backendConfig(url.replace("http:", "https:")), logged))).toEqual(INTERNAL_ERROR);
  expect(logged.lines[0]).toMatchObject({
    message: expect.stringContaining("check that the endpoint speaks TLS"),
    facts: { failure: "tls" },
  });
});

it("counts connecting into the time", async () => {
  // This address (RFC 5737) leads nowhere: packets are lost, or refused at once.
  const backend = startBackend(backendConfig("http://192.0.2.1:9/ask", { timeoutMs: TIMEOUT_MS }));
  expect(await rpc(backend)).toEqual(INTERNAL_ERROR);
});

it.each([
  { what: "closes the connection", answer: "", failure: "cut" },
  { what: "ends in the middle of the body", answer: "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}", failure: "cut" },
  { what: "doesn't speak HTTP", answer: "SSH-2.0-OpenSSH_9.2\r\n", failure: "cut" },
  { what: "answers with too large a head", answer: `HTTP/1.1 200 OK\r\nx: ${"a".repeat(70_000)}`, failure: "cut" },
  {
    what: "switches protocols",
    answer: "HTTP/1.1 101 Go\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
    failure: "cut",
  },
])("gives clients error 100 if the application $what", async ({ answer, failure }) => {
  const url = await startTcp((socket) => socket.on("data", () => socket.end(answer)));
  const logged = recordingLog();
  expect(await rpc(startBackend(backendConfig(url), logged))).toEqual(INTERNAL_ERROR);
  expect(logged.lines[0]?.facts).toMatchObject({ failure });
});

it.each([
  { status: 500, says: "it answered 500; check the application's log" },
  { status: 302, says: "it answered 302, and redirects aren't followed; set the endpoint to" },
  { status: 404, says: "check the path of the endpoint" },
  { status: 401, says: "check the endpoint's http.static_headers" },
  { status: 304, says: "redirects" },
])("takes the status $status for a failure, whatever the body", async ({ status, says }) => {
  const application = await startApplication((response) => {
    response.writeHead(status, { location: "/other" }).end(status === 304 ? undefined : OK);
  });
  const logged = recordingLog();
  const backend = startBackend(backendConfig(application.url), logged);
  expect(await rpc(backend)).toEqual(INTERNAL_ERROR);
  expect(await rpc(backend)).toEqual(INTERNAL_ERROR);
  expect(logged.lines.map(({ message }) => message)).toEqual([expect.stringContaining(says)]);
  expect(application.received).toHaveLength(2);
  expect(application.connections()).toBe(1);
});

it("takes a compressed body, which it didn't ask for, for nonsense", async () => {
  const { url } = await startApplication((response) => response.writeHead(200, { "content-encoding": "gzip" }).end(OK));
  expect(await rpc(startBackend(backendConfig(url)))).toEqual(INTERNAL_ERROR);
});

it("reads no body that is too large by its head", async () => {
  const { url } = await startApplication((response) => {
    response.writeHead(200, { "content-length": MAX_ANSWER_BYTES + 1 }).write("{");
  });
  const logged = recordingLog();
  expect(await rpc(startBackend(backendConfig(url), logged))).toEqual(INTERNAL_ERROR);
  expect(logged.lines[0]?.facts).toMatchObject({ failure: "tooLarge" });
});

it.each([200, 500])("hangs up on a body without end and with the status %i", async (status) => {
  const closed = Promise.withResolvers<void>();
  const url = await startTcp((socket) => {
    const chunk = `${(4_096).toString(16)}\r\n${"a".repeat(4_096)}\r\n`;
    const pour = (): void => {
      if (socket.destroyed) return;
      if (socket.write(chunk)) setImmediate(pour);
      else socket.once("drain", pour);
    };
    socket.once("data", () => {
      socket.write(`HTTP/1.1 ${status} X\r\ntransfer-encoding: chunked\r\n\r\n`);
      pour();
    });
    socket.once("close", () => closed.resolve());
  });
  const logged = recordingLog();
  expect(await rpc(startBackend(backendConfig(url), logged))).toEqual(INTERNAL_ERROR);
  expect(logged.lines[0]?.facts).toMatchObject({ failure: status === 200 ? "tooLarge" : "status" });
  await closed.promise;
});

it("takes a body of the largest size", async () => {
  const [head, tail] = ['{"result":{"data":"', '"}}'];
  const data = "a".repeat(MAX_ANSWER_BYTES - head.length - tail.length);
  const { url } = await answering(head + data + tail);
  const answer = await rpc(startBackend(backendConfig(url)));
  expect(answer.kind === "result" && answer.result.data?.length).toBe(data.length + 2);
});

it("answers a thousand questions at once, over few connections", async () => {
  const application = await startApplication((response, { text }) => {
    setImmediate(() => response.end(`{"result":{"data":${JSON.parse(text).method}}}`));
  });
  const backend = startBackend(backendConfig(application.url));
  const numbers = Array.from({ length: 1_000 }, (_, number) => number);
  const answers = await Promise.all(numbers.map((number) => backend.rpc({ facts, method: String(number) })));
  expect(answers).toEqual(numbers.map((number) => ({ kind: "result", result: { data: Buffer.from(String(number)) } })));
  expect(application.connections()).toBeLessThanOrEqual(MAX_CALLS_UNDER_WAY);
  const { calls, failures, latency, underWay, waiting } = backend.snapshot()["rpc"] ?? {};
  expect({ calls, failures, underWay, waiting }).toEqual({ calls: 1_000, failures: 0, underWay: 0, waiting: 0 });
  expect(latency?.count).toBe(1_000);
});

it("refuses questions beyond those that may wait, and asks the others", async () => {
  const held: (() => void)[] = [];
  let letAll = false;
  const application = await startApplication((response) => {
    if (letAll) response.end(OK);
    else held.push(() => response.end(OK));
  });
  const logged = recordingLog();
  const backend = startBackend(backendConfig(application.url), logged);
  const asked = Array.from({ length: MAX_CALLS_UNDER_WAY + MAX_CALLS_WAITING }, () => rpc(backend));
  expect(await rpc(backend)).toEqual(INTERNAL_ERROR);
  expect(backend.snapshot()["rpc"]).toMatchObject({
    overloaded: 1,
    underWay: MAX_CALLS_UNDER_WAY,
    waiting: MAX_CALLS_WAITING,
  });
  expect(logged.lines[0]?.message).toContain("more questions wait than the application answers in time");
  await vi.waitFor(() => expect(held).toHaveLength(MAX_CALLS_UNDER_WAY));
  letAll = true;
  for (const release of held) release();
  for (const answer of await Promise.all(asked)) expect(answer.kind).toBe("result");
});

it("counts waiting into the time", async () => {
  const url = await startTcp(() => {});
  const backend = startBackend(backendConfig(url, { timeoutMs: TIMEOUT_MS }));
  const answers = await Promise.all(Array.from({ length: MAX_CALLS_UNDER_WAY * 3 }, () => rpc(backend)));
  for (const answer of answers) expect(answer).toEqual(INTERNAL_ERROR);
  const { calls = 0, overloaded = 0, shortCircuited = 0 } = backend.snapshot()["rpc"] ?? {};
  expect(calls).toBeLessThan(MAX_CALLS_UNDER_WAY * 2);
  expect(calls + overloaded + shortCircuited).toBe(MAX_CALLS_UNDER_WAY * 3);
});

it("bounds the bytes of the questions that wait", async () => {
  const url = await startTcp(() => {});
  const backend = startBackend(backendConfig(url));
  const data = Buffer.from(`"${"a".repeat(1024 * 1024)}"`);
  const asked = Array.from({ length: MAX_CALLS_UNDER_WAY }, () => rpc(backend));
  for (let large = 0; large < 20; large++) asked.push(backend.rpc({ facts, method: "a", data }));
  await vi.waitFor(() => expect(backend.snapshot()["rpc"]).toMatchObject({ waiting: 15, overloaded: 5 }));
  backend.close();
  for (const answer of await Promise.all(asked)) expect(answer).toEqual(INTERNAL_ERROR);
});

it("asks once more if a kept-alive socket was closed, where asking twice does no harm", async () => {
  let questions = 0;
  const url = await startTcp((socket) => {
    let onThis = 0;
    socket.on("data", () => {
      questions++;
      // The second question on a connection meets a server that is closing it.
      if (++onThis === 1) socket.write(OK_RESPONSE);
      else socket.resetAndDestroy();
    });
  });
  const backend = startBackend(backendConfig(url));
  const ask = () => backend.subscribe({ facts, channel: "news", token: "" });
  expect(await ask()).toEqual({ kind: "result", result: {} });
  expect(await ask()).toEqual({ kind: "result", result: {} });
  expect(questions).toBe(3);
});

it.each(["rpc", "publish"] as const)("doesn't ask %s twice, because the application may have done it", async (kind) => {
  let questions = 0;
  const url = await startTcp((socket) => {
    let onThis = 0;
    socket.on("data", () => {
      questions++;
      if (++onThis === 1) socket.write(OK_RESPONSE);
      else socket.resetAndDestroy();
    });
  });
  const backend = startBackend(backendConfig(url));
  const ask = () =>
    kind === "rpc" ? rpc(backend) : backend.publish({ facts, channel: "news", data: Buffer.from("1") });
  expect(await ask()).toEqual({ kind: "result", result: {} });
  expect(await ask()).toEqual(INTERNAL_ERROR);
  expect(questions).toBe(2);
});

it("asks once more if nobody listened, for an application that restarts", async () => {
  const url = await deadUrl();
  const server = createServer((_request, response) => response.end(OK));
  onTestFinished(() => void server.close());
  const listen = (): void => {
    unsubscribe("http.client.request.error", listen);
    server.listen(Number(new URL(url).port), "127.0.0.1");
  };
  subscribe("http.client.request.error", listen);
  expect(await rpc(startBackend(backendConfig(url)))).toEqual({ kind: "result", result: {} });
});

it("doesn't ask again if a new socket was closed", async () => {
  let questions = 0;
  const url = await startTcp((socket) => {
    socket.on("data", () => {
      questions++;
      socket.end();
    });
  });
  expect(await startBackend(backendConfig(url)).subscribe({ facts, channel: "news", token: "" })).toEqual(
    INTERNAL_ERROR,
  );
  expect(questions).toBe(1);
});

it("opens a new socket if the application closed the old one before", async () => {
  const closed: Promise<unknown>[] = [];
  const url = await startTcp((socket) => {
    socket.once("data", () => socket.end(OK_RESPONSE));
    closed.push(new Promise((resolve) => socket.once("close", resolve)));
  });
  const backend = startBackend(backendConfig(url));
  for (let round = 0; round < 5; round++) {
    expect(await rpc(backend)).toEqual({ kind: "result", result: {} });
    await Promise.all(closed);
  }
  expect(closed).toHaveLength(5);
});

it("stops asking after failures in a row, and begins again when a trial succeeds", async () => {
  vi.useFakeTimers({ toFake: ["performance"] });
  onTestFinished(() => void vi.useRealTimers());
  let status = 503;
  const application = await startApplication((response) => response.writeHead(status).end(OK));
  const logged = recordingLog();
  const backend = startBackend(backendConfig(application.url), logged);
  const circuit = () => backend.snapshot()["rpc"]?.circuit;
  for (let failure = 1; failure < MAX_FAILURES_IN_A_ROW; failure++) await rpc(backend);
  status = 200;
  await rpc(backend);
  status = 503;
  expect(circuit()).toBe("closed");
  for (let failure = 1; failure <= MAX_FAILURES_IN_A_ROW; failure++) await rpc(backend);
  expect(circuit()).toBe("open");
  const before = application.received.length;
  expect(await rpc(backend)).toEqual(INTERNAL_ERROR);
  expect(application.received).toHaveLength(before);
  expect(backend.snapshot()["rpc"]).toMatchObject({ shortCircuited: 1 });
  // Each question has a circuit of its own.
  expect(backend.snapshot()["connect"]?.circuit).toBe("closed");

  vi.advanceTimersByTime(OPEN_MS - 1);
  await rpc(backend);
  expect(application.received).toHaveLength(before);
  vi.advanceTimersByTime(1);
  await Promise.all([rpc(backend), rpc(backend), rpc(backend)]);
  expect(application.received).toHaveLength(before + 1);
  expect(circuit()).toBe("open");

  status = 200;
  vi.advanceTimersByTime(OPEN_MS);
  const [trial, meanwhile] = await Promise.all([rpc(backend), rpc(backend)]);
  expect(trial).toEqual({ kind: "result", result: {} });
  expect(meanwhile).toEqual(INTERNAL_ERROR);
  expect(circuit()).toBe("closed");
  expect(await rpc(backend)).toEqual({ kind: "result", result: {} });
  expect(logged.lines.map(({ message }) => message)).toEqual([
    expect.stringContaining("a call to the application failed: it answered 503"),
    expect.stringContaining("too many calls to the application failed in a row: none is made for 3 s"),
    "the application answers again",
  ]);
});

it.each([400, 500])(
  "doesn't stop for an application that answers %i, because a client may have made it do so",
  async (status) => {
    const application = await startApplication((response) => response.writeHead(status).end());
    const backend = startBackend(backendConfig(application.url));
    for (let failure = 0; failure < MAX_FAILURES_IN_A_ROW * 2; failure++) {
      expect(await rpc(backend)).toEqual(INTERNAL_ERROR);
    }
    expect(application.received).toHaveLength(MAX_FAILURES_IN_A_ROW * 2);
    expect(backend.snapshot()["rpc"]).toMatchObject({ circuit: "closed", failures: MAX_FAILURES_IN_A_ROW * 2 });
  },
);

it("ends the calls under way when it closes", async () => {
  const asked = Promise.withResolvers<void>();
  const url = await startTcp((socket) => socket.on("data", () => asked.resolve()));
  const backend = startBackend(backendConfig(url));
  const answer = rpc(backend);
  await asked.promise;
  backend.close();
  expect(await answer).toEqual(INTERNAL_ERROR);
});
