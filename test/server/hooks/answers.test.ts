import { expect, it } from "vitest";
import type { HttpBackend } from "../../../src/server/hooks/http-backend.ts";
import {
  answering,
  backendConfig,
  client,
  INTERNAL_ERROR,
  recordingLog,
  startApplication,
  startBackend,
} from "./support/application.ts";

const facts = client();

/** Each question in its simplest form. */
const QUESTIONS = {
  connect: (backend: Asked) => backend.connect({ facts, name: "", version: "", channels: [] }),
  refresh: (backend: Asked) => backend.refresh(facts),
  subscribe: (backend: Asked) => backend.subscribe({ facts, channel: "news", token: "" }),
  publish: (backend: Asked) => backend.publish({ facts, channel: "news", data: Buffer.from("1") }),
  subRefresh: (backend: Asked) => backend.subRefresh(facts, "news"),
  rpc: (backend: Asked) => backend.rpc({ facts, method: "sum" }),
};

type Asked = Required<Omit<HttpBackend, "disconnected">>;
type Kind = keyof typeof QUESTIONS;

const REFRESHES: readonly Kind[] = ["refresh", "subRefresh"];
const OTHERS: readonly Kind[] = ["connect", "subscribe", "publish", "rpc"];

async function ask(kind: Kind, text: string) {
  const { url } = await answering(text);
  const logged = recordingLog();
  const answer = await QUESTIONS[kind](startBackend(backendConfig(url), logged));
  return { answer, lines: logged.lines.map(({ message }) => message) };
}

it.each<{ kind: Kind; answer: string; result: object }>([
  { kind: "connect", answer: '{"user":"42"}', result: { user: "42" } },
  { kind: "connect", answer: "{}", result: { user: "" } },
  { kind: "connect", answer: "[]", result: { user: "" } },
  {
    kind: "connect",
    answer:
      '{"user":"42","expire_at":1900000000,"info":{"n":1.0},"data":[12345678901234567890],"meta":{ "a": 1 },"channels":["a"],"unknown":{"x":[1]},' +
      '"subs":{"b":{"info":1,"data":"d","expire_at":5,"override":{"presence":{"value":true},"join_leave":{"value":false},"force_recovery":{}}},"__proto__":{}}}',
    result: {
      user: "42",
      expireAt: 1_900_000_000,
      info: Buffer.from('{"n":1.0}'),
      data: Buffer.from("[12345678901234567890]"),
      meta: Buffer.from('{ "a": 1 }'),
      subs: Object.fromEntries([
        ["a", {}],
        [
          "b",
          {
            info: Buffer.from("1"),
            data: Buffer.from('"d"'),
            override: { presence: true, joinLeave: false, forceRecovery: false },
          },
        ],
        ["__proto__", {}],
      ]),
    },
  },
  { kind: "connect", answer: '{"user":null,"expire_at":0,"info":null,"subs":[]}', result: { user: "" } },
  { kind: "refresh", answer: '{"expired":true}', result: { expired: true } },
  { kind: "refresh", answer: "null", result: { expired: true } },
  {
    kind: "refresh",
    answer: '{"expire_at":1900000000,"info":{"a":1},"meta":2}',
    result: { expireAt: 1_900_000_000, info: Buffer.from('{"a":1}'), meta: Buffer.from("2") },
  },
  { kind: "subscribe", answer: "null", result: {} },
  { kind: "subscribe", answer: "{}", result: {} },
  {
    kind: "subscribe",
    answer:
      '{"info":{"a":1},"data":2,"expire_at":1900000000,"override":{"force_push_join_leave":{"value":true},"force_positioning":{"value":true}}}',
    result: {
      info: Buffer.from('{"a":1}'),
      data: Buffer.from("2"),
      expireAt: 1_900_000_000,
      override: { forcePushJoinLeave: true, forcePositioning: true },
    },
  },
  { kind: "publish", answer: "{}", result: {} },
  {
    kind: "publish",
    answer: '{"data":{"a":1.50},"skip_history":true,"tags":{"a":"b"},"idempotency_key":"k","delta":true}',
    result: {
      data: Buffer.from('{"a":1.50}'),
      skipHistory: true,
      tags: { a: "b" },
      idempotencyKey: "k",
      delta: true,
    },
  },
  { kind: "publish", answer: '{"b64data":"AAE=","tags":[]}', result: { data: Buffer.from([0, 1]), tags: {} } },
  { kind: "subRefresh", answer: '{"expire_at":1900000000}', result: { expireAt: 1_900_000_000 } },
  { kind: "rpc", answer: '{"data":{"sum":3}}', result: { data: Buffer.from('{"sum":3}') } },
  { kind: "rpc", answer: '{"data":null}', result: { data: Buffer.from("null") } },
  { kind: "rpc", answer: "{}", result: {} },
  { kind: "rpc", answer: "null", result: {} },
])("takes the result $answer of $kind", async ({ kind, answer, result }) => {
  const asked = await ask(kind, `{"result":${answer},"error":null}`);
  expect(asked.lines).toEqual([]);
  expect(asked.answer).toEqual({ kind: "result", result });
});

it("lets clients in without a user only where the config allows them", async () => {
  const { url } = await answering('{"result":null}');
  const config = backendConfig(url);
  expect(await QUESTIONS.connect(startBackend(config))).toMatchObject({ kind: "disconnect", code: 3501 });
  for (const allowed of ["allowAnonymousConnectWithoutToken", "insecure"]) {
    const anonymous = startBackend({ ...config, client: { ...config.client, [allowed]: true } });
    expect(await QUESTIONS.connect(anonymous)).toEqual({ kind: "result", result: { user: "" } });
  }
});

it.each(OTHERS)("gives the errors of the application to clients that ask %s", async (kind) => {
  expect((await ask(kind, '{"error":{"code":1000,"message":"no","temporary":true}}')).answer).toEqual({
    kind: "error",
    code: 1000,
    message: "no",
    temporary: true,
  });
  expect((await ask(kind, '{"error":{"code":103,"message":"no"},"result":{}}')).answer).toEqual({
    kind: "error",
    code: 103,
    message: "no",
  });
});

it.each([...OTHERS, ...REFRESHES])("ends the client if the application says so to %s", async (kind) => {
  const { answer } = await ask(kind, '{"disconnect":{"code":4500,"reason":"banned"},"error":{"code":1000}}');
  expect(answer).toEqual({ kind: "disconnect", code: 4500, reason: "banned" });
});

it.each(REFRESHES)("takes an error as the end to %s", async (kind) => {
  const { answer } = await ask(kind, '{"error":{"code":1000,"message":"no"}}');
  expect(answer).toEqual({ kind: "result", result: { expired: true } });
});

it.each([
  { reason: "", sent: "disconnected" },
  { reason: '{"reconnect":true}', sent: 'reason: {"reconnect":true}' },
  { reason: "12", sent: "reason: 12" },
  { reason: "a".repeat(123), sent: "a".repeat(123) },
  { reason: "a".repeat(124), sent: "a".repeat(123) },
  { reason: `${"a".repeat(122)}ü`, sent: "a".repeat(122) },
  { reason: "€".repeat(100), sent: "€".repeat(41) },
])("makes the close reason $reason one that clients take", async ({ reason, sent }) => {
  const { answer } = await ask("rpc", JSON.stringify({ disconnect: { code: 4000, reason } }));
  expect(answer).toEqual({ kind: "disconnect", code: 4000, reason: sent });
});

it.each([
  { answer: "", says: "its body is empty" },
  { answer: "<html>", says: "its body is no JSON" },
  { answer: '{"result":{}', says: "its body is no JSON" },
  { answer: "[1]", says: "its body is no JSON object" },
  { answer: '"result"', says: "its body is no JSON object" },
  { answer: "null", says: "its body is no JSON object" },
  { answer: "{}", says: "its answer has no result, error or disconnect" },
  { answer: '{"message":"Server Error"}', says: "its answer has no result, error or disconnect" },
  { answer: '{"result":1}', says: "result in its answer has to be an object" },
  { answer: '{"result":[1]}', says: "result in its answer has to be an object" },
  { answer: '{"error":"no"}', says: "error in its answer has to be an object" },
  { answer: '{"error":{}}', says: "error.code in its answer has to be from 100 to 1999" },
  { answer: '{"error":{"code":99}}', says: "error.code in its answer has to be from 100 to 1999" },
  { answer: '{"error":{"code":2000}}', says: "error.code in its answer has to be from 100 to 1999" },
  { answer: '{"error":{"code":"400"}}', says: "error.code in its answer has to be a whole number" },
  { answer: '{"error":{"code":400,"message":1}}', says: "error.message in its answer has to be a string" },
  { answer: '{"error":{"code":400,"temporary":1}}', says: "error.temporary in its answer has to be true or false" },
  { answer: '{"disconnect":{"code":1000}}', says: "disconnect.code in its answer has to be from 3000 to 4999" },
  { answer: '{"disconnect":{"code":5000}}', says: "disconnect.code in its answer has to be from 3000 to 4999" },
  { answer: '{"disconnect":{"code":4000.5}}', says: "disconnect.code in its answer has to be a whole number" },
  { answer: '{"disconnect":{"code":4000,"reason":{}}}', says: "disconnect.reason in its answer has to be a string" },
])("gives clients error 100 for the answer $answer", async ({ answer, says }) => {
  for (const kind of OTHERS) {
    const asked = await ask(kind, answer);
    expect(asked.answer).toEqual(INTERNAL_ERROR);
    expect(asked.lines.join()).toContain(says);
  }
});

it.each<{ kind: Kind; answer: string; says: string }>([
  { kind: "connect", answer: '{"user":42}', says: "result.user in its answer has to be a string" },
  { kind: "connect", answer: '{"expire_at":"1"}', says: "result.expire_at in its answer has to be a whole number" },
  { kind: "connect", answer: '{"expire_at":-1}', says: "result.expire_at in its answer has to be a whole number" },
  { kind: "connect", answer: '{"expire_at":1e30}', says: "result.expire_at in its answer has to be a whole number" },
  { kind: "connect", answer: '{"b64info":"%"}', says: "result.b64info in its answer has to be Base64" },
  { kind: "connect", answer: '{"b64data":"AAE"}', says: "result.b64data in its answer has to be Base64" },
  { kind: "connect", answer: '{"channels":"a"}', says: "result.channels in its answer has to be a list of strings" },
  { kind: "connect", answer: '{"channels":[1]}', says: "result.channels in its answer has to be a list of strings" },
  { kind: "connect", answer: '{"subs":["a"]}', says: "result.subs in its answer has to be an object" },
  { kind: "connect", answer: '{"subs":{"a":1}}', says: "result.subs.a in its answer has to be an object" },
  {
    kind: "connect",
    answer: '{"subs":{"a":{"override":{"presence":true}}}}',
    says: "result.subs.a.override.presence in its answer has to be an object",
  },
  { kind: "subscribe", answer: '{"override":1}', says: "result.override in its answer has to be an object" },
  {
    kind: "subscribe",
    answer: '{"override":{"presence":{"value":1}}}',
    says: "result.override.presence.value in its answer has to be true or false",
  },
  { kind: "publish", answer: '{"tags":{"a":1}}', says: "result.tags.a in its answer has to be a string" },
  { kind: "publish", answer: '{"skip_history":"no"}', says: "result.skip_history in its answer has to be true or" },
  { kind: "publish", answer: '{"idempotency_key":1}', says: "result.idempotency_key in its answer has to be a string" },
  { kind: "rpc", answer: '{"b64data":1}', says: "result.b64data in its answer has to be a string" },
])("takes the result $answer of $kind for nonsense", async ({ kind, answer, says }) => {
  const asked = await ask(kind, `{"result":${answer}}`);
  expect(asked.answer).toEqual(INTERNAL_ERROR);
  expect(asked.lines.join()).toContain(says);
});

it.each(REFRESHES)("lets %s wait a minute while the application gives no usable answer", async (kind) => {
  for (const text of ["", "{}", '{"result":{"expired":1}}']) {
    const before = Math.floor(Date.now() / 1_000);
    const { answer } = await ask(kind, text);
    if (answer.kind !== "result") throw new Error("it didn't wait");
    const { expireAt } = answer.result as { expireAt: number };
    expect(expireAt).toBeGreaterThanOrEqual(before + 60);
    expect(expireAt).toBeLessThanOrEqual(Math.floor(Date.now() / 1_000) + 60);
  }
});

it("takes answers in chunks, and with any status from 200 to 299", async () => {
  const { url } = await startApplication((response) => {
    response.writeHead(201);
    for (const char of '{"result":{"data":"ü"}}') response.write(char);
    response.end();
  });
  const answer = await QUESTIONS.rpc(startBackend(backendConfig(url)));
  expect(answer).toEqual({ kind: "result", result: { data: Buffer.from('"ü"') } });
});
