import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, it, onTestFinished } from "vitest";
import { type Accepted, checkHandshake, type Refusal } from "../../../src/wire/handshake/server.ts";
import { RawClient } from "../../support/raw-client.ts";

const LINES = {
  Host: "localhost",
  Upgrade: "websocket",
  Connection: "Upgrade",
  "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
  "Sec-WebSocket-Version": "13",
} as const;

/** Checks a request that came through Node's parser, with the usual header lines and `lines`. */
async function check(lines: readonly string[], without?: keyof typeof LINES): Promise<Accepted | Refusal> {
  const server = createServer();
  const result = new Promise<Accepted | Refusal>((resolve) => {
    server.on("upgrade", (request, socket) => {
      socket.destroy();
      resolve(checkHandshake(request, { protocols: ["a", "b"] }));
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.close();
  });
  const client = await RawClient.connect((server.address() as AddressInfo).port);
  const usual = Object.entries(LINES).flatMap(([name, value]) => (name === without ? [] : [`${name}: ${value}`]));
  client.write(`GET / HTTP/1.1\r\n${[...usual, ...lines].join("\r\n")}\r\n\r\n`);
  return result;
}

it("accepts a valid request", async () => {
  expect(await check([])).toMatchObject({ ok: true, accept: "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" });
});

it("refuses a key that was sent twice", async () => {
  expect(await check(["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="])).toMatchObject({ ok: false, status: 400 });
});

it("refuses a version that was sent twice", async () => {
  expect(await check(["Sec-WebSocket-Version: 13"])).toMatchObject({ ok: false, status: 400 });
});

it.each(["Host: localhost", "host: elsewhere"])("refuses a second Host (%s), which Node drops", async (line) => {
  expect(await check([line])).toMatchObject({ ok: false, status: 400, reason: expect.stringContaining("Host") });
});

it("refuses a second Origin, which Node joins", async () => {
  const origins = ["Origin: https://a.example", "Origin: https://b.example"];
  expect(await check(origins)).toMatchObject({ ok: false, status: 400 });
});

it("accepts lists that come in several lines", async () => {
  expect(await check(["Connection: keep-alive", "Connection: Upgrade"], "Connection")).toMatchObject({ ok: true });
  expect(await check(["Upgrade: h2c", "Upgrade: WebSocket"], "Upgrade")).toMatchObject({ ok: true });
  expect(await check(["Sec-WebSocket-Protocol: x", "Sec-WebSocket-Protocol: b, a"])).toMatchObject({ protocol: "b" });
});

it("refuses a subprotocol with a byte that tokens can't contain", async () => {
  expect(await check(["Sec-WebSocket-Protocol: caf\u00e9"])).toMatchObject({ ok: false, status: 400 });
});
