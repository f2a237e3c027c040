import { once } from "node:events";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import tls from "node:tls";
import { expect, it, onTestFinished } from "vitest";
import { createCertificate } from "../../support/certificate.ts";
import {
  answering,
  backendConfig,
  client,
  INTERNAL_ERROR,
  recordingLog,
  rpc,
  startApplication,
  startBackend,
} from "./support/application.ts";

const meta = Buffer.from('{"tenant":12345678901234567890}');

it("asks each question with the fields of Centrifugo", async () => {
  const application = await answering('{"result":{}}');
  const backend = startBackend(backendConfig(application.url, { includeConnectionMeta: true }));
  const facts = client({ meta });
  const data = Buffer.from('{"n":1.0,"big":12345678901234567890}');
  await backend.connect({ facts, name: "js", version: "5", data, channels: ["news"] });
  await backend.refresh(facts);
  await backend.subscribe({ facts, channel: "news", token: "t", data });
  await backend.publish({ facts, channel: "news", data });
  await backend.subRefresh(facts, "news");
  await backend.rpc({ facts, method: "sum", data });
  const who = '{"client":"d5c2b8ae","transport":"websocket","protocol":"json","encoding":"json"';
  const payload = ',"data":{"n":1.0,"big":12345678901234567890}';
  const metaField = ',"meta":{"tenant":12345678901234567890}';
  expect(application.received.map(({ text }) => text)).toEqual([
    `${who},"name":"js","version":"5","channels":["news"]${payload}}`,
    `${who},"user":"42"${metaField}}`,
    `${who},"user":"42","channel":"news","token":"t"${metaField}${payload}}`,
    `${who},"user":"42","channel":"news"${metaField}${payload}}`,
    `${who},"user":"42","channel":"news"${metaField}}`,
    `${who},"user":"42","method":"sum"${metaField}${payload}}`,
  ]);
});

it("leaves out what is empty, except the user", async () => {
  const application = await answering('{"result":{}}');
  const backend = startBackend(backendConfig(application.url));
  const facts = client({ user: "", meta, encoding: "binary", transport: "http_stream" });
  await backend.connect({ facts, name: "", version: "", channels: [], data: Buffer.alloc(0) });
  await backend.subscribe({ facts, channel: "news", token: "" });
  const who = '{"client":"d5c2b8ae","transport":"http_stream","protocol":"protobuf","encoding":"json"';
  expect(application.received.map(({ text }) => text)).toEqual([`${who}}`, `${who},"user":"","channel":"news"}`]);
});

it("sends and takes payloads as Base64 where the config says so", async () => {
  const application = await answering('{"result":{"b64data":"AAH/","info":{"a":1}}}');
  const backend = startBackend(backendConfig(application.url, { binaryEncoding: true }));
  const answer = await backend.subscribe({ facts: client(), channel: "news", token: "", data: Buffer.from([0, 255]) });
  expect(application.received[0]?.text).toContain('"encoding":"binary"');
  expect(application.received[0]?.text).toContain('"b64data":"AP8="');
  expect(answer).toMatchObject({
    kind: "result",
    result: { data: Buffer.from([0, 1, 255]), info: Buffer.from('{"a":1}') },
  });
});

it.each(['1,"user":"admin"', "{", "\xff", ""].map((text) => ({ text, data: Buffer.from(text, "latin1") })))(
  "never lets a client's payload $text write fields of the question",
  async ({ text, data }) => {
    const application = await answering('{"result":{}}');
    const backend = startBackend(backendConfig(application.url));
    const answer = await backend.rpc({ facts: client({ encoding: "binary" }), method: "sum", data });
    if (text === "") expect(answer.kind).toBe("result");
    else expect(answer).toEqual({ kind: "error", code: 107, message: "bad request", temporary: false });
    expect(application.received).toHaveLength(text === "" ? 1 : 0);
  },
);

it("passes on only the headers that the config allows", async () => {
  const application = await answering('{"result":{}}');
  const backend = startBackend(
    backendConfig(application.url, {
      httpHeaders: ["Cookie", "X-Real-IP", "Content-Length", "Transfer-Encoding"],
      emulatedHeaders: ["Authorization", "x-both", "x-broken", "content-length"],
      staticHttpHeaders: { "X-Key": "static", "x-both": "static", cookie: "static" },
    }),
  );
  const facts = client({
    headers: { cookie: "real", "x-real-ip": "192.0.2.1", "x-other": "no", "transfer-encoding": "chunked" },
    emulatedHeaders: {
      AUTHORIZATION: "Bearer emulated",
      "X-Both": "emulated",
      "x-broken": "a\r\nx-injected: 1",
      cookie: "emulated",
      "x-real-ip": "emulated",
      "content-length": "1",
      "x-other": "no",
    },
  });
  await backend.subscribe({ facts, channel: "news", token: "" });
  const headers = application.received[0]?.headers ?? {};
  expect(headers).toMatchObject({
    "content-type": "application/json",
    cookie: "real",
    "x-real-ip": "192.0.2.1",
    authorization: "Bearer emulated",
    "x-both": "emulated",
    "x-key": "static",
    "content-length": String(application.received[0]?.text.length),
  });
  for (const name of ["x-other", "x-broken", "x-injected", "transfer-encoding"])
    expect(headers).not.toHaveProperty(name);
});

it("refuses a client whose emulated headers are too large for a server", async () => {
  const application = await answering('{"result":{}}');
  const backend = startBackend(backendConfig(application.url, { emulatedHeaders: ["x-a"] }));
  const facts = client({ emulatedHeaders: { "x-a": "a".repeat(5_000) } });
  expect(await backend.rpc({ facts, method: "sum" })).toMatchObject({ kind: "error", code: 107 });
  expect(application.received).toHaveLength(0);
});

it("uses the path, the query, and the user of the address", async () => {
  const application = await startApplication((response) => response.end('{"result":{}}'));
  const url = application.url.replace("http://", "http://me:p%40ss@").replace("/ask", "/a/b?key=1");
  await startBackend(backendConfig(url)).rpc({ facts: client(), method: "sum" });
  expect(application.received[0]?.path).toBe("/a/b?key=1");
  expect(application.received[0]?.headers.authorization).toBe(`Basic ${Buffer.from("me:p@ss").toString("base64")}`);
});

it("asks over TLS, and only those whose certificate it trusts", async () => {
  const { key, cert } = createCertificate();
  const server = createTlsServer({ key, cert }, (_request, response) => response.end('{"result":{}}'));
  server.listen(0, "127.0.0.1");
  onTestFinished(() => void server.close());
  await once(server, "listening");
  const url = `https://localhost:${(server.address() as AddressInfo).port}/ask`;
  const logged = recordingLog();
  expect(await rpc(startBackend(backendConfig(url), logged))).toEqual(INTERNAL_ERROR);
  expect(logged.lines[0]).toMatchObject({
    message: expect.stringMatching(/self-signed.*NODE_EXTRA_CA_CERTS/),
    facts: { failure: "tls" },
  });
  const before = tls.getCACertificates("default");
  tls.setDefaultCACertificates([...before, cert]);
  onTestFinished(() => tls.setDefaultCACertificates(before));
  const backend = startBackend(backendConfig(url));
  for (let round = 0; round < 3; round++) expect(await rpc(backend)).toEqual({ kind: "result", result: {} });
});

it("doesn't ask what isn't enabled", () => {
  const config = backendConfig("", { enabled: false });
  const backend = startBackend(config);
  for (const name of ["connect", "refresh", "subscribe", "publish", "subRefresh", "rpc", "cacheMissed"]) {
    expect(backend).not.toHaveProperty(name);
  }
  expect(backend.snapshot()).toEqual({});
});

it.each([
  { options: { endpoint: "grpc://127.0.0.1:1" }, message: "gRPC isn't supported" },
  {
    options: { endpoint: "127.0.0.1:3000" },
    message: "client.proxy.connect.endpoint has to be an http:// or https:// address",
  },
  { options: { staticHttpHeaders: { "a b": "secret" } }, message: 'value of "a b" can\'t stand in a header' },
  { options: { staticHttpHeaders: { "x-a": "sec\nret" } }, message: 'value of "x-a" can\'t stand in a header' },
])("refuses a config with $options", ({ options, message }) => {
  const start = () => startBackend(backendConfig("http://127.0.0.1:1", options));
  expect(start).toThrow(message);
  expect(start).toThrow(expect.objectContaining({ code: "ERR_OPTION" }));
  expect(start).not.toThrow(/sec/);
});
