import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import { type AddressInfo, connect } from "node:net";
import fc from "fast-check";
import { expect, it, onTestFinished } from "vitest";
import { readSimpleHead } from "../../../src/wire/handshake/request-head.ts";
import { upgradeRequest } from "../../support/raw-client.ts";

const REQUEST = upgradeRequest({ path: "/chat/7?token=a%20b" });

it("reads a request in the form that clients send", () => {
  expect(readSimpleHead(Buffer.from(REQUEST))).toEqual({
    head: {
      method: "GET",
      url: "/chat/7?token=a%20b",
      httpVersionMajor: 1,
      httpVersionMinor: 1,
      headers: {
        host: "localhost",
        connection: "Upgrade",
        upgrade: "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
      },
    },
    length: REQUEST.length,
  });
});

it("returns the length of the head", () => {
  const following = Buffer.from([0x81, 0x80, 0, 0, 0, 0, 0x0d, 0x0a, 0x0d, 0x0a]);
  expect(readSimpleHead(Buffer.concat([Buffer.from(REQUEST), following]))?.length).toBe(REQUEST.length);
});

it("trims the blanks around a value, and keeps those within", () => {
  const read = readSimpleHead(Buffer.from("GET / HTTP/1.1\r\nA:b\r\nC: \t d  e \t\r\nF:\r\n\r\n"));
  expect(read?.head.headers).toEqual({ a: "b", c: "d  e", f: "" });
});

it("reads a header that is named like a property of objects", () => {
  const read = readSimpleHead(Buffer.from("GET / HTTP/1.1\r\n__proto__: x\r\nconstructor: y\r\n\r\n"));
  expect(Object.entries(read?.head.headers ?? {})).toEqual([
    ["__proto__", "x"],
    ["constructor", "y"],
  ]);
});

it.each([
  { what: "an incomplete head", bytes: REQUEST.slice(0, -1) },
  { what: "nothing", bytes: "" },
  { what: "another method", bytes: REQUEST.replace("GET", "POST") },
  { what: "a method in lower case", bytes: REQUEST.replace("GET", "get") },
  { what: "another version", bytes: REQUEST.replace("1.1", "1.0") },
  { what: "a whole URL as the target", bytes: REQUEST.replace("GET /", "GET http://localhost/") },
  { what: "a target with a blank", bytes: REQUEST.replace("/chat", "/ch at") },
  { what: "a target beyond ASCII", bytes: REQUEST.replace("/chat", "/ch\xe4t") },
  { what: "empty lines before the request", bytes: `\r\n${REQUEST}` },
  { what: "a bare LF at the end of a line", bytes: REQUEST.replace("localhost\r\n", "localhost\n") },
  { what: "a bare CR in a value", bytes: REQUEST.replace("localhost", "local\rhost") },
  { what: "a NUL in a value", bytes: REQUEST.replace("localhost", "local\0host") },
  { what: "a value beyond ASCII", bytes: REQUEST.replace("localhost", "l\xf6calhost") },
  { what: "a folded line", bytes: REQUEST.replace("localhost", "local\r\n host") },
  { what: "a blank before the colon", bytes: REQUEST.replace("Host:", "Host :") },
  { what: "a line without a colon", bytes: REQUEST.replace("Host: localhost", "Host") },
  { what: "a header without a name", bytes: REQUEST.replace("Host:", ":") },
  { what: "no headers", bytes: "GET / HTTP/1.1\r\n\r\n" },
  { what: "a repeated header", bytes: REQUEST.replace("\r\n\r\n", "\r\nHOST: other\r\n\r\n") },
  { what: "a body", bytes: REQUEST.replace("\r\n\r\n", "\r\nContent-Length: 0\r\n\r\n") },
  { what: "a chunked body", bytes: REQUEST.replace("\r\n\r\n", "\r\nTransfer-Encoding: chunked\r\n\r\n") },
  { what: "an expectation", bytes: REQUEST.replace("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n") },
  { what: "a head past 16 KiB", bytes: REQUEST.replace("localhost", "a".repeat(16 * 1024)) },
])("leaves $what to the full parser", ({ bytes }) => {
  expect(readSimpleHead(Buffer.from(bytes, "latin1"))).toBeUndefined();
});

it("reads a request exactly as node:http does", async () => {
  const server = createServer();
  const requests: IncomingMessage[] = [];
  server.on("upgrade", (request, socket) => {
    requests.push(request);
    socket.end();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;

  const token = fc.string({ minLength: 1, maxLength: 8, unit: fc.constantFrom(..."aZ9-_.!#$%&'*+^`|~") });
  const value = fc.string({ maxLength: 12, unit: fc.constantFrom(...' \taZ9:;,"()<>@/[]{}=?\\~!') });
  const path = fc.string({ maxLength: 12, unit: fc.constantFrom(..."aZ9/%20?&=;:@!$'()*+,-._~#[]\"<>^`{|}\\") });
  const headers = fc.array(fc.tuple(token, value), { maxLength: 6 });
  await fc.assert(
    fc.asyncProperty(path, headers, async (target, others) => {
      const lines = others.map(([name, text]) => `X-${name}: ${text}\r\n`).join("");
      const bytes = `GET /${target} HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n${lines}\r\n`;
      const read = readSimpleHead(Buffer.from(bytes, "latin1"));
      fc.pre(read !== undefined);
      requests.length = 0;
      const socket = connect(port, "127.0.0.1").resume();
      socket.write(bytes, "latin1");
      await once(socket, "close");
      const { method, url, headers: parsed } = requests[0] ?? {};
      expect({ method, url, headers: { ...parsed } }).toEqual({
        method: read?.head.method,
        url: read?.head.url,
        headers: { ...read?.head.headers },
      });
    }),
    { numRuns: 200 },
  );
});
