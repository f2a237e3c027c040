import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createApi } from "../../../src/server/api/api.ts";
import type { RpcMethod } from "../../../src/server/api/board.ts";
import { decodeStored } from "../../../src/server/protocol/stored-publication.ts";
import type { RawClient } from "../../support/raw-client.ts";
import { type ApiBoard, startApi } from "./api-board.ts";

/** The next publication that a connection gets. */
async function published(client: RawClient) {
  const { payload } = await client.frame();
  const { data, ...rest } = decodeStored({ type: "binary", bytes: payload });
  return { data: data.toString(), ...rest };
}

const error = (code: number, message: unknown = expect.any(String)) => ({ error: { code, message } });

describe("a request", () => {
  it.each([
    { way: "X-API-Key", path: "/api/info", headers: { "X-API-Key": "secret" } },
    { way: "Authorization", path: "/api/info", headers: { Authorization: "apikey secret" } },
    { way: "Authorization, written otherwise", path: "/api/info", headers: { Authorization: "ApiKey  secret" } },
    { way: "the query", path: "/api/info?a=b&api_key=secret", headers: {} },
    { way: "the query, beside a wrong header", path: "/api/info?api_key=secret", headers: { "X-API-Key": "wrong" } },
  ])("may have the key in $way", async ({ path, headers }) => {
    const { post } = await startApi();
    expect(await post(path, "{}", headers as Record<string, string>)).toMatchObject({ status: 200 });
    const wrong = (text: string) => text.replace("secret", "secret2");
    const wrongHeaders = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, wrong(value)]));
    expect(await post(wrong(path), "{}", wrongHeaders)).toMatchObject({ status: 401, body: error(101) });
  });

  it("gets 401 without a key, before its body is looked at, and none with insecure", async () => {
    const { post } = await startApi();
    expect((await post("/api/publish", "{", {})).status).toBe(401);
    expect((await post("/api/publish", "{", { Authorization: "Bearer secret" })).status).toBe(401);
    const insecure = await startApi({ insecure: true, key: "" });
    expect((await insecure.post("/api/info", "{}", {})).status).toBe(200);
    expect(() => createApi({ key: "", insecure: false } as never)).toThrow(
      expect.objectContaining({ code: "ERR_OPTION" }),
    );
  });

  it("gets 405, 404, 400 and 413, and on other paths nothing", async () => {
    const { url, post } = await startApi();
    const got = await fetch(`${url}/api/info`, { headers: { "X-API-Key": "secret" } });
    expect([got.status, got.headers.get("allow")]).toEqual([405, "POST"]);
    expect(await post("/api/nothing", {})).toMatchObject({ status: 404, body: error(104) });
    for (const path of ["/apis/info", "/", "/other"]) expect((await post(path, {})).status).toBe(418);
    const deep = `{"channel":"a","data":${"[".repeat(300)}${"]".repeat(300)}}`;
    const notUtf8 = Buffer.concat([Buffer.from('{"channel":"a","data":"'), Buffer.from([0xff]), Buffer.from('"}')]);
    for (const body of ["{", "", deep, notUtf8, "nonsense", '{"a":1}{"b":2}']) {
      if (body !== "") expect(await post("/api/publish", body)).toMatchObject({ status: 400, body: error(107) });
    }
    expect(await post("/api/publish", "")).toMatchObject({ status: 200, body: error(107) });
    expect(await post("/api/publish", "x".repeat(100_001))).toMatchObject({ status: 413, body: error(107) });
    const chunked = new Blob(["x".repeat(100_001)]).stream();
    const init = { method: "POST", body: chunked, duplex: "half", headers: { "X-API-Key": "secret" } } as RequestInit;
    expect((await fetch(`${url}/api/publish`, init)).status).toBe(413);
    expect((await post("/api/publish", `{"channel":"a","data":"${"x".repeat(99_000)}"}`)).body).toEqual({ result: {} });
  });

  it("gets its error as the HTTP status where the header or the option asks for that", async () => {
    const { post } = await startApi();
    const cases = [
      { path: "/api/publish", body: { channel: "no:thing", data: 1 }, status: 404, code: 102 },
      { path: "/api/publish", body: { channel: 5 }, status: 400, code: 107 },
      { path: "/api/history", body: { channel: "plain" }, status: 400, code: 108 },
      {
        path: "/api/history",
        body: { channel: "history:a", since: { epoch: "no", offset: 1 } },
        status: 416,
        code: 112,
      },
      { path: "/api/unsubscribe", body: { user: "ada", channel: "fail" }, status: 500, code: 100 },
    ];
    for (const { path, body, status, code } of cases) {
      expect(await post(path, body)).toMatchObject({ status: 200, body: error(code) });
      for (const name of ["X-Centrifugo-Error-Mode", "X-Switchboard-Error-Mode"]) {
        const answer = await post(path, body, { "X-API-Key": "secret", [name]: "transport" });
        expect(answer).toMatchObject({ status, body: { code } });
      }
    }
    const configured = await startApi({ errorMode: "transport" });
    expect((await configured.post("/api/history", { channel: "plain" })).status).toBe(400);
  });

  it("may have the old form, with several commands", async () => {
    const { post } = await startApi();
    const one = await post("/api", { method: "publish", params: { channel: "a", data: 1 } });
    expect(one).toMatchObject({ status: 200, body: { result: {} } });
    const commands = [
      '{"id":1,"method":"PUBLISH","params":{"channel":"history:old","data":{"n":12345678901234567890}}}',
      '{"id":2,"method":"history","params":{"channel":"history:old","limit":10}}\n',
      '{"method":"nothing"}{"id":3,"method":"presence","params":5}',
    ];
    const { text } = await post("/api/", commands.join(""));
    const [first, second, third, fourth, ...rest] = text.split("\n");
    expect(JSON.parse(first ?? "")).toMatchObject({ id: 1, result: { offset: 1 } });
    expect(second).toContain('"data":{"n":12345678901234567890}');
    expect(JSON.parse(third ?? "")).toEqual(error(104));
    expect(JSON.parse(fourth ?? "")).toMatchObject({ id: 3, ...error(107) });
    expect(rest).toEqual([]);
    for (const body of ["", "  ", "{", "5", '{"id":1}x']) expect((await post("/api", body)).status).toBe(400);
  });
});

describe("publish", () => {
  it("delivers the data as it was written, with its tags", async () => {
    const { post, open } = await startApi();
    const { client } = await open("ada", "news");
    const raw = '{ "big": 12345678901234567890, "one": 1.0, "text": "é\\u00e9" }';
    expect((await post("/api/publish", `{"tags":{"a":"b"},"data":${raw},"channel":"news"}`)).text).toBe(
      '{"result":{}}',
    );
    expect(await published(client)).toMatchObject({ data: raw, tags: { a: "b" }, isJson: true, delta: false });
    // PHP writes an empty object of tags as [].
    await post("/api/publish", { channel: "news", data: null, delta: true, tags: [] });
    expect(await published(client)).toMatchObject({ data: "null", isJson: true, delta: true });
    await post("/api/publish", { channel: "news", b64data: Buffer.from("\0binary").toString("base64"), data: 1 });
    expect(await published(client)).toMatchObject({ data: "\0binary", isJson: false });
    await post("/api/publish", { channel: "news", b64data: Buffer.from("[1]").toString("base64") });
    expect(await published(client)).toMatchObject({ data: "[1]", isJson: true });
  });

  it("gives the position on channels with history, and the first one to a repeated key", async () => {
    const { post, open } = await startApi();
    const { client } = await open("ada", "history:a");
    const publish = async (body: object) => (await post("/api/publish", { channel: "history:a", ...body })).body;
    const first = (await publish({ data: 1, idempotency_key: "k" })) as { result: object };
    expect(first).toEqual({ result: { offset: 1, epoch: expect.any(String) } });
    expect(await publish({ data: 2, idempotency_key: "k" })).toEqual(first);
    const long = "k".repeat(500);
    expect(await publish({ data: 3, idempotency_key: long })).toMatchObject({ result: { offset: 2 } });
    expect(await publish({ data: 4, idempotency_key: long })).toMatchObject({ result: { offset: 2 } });
    expect([(await published(client)).data, (await published(client)).data]).toEqual(["1", "3"]);
    for (const _ of [1, 2]) {
      expect(await publish({ data: 5, skip_history: true, idempotency_key: "s" })).toEqual({ result: {} });
    }
    expect((await published(client)).data).toBe("5");
    expect(await publish({ data: 6 })).toMatchObject({ result: { offset: 3 } });
    expect((await published(client)).data).toBe("6");
  });

  it("publishes once for a repeated key, for each channel without history", async () => {
    const { post, open } = await startApi();
    const { client } = await open("ada", "a");
    const { client: other } = await open("bob", "b");
    for (const [channel, data] of [
      ["a", 1],
      ["a", 2],
      ["b", 3],
      ["a", 4],
    ] as const) {
      const key = data === 4 ? "other" : "k";
      const body = { channel, data, idempotency_key: key, skip_history: true };
      expect((await post("/api/publish", body)).body).toEqual({ result: {} });
    }
    expect([(await published(client)).data, (await published(client)).data]).toEqual(["1", "4"]);
    expect((await published(other)).data).toBe("3");
  });

  it("suppresses a version that isn't higher, by channel and epoch of versions", async () => {
    const { post } = await startApi();
    const publish = async (text: string) =>
      (await post("/api/publish", `{"channel":"history:v","data":1,${text}}`)).body;
    expect(await publish('"version":18446744073709551614')).toMatchObject({ result: { offset: 1 } });
    expect(await publish('"version":18446744073709551613')).toMatchObject({ result: { offset: 1 } });
    expect(await publish('"version":18446744073709551615')).toMatchObject({ result: { offset: 2 } });
    expect(await publish('"version":1,"version_epoch":"next"')).toMatchObject({ result: { offset: 3 } });
    expect(await publish('"version":18446744073709551616')).toEqual(error(107, expect.stringContaining("version")));
    const shared = await startApi({ versions: false });
    expect((await shared.post("/api/publish", { channel: "a", data: 1, version: 1 })).body).toEqual(error(108));
  });

  it("wants deltas where the namespace says so", async () => {
    const { post, open } = await startApi();
    const { client } = await open("ada", "delta:a");
    await post("/api/broadcast", { channels: ["delta:a"], data: 1 });
    expect(await published(client)).toMatchObject({ data: "1", delta: true });
  });
});

it("broadcast publishes to each channel, and tells for each what became of it", async () => {
  const { post, open } = await startApi();
  const { client } = await open("ada", "a");
  const channels = ["a", "history:b", "no:thing", "", "history:c"];
  expect((await post("/api/broadcast", { channels, data: { x: 1 } })).body).toEqual({
    result: {
      responses: [
        { result: {} },
        { result: { offset: 1, epoch: expect.any(String) } },
        error(102),
        error(107),
        { result: { offset: 1, epoch: expect.any(String) } },
      ],
    },
  });
  expect((await published(client)).data).toBe('{"x":1}');
});

describe("history", () => {
  const publishAll = ({ post }: ApiBoard, channel: string, count: number) => {
    const commands = Array.from({ length: count }, (_, i) => ({
      publish: { channel, data: i + 1, tags: { n: `${i}` } },
    }));
    return post("/api/batch", { commands });
  };
  const offsets = (body: unknown) =>
    (body as { result: { publications: { offset: number }[] } }).result.publications.map(({ offset }) => offset);

  it("reads pages in both directions, and only the position for limit 0", async () => {
    const api = await startApi();
    await publishAll(api, "history:h", 5);
    const read = async (body: object) => (await api.post("/api/history", { channel: "history:h", ...body })).body;
    const all = (await read({ limit: -1 })) as { result: { epoch: string } };
    const { epoch } = all.result;
    expect(all).toEqual({
      result: {
        publications: [1, 2, 3, 4, 5].map((n) => ({
          data: n,
          offset: n,
          tags: { n: `${n - 1}` },
          time: expect.any(Number),
        })),
        epoch: expect.any(String),
        offset: 5,
      },
    });
    expect(await read({})).toEqual({ result: { publications: [], epoch, offset: 5 } });
    expect(offsets(await read({ limit: 2 }))).toEqual([1, 2]);
    expect(offsets(await read({ limit: 2, since: { epoch, offset: 2 } }))).toEqual([3, 4]);
    expect(offsets(await read({ limit: 2, reverse: true }))).toEqual([5, 4]);
    expect(offsets(await read({ limit: 9, reverse: true, since: { epoch, offset: 3 } }))).toEqual([2, 1]);
    expect(await read({ since: { epoch: "other", offset: 3 } })).toEqual(error(112));
    expect((await api.post("/api/history_remove", { channel: "history:h" })).body).toEqual({ result: {} });
    expect(await read({ limit: -1 })).toEqual({ result: { publications: [], epoch, offset: 5 } });
  });

  it("puts the pages of the board together", async () => {
    const api = await startApi();
    await publishAll(api, "long:h", 1_500);
    const read = async (body: object) => offsets((await api.post("/api/history", { channel: "long:h", ...body })).body);
    const all = Array.from({ length: 1_500 }, (_, i) => i + 1);
    expect(await read({ limit: -1 })).toEqual(all);
    expect(await read({ limit: 1_200 })).toEqual(all.slice(0, 1_200));
    expect(await read({ limit: 1_200, reverse: true })).toEqual(all.toReversed().slice(0, 1_200));
  });

  it("isn't available without history, and unknown for an unknown namespace", async () => {
    const { post } = await startApi();
    for (const method of ["history", "history_remove", "presence", "presence_stats"]) {
      expect((await post(`/api/${method}`, { channel: "plain" })).body).toEqual(error(108));
      expect((await post(`/api/${method}`, { channel: "no:thing" })).body).toEqual(error(102));
      expect((await post(`/api/${method}`, { channel: "x".repeat(300) })).body).toEqual(error(107));
    }
  });
});

it("presence and presence_stats tell who is there", async () => {
  const { post, open } = await startApi({}, 2);
  const [one, two, three] = [
    await open("ada", "presence:p"),
    await open("ada", "presence:p"),
    await open("bob", "presence:p"),
  ];
  const info = (user: string, client: string) => ({ user, client, conn_info: { name: user } });
  expect((await post("/api/presence", { channel: "presence:p" })).body).toEqual({
    result: {
      presence: {
        [one.id]: info("ada", one.id),
        [two.id]: info("ada", two.id),
        [three.id]: info("bob", three.id),
      },
    },
  });
  expect((await post("/api/presence_stats", { channel: "presence:p" })).body).toEqual({
    result: { num_clients: 3, num_users: 2 },
  });
});

describe("batch", () => {
  it("runs its commands in order, and answers each", async () => {
    const { post, open } = await startApi();
    const { client } = await open("ada", "a");
    const publishes = Array.from({ length: 100 }, (_, i) => ({ publish: { channel: "a", data: i } }));
    const commands = [
      ...publishes,
      { publish: { channel: "history:b", data: 1 } },
      { history: { channel: "history:b", limit: 10 } },
      { history_remove: { channel: "history:b" } },
      { history: { channel: "history:b", limit: 10 } },
      { publish: { channel: "no:thing", data: 1 } },
      { nothing: {} },
      null,
      5,
      { publish: 5 },
    ];
    const { body, text } = await post("/api/batch", { commands });
    const { replies } = body as { replies: object[] };
    expect(replies.slice(0, 100)).toEqual(publishes.map(() => ({ publish: {} })));
    expect(replies.slice(100)).toEqual([
      { publish: { offset: 1, epoch: expect.any(String) } },
      { history: expect.objectContaining({ publications: [expect.objectContaining({ data: 1 })], offset: 1 }) },
      { history_remove: {} },
      { history: { publications: [], offset: 1, epoch: expect.any(String) } },
      error(102),
      error(104),
      error(107),
      error(107),
      error(107),
    ]);
    expect(text.startsWith('{"replies":[')).toBe(true);
    for (let i = 0; i < 100; i++) expect((await published(client)).data).toBe(String(i));
  });

  it("runs commands at the same time if it is parallel", async () => {
    const { post } = await startApi();
    const commands = Array.from({ length: 300 }, (_, i) =>
      i % 2 === 0 ? { publish: { channel: "history:b", data: i } } : { channels: {} },
    );
    const { replies } = (await post("/api/batch", { commands, parallel: true })).body as { replies: object[] };
    expect(replies).toHaveLength(300);
    expect(replies.filter((reply) => "publish" in reply)).toHaveLength(150);
    expect(replies.filter((reply) => "channels" in reply)).toHaveLength(150);
  });

  it("takes no commands, and refuses what is no array", async () => {
    const { post } = await startApi();
    expect((await post("/api/batch", {})).body).toEqual({ replies: [] });
    expect((await post("/api/batch", { commands: 5 })).body).toEqual(error(107));
  });
});

it("rpc calls a method of the application", async () => {
  const seen: unknown[] = [];
  const rpc = new Map<string, RpcMethod>([
    ["echo", (params) => ({ got: params?.toString() })],
    ["nothing", (params) => void seen.push(params)],
    ["throw", () => Promise.reject(new Error("with a secret"))],
  ]);
  const { post } = await startApi({ rpc });
  const call = async (text: string) => (await post("/api/rpc", text)).body;
  expect(await call('{"method":"echo","params":{"a":1.0}}')).toEqual({ result: { data: { got: '{"a":1.0}' } } });
  expect(await call('{"method":"nothing"}')).toEqual({ result: {} });
  expect(seen).toEqual([undefined]);
  expect(await call('{"method":"throw"}')).toEqual(error(100, "internal server error"));
  expect(await call('{"method":"toString"}')).toEqual(error(104));
  expect(await call("{}")).toEqual(error(107));
  const without = await startApi();
  expect((await without.post("/api/rpc", { method: "echo" })).body).toEqual(error(108));
});

it.each(["map_publish", "map_stats", "shared_poll_publish"])("%s isn't available", async (method) => {
  const { post } = await startApi();
  expect((await post(`/api/${method}`, {})).body).toEqual(error(108));
});

/** Fields of each method, with a value that each refuses. */
const FIELDS: Record<string, Record<string, unknown>> = {
  publish: {
    channel: 5,
    b64data: "a",
    skip_history: 1,
    tags: { a: 1 },
    idempotency_key: {},
    delta: "true",
    version: -1,
    version_epoch: [],
  },
  broadcast: { channels: ["a", 5], b64data: [], skip_history: {}, tags: ["a"], delta: 0, version: 1.5 },
  subscribe: {
    user: 5,
    client: [],
    session: {},
    channel: 1,
    info: undefined,
    b64info: "*",
    b64data: "abc",
    expire_at: "1",
    override: 5,
    "override.presence": true,
    "override.presence.value": 1,
    "recover_since.offset": -1,
    "recover_since.epoch": 5,
  },
  unsubscribe: { user: 5, client: 5, session: 5, channel: 5 },
  disconnect: {
    user: 5,
    client: 5,
    session: 5,
    whitelist: "a",
    disconnect: [],
    "disconnect.code": 2_999,
    "disconnect.reason": 5,
  },
  refresh: { user: 5, client: 5, session: 5, expired: 1, expire_at: -1, b64info: 5 },
  presence: { channel: 5 },
  presence_stats: { channel: [] },
  history: { channel: {}, limit: 1.5, since: [], "since.offset": "1", "since.epoch": 1, reverse: "no" },
  history_remove: { channel: true },
  channels: { pattern: 5, limit: -1 },
  rpc: { method: 5 },
  connections: { user: 5, client: 5, session: 5, limit: 1_001, cursor: 5 },
};
const VALID: Record<string, object> = {
  publish: { channel: "a", data: 1 },
  broadcast: { channels: ["a"], data: 1 },
  subscribe: { user: "ada", channel: "a" },
  unsubscribe: { user: "ada" },
  disconnect: { user: "ada" },
  refresh: { user: "ada" },
  presence: { channel: "presence:a" },
  presence_stats: { channel: "presence:a" },
  history: { channel: "history:a" },
  history_remove: { channel: "history:a" },
  rpc: { method: "m" },
};

it.each(Object.keys(FIELDS))("%s checks each of its fields, and names the wrong one", async (method) => {
  const { post } = await startApi({ rpc: new Map([["m", () => 1]]) });
  const valid = { ...VALID[method] };
  expect((await post(`/api/${method}`, valid)).body).not.toHaveProperty("error");
  for (const [path, value] of Object.entries(FIELDS[method] ?? {})) {
    if (value === undefined) continue;
    const nested = path.split(".").reduceRight<unknown>((inner, key) => ({ [key]: inner }), value);
    const { body } = await post(`/api/${method}`, { ...valid, ...(nested as object) });
    expect(body, `${path}: ${JSON.stringify(value)}`).toEqual(error(107, expect.stringContaining(path)));
  }
  expect((await post(`/api/${method}`, "[]")).body).toEqual(error(107));
});

it("answers any JSON with a documented code, and goes on", async () => {
  const { post } = await startApi({ rpc: new Map() });
  const names = ["publish", "broadcast", "subscribe", "disconnect", "history", "channels", "connections", "batch"];
  const keys = ["channel", "channels", "data", "user", "limit", "since", "commands", "pattern", "publish", "cursor"];
  const value = fc.oneof(fc.jsonValue(), fc.constantFrom("a", "history:a", -1, 5, [{ publish: { channel: "a" } }]));
  const object = fc.dictionary(fc.oneof(fc.constantFrom(...keys), fc.string()), value);
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...names), fc.oneof(object, fc.jsonValue()), async (name, body) => {
      const answer = await post(`/api/${name}`, JSON.stringify(body));
      expect(answer.status).toBe(200);
      const { error: got } = answer.body as { error?: { code: number } };
      if (got !== undefined) expect([102, 104, 107, 108, 112]).toContain(got.code);
    }),
    { numRuns: 200 },
  );
});
