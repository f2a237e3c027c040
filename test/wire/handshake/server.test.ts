import { describe, expect, it } from "vitest";
import { checkHandshake } from "../../../src/wire/handshake/server.ts";
import { request } from "./requests.ts";

const ACCEPTED = { ok: true, accept: "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", protocol: "" };

it("accepts the RFC's example request with the RFC's example answer", () => {
  const example = request({ origin: "http://example.com", "sec-websocket-protocol": "chat, superchat" });
  expect(checkHandshake(example)).toEqual(ACCEPTED);
  expect(checkHandshake(example, { protocols: ["chat"] })).toEqual({ ...ACCEPTED, protocol: "chat" });
});

it("gives every refusal a reason in words", () => {
  for (const headers of [{ host: undefined }, { upgrade: undefined }, { "sec-websocket-key": "x" }]) {
    expect(checkHandshake(request(headers))).toMatchObject({ ok: false, reason: expect.stringMatching(/^[A-Z].*\.$/) });
  }
});

describe("the method", () => {
  it.each(["POST", "HEAD", "PUT", "OPTIONS", "CONNECT", "get", "", undefined])(
    "refuses %s with 405 and Allow",
    (method) => {
      expect(checkHandshake(request({}, { method }))).toMatchObject({
        ok: false,
        status: 405,
        headers: { Allow: "GET" },
      });
    },
  );
});

it("refuses another protocol with 426, whatever its method and its version of HTTP", () => {
  for (const rest of [{ method: "POST" }, { httpVersionMinor: 0 }]) {
    expect(checkHandshake(request({ upgrade: "h2c" }, rest))).toMatchObject({ ok: false, status: 426 });
  }
});

describe("the HTTP version", () => {
  it.each([
    [0, 9, false],
    [1, 0, false],
    [1, 1, true],
    [1, 2, true],
    [2, 0, false],
    [3, 1, false],
  ])("accepts %i.%i: %s", (httpVersionMajor, httpVersionMinor, taken) => {
    const result = checkHandshake(request({}, { httpVersionMajor, httpVersionMinor }));
    expect(result).toMatchObject(taken ? ACCEPTED : { ok: false, status: 400 });
  });
});

describe("Host", () => {
  it.each([
    ...[
      "example.com",
      "example.com:8080",
      "a_b.example",
      "127.0.0.1",
      "127.0.0.1:80",
      "[::1]",
      "[::1]:8080",
      "EXAMPLE.",
    ],
    ...["[fe80::1%25eth0]", "[v1.x:y]", "%65xample.com", "example.com:"],
  ])("accepts %j", (host) => {
    expect(checkHandshake(request({ host }))).toEqual(ACCEPTED);
  });

  it.each([
    ...[undefined, "", " ", "a b", "a, b", "user@example.com", "http://example.com", "example.com/", "[::1", "::1"],
    ...["example.com:http", "example.com:80:80", "[]", "[g::1]", "%zz", "exämple", "a\\b", "?", "example.com\n"],
  ])("refuses %j with 400", (host) => {
    expect(checkHandshake(request({ host }))).toMatchObject({ ok: false, status: 400 });
  });
});

describe("headers that may be sent once", () => {
  it.each(["Host", "Origin", "Sec-WebSocket-Key", "sec-websocket-version", "CONTENT-LENGTH"])(
    "refuses two of %s with 400, even when they say the same",
    (name) => {
      const rawHeaders = [name.toLowerCase(), "0", "Upgrade", "websocket", name, "0"];
      expect(checkHandshake(request({}, { rawHeaders }))).toMatchObject({
        ok: false,
        status: 400,
        reason: expect.stringMatching(new RegExp(`^The ${name} header`, "i")),
      });
    },
  );

  it("accepts lists in several lines", () => {
    const lists = ["Connection", "Upgrade", "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions"];
    const rawHeaders = [...lists, ...lists].flatMap((name) => [name, "x"]);
    expect(checkHandshake(request({}, { rawHeaders }))).toEqual(ACCEPTED);
  });

  it("looks at names only, not at values", () => {
    const rawHeaders = ["X-A", "Host", "X-B", "Host", "Host", "server.example.com"];
    expect(checkHandshake(request({}, { rawHeaders }))).toEqual(ACCEPTED);
  });
});

describe("Upgrade", () => {
  it.each(["websocket", "WebSocket", "WEBSOCKET", "h2c, websocket", "websocket, h2c", " websocket ", ",websocket"])(
    "accepts %j",
    (upgrade) => {
      expect(checkHandshake(request({ upgrade }))).toEqual(ACCEPTED);
    },
  );

  it.each([undefined, "", "h2c", "websockets", "web socket", "websocket2", "websocket;v=1"])(
    "refuses %j with 426 and the right Upgrade header",
    (upgrade) => {
      expect(checkHandshake(request({ upgrade }))).toMatchObject({
        ok: false,
        status: 426,
        headers: { Upgrade: "websocket" },
      });
    },
  );
});

describe("Connection", () => {
  it.each(["Upgrade", "upgrade", "UPGRADE", "keep-alive, Upgrade", "Upgrade,keep-alive", "keep-alive,\tupgrade"])(
    "accepts %j",
    (connection) => {
      expect(checkHandshake(request({ connection }))).toEqual(ACCEPTED);
    },
  );

  it.each([undefined, "", "keep-alive", "close", "Upgraded", "keep-alive Upgrade"])("refuses %j", (connection) => {
    expect(checkHandshake(request({ connection }))).toMatchObject({ ok: false, status: 400 });
  });
});

describe("a body", () => {
  it.each([{ "content-length": "1" }, { "content-length": "1000000" }, { "transfer-encoding": "chunked" }])(
    "announced by %j is refused",
    (headers) => {
      expect(checkHandshake(request(headers))).toMatchObject({ ok: false, status: 400 });
    },
  );

  it("of no bytes is accepted", () => {
    expect(checkHandshake(request({ "content-length": "0" }))).toEqual(ACCEPTED);
  });
});

describe("Sec-WebSocket-Version", () => {
  it.each(["8", "12", "14", "0", "7", "013", "13.0", "", "13, 8", "8, 13", "13, 13", undefined])(
    "%j is refused with 426 and the supported version",
    (version) => {
      expect(checkHandshake(request({ "sec-websocket-version": version }))).toMatchObject({
        ok: false,
        status: 426,
        headers: { "Sec-WebSocket-Version": "13" },
      });
    },
  );
});

describe("Sec-WebSocket-Key", () => {
  const bytes = (length: number) => Buffer.alloc(length, 0xa5).toString("base64");

  it.each([
    bytes(16),
    "AAAAAAAAAAAAAAAAAAAAAA==",
    "/////////////////////w==",
    "++++++++++++++++++++++==".replace("+=", "A="),
  ])("accepts %s", (key) => {
    expect(checkHandshake(request({ "sec-websocket-key": key }))).toMatchObject({ ok: true });
  });

  const bad = [
    ["is missing", undefined],
    ["is empty", ""],
    ["has 15 bytes", bytes(15)],
    ["has 17 bytes", bytes(17)],
    ["has 18 bytes", bytes(18)],
    ["has 0 bytes and padding", "=="],
    ["has bits set beyond its 16 bytes (not canonical)", "dGhlIHNhbXBsZSBub25jZR=="],
    ["has no padding", "dGhlIHNhbXBsZSBub25jZQ"],
    ["has half of its padding", "dGhlIHNhbXBsZSBub25jZQ="],
    ["is in the URL alphabet", "_-hlIHNhbXBsZSBub25jZQ=="],
    ["has a space in it", "dGhlIHNhbXBs ZSBub25jZQ=="],
    ["has a line end after it", "dGhlIHNhbXBsZSBub25jZQ==\n"],
    ["is 16 characters, not 16 bytes", "the sample nonce"],
    ["came twice, joined", "dGhlIHNhbXBsZSBub25jZQ==, dGhlIHNhbXBsZSBub25jZQ=="],
  ] as const;
  it.each(bad)("is refused when it %s", (_name, key) => {
    expect(checkHandshake(request({ "sec-websocket-key": key }))).toMatchObject({ ok: false, status: 400 });
  });
});

describe("the order of checks", () => {
  it("answers for the version before the key, so that old clients learn the supported version", () => {
    const old = request({ "sec-websocket-version": "8", "sec-websocket-key": undefined });
    expect(checkHandshake(old)).toMatchObject({ status: 426 });
  });

  it("checks the method before everything else about an offer of WebSocket", () => {
    const headers = { upgrade: "websocket" };
    expect(checkHandshake({ method: "POST", httpVersionMajor: 1, httpVersionMinor: 0, headers })).toMatchObject({
      status: 405,
    });
  });

  it("answers malformed requests with 400 before it answers foreign origins with 403", () => {
    const foreign = request({ origin: "https://elsewhere.example", "sec-websocket-key": "x" });
    expect(checkHandshake(foreign, { origins: [] })).toMatchObject({ status: 400 });
  });
});
