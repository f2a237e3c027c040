/**
 * Fuzzes a live server: malformed commands over sockets in both codecs, malformed requests to the API, to emulation and
 * to SSE. Each gets a documented answer, and nobody else notices. `FUZZ_SECONDS=600` does so for longer; a finding is
 * printed with the seed for `FUZZ_SEED`.
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { DISCONNECTS, ERRORS } from "../../../src/server/protocol/codes.ts";
import { apiCall, connectParameter, emulationBody, type FuzzSession, fuzzSession } from "../support/fuzz-sessions.ts";
import { type Encoding, RawClient } from "../support/raw-client.ts";
import { API_KEY, launchTestServer, type TestServer } from "../support/server.ts";

const SECONDS = Number(process.env["FUZZ_SECONDS"] ?? 8);
vi.setConfig({ testTimeout: 120_000 + SECONDS * 1_000 });
const SEED = process.env["FUZZ_SEED"];
/** Sessions that run at a time. */
const TOGETHER = 8;
/** Id of a command whose reply tells that all commands before it have been handled. */
const FENCE = 0x7000_0000;
const BYSTANDERS = "bystanders-only";

/** Codes with which a client may be closed: those of the protocol, and of frames that are too large or no UTF-8. */
const CLOSE_CODES: ReadonlySet<number> = new Set([
  1007,
  1009,
  ...(["invalidToken", "badRequest", "inappropriateProtocol", "notAvailable"] as const).map(
    (name) => DISCONNECTS[name].code,
  ),
]);
/** An internal error is no answer to a malformed command. */
const ERROR_CODES: ReadonlySet<number> = new Set(
  Object.values(ERRORS)
    .map(({ code }) => code)
    .filter((code) => code !== ERRORS.internal.code),
);

const history = { history_size: 10, history_ttl: "60s", force_recovery: true, allowed_delta_types: ["fossil"] };
const CONFIG = {
  client: { insecure: true, token: { hmac_secret_key: "secret" }, allowed_origins: ["*"] },
  http_api: { key: API_KEY },
  sse: { enabled: true },
  http_stream: { enabled: true },
  channel: {
    without_namespace: { presence: true, join_leave: true, force_push_join_leave: true, allow_tags_filter: true },
    namespaces: [
      { name: "stream", ...history, presence: true, allow_tags_filter: true },
      { name: "cache", ...history, force_recovery_mode: "cache", auto_cache_recover: true },
      { name: "plain" },
    ],
  },
};

let server: TestServer;
let bystanders: RawClient[];
const faults: unknown[] = [];
let published = 0;
let linesRead = 0;

beforeAll(async () => {
  server = await launchTestServer(CONFIG);
  server.board.on("actorFailed", (failure) => faults.push(failure));
  server.board.on("shardLost", (loss) => faults.push(loss));
  process.on("unhandledRejection", (error) => faults.push(error));
  bystanders = await Promise.all([RawClient.connected(server.ws), RawClient.connected(server.ws, "protobuf")]);
  for (const one of bystanders) await one.call({ subscribe: { channel: BYSTANDERS } });
});

afterAll(async () => {
  for (const one of bystanders) one.socket.terminate();
  await server.close();
});

it("answers each malformed command with a documented code", () =>
  check(fuzzSession, (session) => play(session), SECONDS / 2));

it("answers each malformed request to the API within its tables", () =>
  check(
    apiCall,
    async ({ method, body }) => {
      const { status, text } = await post(`/api/${method}`, body);
      assert.ok(status === 200 || status === 400, `${status} ${text}`);
      const { error } = JSON.parse(text);
      assert.ok(error === undefined || ERROR_CODES.has(error.code), text);
    },
    SECONDS / 4,
  ));

it("answers each malformed request to emulation and SSE", () =>
  check(
    fc.tuple(emulationBody, connectParameter),
    async ([body, parameter]) => {
      const { status } = await post("/emulation", body);
      assert.ok([204, 400, 404].includes(status), String(status));
      const end = new AbortController();
      const query = encodeURIComponent(parameter.toWellFormed());
      const response = await fetch(`${server.url}/connection/sse?cf_connect=${query}`, { signal: end.signal });
      assert.ok([200, 400, 413, 431].includes(response.status), String(response.status));
      // The first event is the reply, or tells the end.
      await response.body?.getReader().read();
      end.abort();
    },
    SECONDS / 4,
  ));

it("leaves nothing behind", async () => {
  const nodeOf = async () => JSON.parse((await post("/api/info", "{}")).text).result.nodes[0];
  await expect.poll(nodeOf).toMatchObject({ num_clients: 2, num_subs: 2, num_channels: 1 });
});

async function check<Value>(
  one: fc.Arbitrary<Value>,
  run: (value: Value) => Promise<void>,
  seconds: number,
): Promise<void> {
  const property = fc.asyncProperty(fc.array(one, { minLength: 1, maxLength: TOGETHER, size: "max" }), async (all) => {
    await Promise.all(all.map(run));
    await reachBystanders();
  });
  const result = await fc.check(property, {
    numRuns: Number.MAX_SAFE_INTEGER,
    interruptAfterTimeLimit: seconds * 1_000,
    ...(SEED === undefined ? {} : { seed: Number(SEED) }),
  });
  expect(result.failed ? fc.defaultReportMessage(result) : undefined).toBeUndefined();
  expect(result.numRuns).toBeGreaterThan(0);
}

/** Runs a session. Each frame has a fence behind it. */
async function play({ encoding, connects, frames }: FuzzSession): Promise<void> {
  const client = await RawClient.open(server.ws, encoding);
  try {
    if (connects) await client.call({ connect: {} });
    for (const [index, frame] of frames.entries()) {
      client.socket.send(frame, { binary: encoding === "protobuf" });
      client.send({ id: FENCE + index, unsubscribe: { channel: "fence" } });
      await client.until(() => client.replies.has(FENCE + index)).catch(() => {});
      if (client.isClosed) break;
      assert.ok(client.replies.get(FENCE + index)?.["unsubscribe"], "the fence got no answer");
    }
    for (const { id, error } of client.replies.values()) {
      if (error) assert.ok(ERROR_CODES.has(error.code), `error ${JSON.stringify(error)} to ${id}`);
    }
    if (client.isClosed) assertDocumented(await client.closed, encoding);
  } finally {
    client.socket.terminate();
  }
}

function assertDocumented({ code, reason }: { readonly code: number; readonly reason: string }, of: Encoding): void {
  assert.ok(CLOSE_CODES.has(code), `${of} closed with ${code} ${reason}`);
  assert.ok(reason.length > 0);
}

/** The bystanders are still there, and get what is published, in the codec that they speak. */
async function reachBystanders(): Promise<void> {
  published++;
  await post("/api/publish", JSON.stringify({ channel: BYSTANDERS, data: published }));
  for (const one of bystanders) {
    await one.until(() => one.pushes.filter(({ pub }) => pub).length === published);
  }
  // Taken out: a fault must not count for the rounds in which the finding is made smaller.
  assert.deepEqual(faults.splice(0), []);
  const lines = server.logged.slice(linesRead);
  linesRead = server.logged.length;
  assert.deepEqual(lines, []);
}

async function post(path: string, body: string): Promise<{ readonly status: number; readonly text: string }> {
  const response = await fetch(`${server.url}${path}`, {
    method: "POST",
    headers: { "X-API-Key": API_KEY },
    body: body.toWellFormed(),
    signal: AbortSignal.timeout(20_000),
  });
  return { status: response.status, text: await response.text() };
}
