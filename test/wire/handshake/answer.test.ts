import { expect, it } from "vitest";
import { agreementHeaders, switchingAnswer, switchingHeaders } from "../../../src/wire/handshake/answer.ts";
import { parseExtensions } from "../../../src/wire/handshake/extensions.ts";
import { acceptDeflate } from "../../../src/wire/handshake/permessage-deflate.ts";
import { checkHandshake } from "../../../src/wire/handshake/server.ts";
import { DEFAULT_COMPRESSION } from "../../../src/wire/protocol/deflate/compression.ts";
import { switchingProtocols } from "../../../src/wire/upgrade/response.ts";

const KEY = "dGhlIHNhbXBsZSBub25jZQ==";
const DEFLATE = acceptDeflate(parseExtensions("permessage-deflate") ?? [], DEFAULT_COMPRESSION);
const ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

it("answers a plain handshake with the three headers of a 101", () => {
  expect(switchingHeaders({ accept: ACCEPT, protocol: "", deflate: undefined })).toEqual({
    Upgrade: "websocket",
    Connection: "Upgrade",
    "Sec-WebSocket-Accept": ACCEPT,
  });
});

it("names the chosen subprotocol and the negotiated compression, as the checks found them", () => {
  const request = {
    method: "GET",
    httpVersionMajor: 1,
    httpVersionMinor: 1,
    headers: {
      host: "localhost",
      upgrade: "websocket",
      connection: "Upgrade",
      "sec-websocket-version": "13",
      "sec-websocket-key": KEY,
      "sec-websocket-protocol": "a, b",
      "sec-websocket-extensions": "permessage-deflate",
    },
  };
  const checked = checkHandshake(request, { protocols: ["b"], compression: DEFAULT_COMPRESSION });
  if (!checked.ok) throw new Error(checked.reason);
  const agreement = {
    "Sec-WebSocket-Protocol": "b",
    "Sec-WebSocket-Extensions": expect.stringMatching(/^permessage-deflate/),
  };
  expect(agreementHeaders(checked)).toEqual(agreement);
  expect(switchingHeaders(checked)).toEqual({
    Upgrade: "websocket",
    Connection: "Upgrade",
    "Sec-WebSocket-Accept": ACCEPT,
    ...agreement,
  });
});

it("leaves out a subprotocol and compression that weren't negotiated", () => {
  expect(agreementHeaders({ protocol: "", deflate: undefined })).toEqual({});
});

it.each([
  { protocol: "", deflate: undefined },
  { protocol: "chat.v2", deflate: undefined },
  { protocol: "", deflate: DEFLATE },
  { protocol: "chat.v2", deflate: DEFLATE },
])("writes the 101 of %j as it writes any answer", (agreed) => {
  const accepted = { accept: ACCEPT, ...agreed };
  expect(switchingAnswer(accepted)).toBe(switchingProtocols(switchingHeaders(accepted)));
});
