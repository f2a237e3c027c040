import { describe, expect, it } from "vitest";
import { checkExtendedConnect } from "../../../src/wire/handshake/extended-connect.ts";
import type { UpgradeRequest } from "../../../src/wire/handshake/server.ts";
import { DEFAULT_COMPRESSION } from "../../../src/wire/protocol/deflate/compression.ts";

function request(headers: UpgradeRequest["headers"] = {}, method = "CONNECT"): UpgradeRequest {
  return {
    method,
    httpVersionMajor: 2,
    httpVersionMinor: 0,
    headers: { host: "localhost", "sec-websocket-version": "13", ...headers },
  };
}

describe("an extended CONNECT", () => {
  it("needs no key and no upgrade", () => {
    expect(checkExtendedConnect(request())).toEqual({ ok: true, accept: "", protocol: "", deflate: undefined });
  });

  it("is answered with a choice of its subprotocols and extensions, as in HTTP/1.1", () => {
    const headers = { "sec-websocket-protocol": "a, b", "sec-websocket-extensions": "permessage-deflate" };
    const options = { protocols: ["b", "c"], compression: DEFAULT_COMPRESSION };
    const checked = checkExtendedConnect(request(headers), options);
    expect(checked).toMatchObject({
      ok: true,
      protocol: "b",
      deflate: { header: expect.stringMatching(/^permessage/) },
    });
  });

  const refused = [
    { name: "is a GET", request: request({}, "GET"), status: 405 },
    { name: "names no authority", request: request({ host: undefined }), status: 400 },
    { name: "names a broken authority", request: request({ host: "a b" }), status: 400 },
    {
      name: "names another Host than its authority",
      request: { ...request(), rawHeaders: ["host", "example.com"] },
      status: 400,
    },
    { name: "announces a body", request: request({ "content-length": "5" }), status: 400 },
    { name: "speaks another version", request: request({ "sec-websocket-version": "8" }), status: 400 },
    { name: "comes from a foreign origin", request: request({ origin: "https://evil.example" }), status: 403 },
    {
      name: "offers far too many subprotocols",
      request: request({ "sec-websocket-protocol": Array.from({ length: 10_000 }, (_, n) => `p${n}`).join() }),
      status: 400,
    },
    { name: "breaks the grammar of extensions", request: request({ "sec-websocket-extensions": ";" }), status: 400 },
  ];
  it.each(refused)("is refused when it $name", ({ request, status }) => {
    const checked = checkExtendedConnect(request, { origins: ["https://example.com"] });
    expect(checked).toMatchObject({ ok: false, status });
  });

  it("is never answered with headers that HTTP/2 forbids", () => {
    const answers = refused.map(({ request }) => checkExtendedConnect(request));
    const names = answers.flatMap((answer) => ("headers" in answer ? Object.keys(answer.headers ?? {}) : []));
    expect(names.map((name) => name.toLowerCase())).toEqual(["allow", "sec-websocket-version"]);
  });
});
