import { describe, expect, it } from "vitest";
import { acceptKey } from "../../../src/wire/handshake/accept-key.ts";
import { beginHandshake, checkHandshakeResponse, type HandshakeResponse } from "../../../src/wire/handshake/client.ts";

const handshake = beginHandshake({ protocols: ["v2.chat", "v1.chat"] });

/** A valid server's answer with some headers replaced; undefined removes a header. */
function answer(headers: Record<string, string | undefined> = {}, statusCode = 101): HandshakeResponse {
  const all = {
    upgrade: "websocket",
    connection: "Upgrade",
    "sec-websocket-accept": acceptKey(handshake.key),
    ...headers,
  };
  return { statusCode, headers: Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)) };
}

describe("the request", () => {
  it("has version 13 and a key of 16 bytes that differs each time", () => {
    const keys = Array.from({ length: 100 }, () => beginHandshake().key);
    expect(new Set(keys).size).toBe(100);
    for (const key of keys) expect(Buffer.from(key, "base64")).toHaveLength(16);
    expect(handshake.headers).toMatchObject({ "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": handshake.key });
  });

  it("lists subprotocols in order of preference, and has no such header without subprotocols", () => {
    expect(handshake.headers["Sec-WebSocket-Protocol"]).toBe("v2.chat, v1.chat");
    expect(beginHandshake().headers).not.toHaveProperty("Sec-WebSocket-Protocol");
  });
});

describe("an answer", () => {
  it.each<[string, Record<string, string>, string]>([
    ["plain", {}, ""],
    [
      "with other letter cases and more in its Connection",
      { upgrade: "WebSocket", connection: "keep-alive, UPGRADE" },
      "",
    ],
    ["with a subprotocol that was asked for", { "sec-websocket-protocol": "v1.chat" }, "v1.chat"],
    ["with an empty extension header", { "sec-websocket-extensions": "" }, ""],
  ])("%s opens the connection", (_, headers, protocol) => {
    expect(checkHandshakeResponse(answer(headers), handshake)).toEqual({ ok: true, protocol, extensions: "" });
  });

  it.each<[string, HandshakeResponse, string]>([
    ["200", answer({}, 200), "ERR_HANDSHAKE_STATUS"],
    ["401", answer({}, 401), "ERR_HANDSHAKE_STATUS"],
    ["no status", { headers: answer().headers }, "ERR_HANDSHAKE_STATUS"],
    ["no Upgrade", answer({ upgrade: undefined }), "ERR_HANDSHAKE_UPGRADE"],
    ["another Upgrade", answer({ upgrade: "h2c" }), "ERR_HANDSHAKE_UPGRADE"],
    ["two Upgrades", answer({ upgrade: "websocket, h2c" }), "ERR_HANDSHAKE_UPGRADE"],
    ["no Connection", answer({ connection: undefined }), "ERR_HANDSHAKE_CONNECTION"],
    ["another Connection", answer({ connection: "keep-alive" }), "ERR_HANDSHAKE_CONNECTION"],
    ["no accept key", answer({ "sec-websocket-accept": undefined }), "ERR_HANDSHAKE_ACCEPT"],
    ["a wrong accept key", answer({ "sec-websocket-accept": acceptKey("x") }), "ERR_HANDSHAKE_ACCEPT"],
    [
      "an accept key of other letter case",
      answer({ "sec-websocket-accept": acceptKey(handshake.key).toLowerCase() }),
      "ERR_HANDSHAKE_ACCEPT",
    ],
    ["the key itself", answer({ "sec-websocket-accept": handshake.key }), "ERR_HANDSHAKE_ACCEPT"],
    ["an extension", answer({ "sec-websocket-extensions": "permessage-deflate" }), "ERR_HANDSHAKE_EXTENSION"],
    ["a foreign subprotocol", answer({ "sec-websocket-protocol": "v3.chat" }), "ERR_HANDSHAKE_PROTOCOL"],
    ["two subprotocols", answer({ "sec-websocket-protocol": "v2.chat, v1.chat" }), "ERR_HANDSHAKE_PROTOCOL"],
    ["a subprotocol of other letter case", answer({ "sec-websocket-protocol": "V2.chat" }), "ERR_HANDSHAKE_PROTOCOL"],
  ])("with %s fails", (_, response, code) => {
    expect(checkHandshakeResponse(response, handshake)).toMatchObject({ ok: false, code });
  });

  it("with a subprotocol fails when none was offered", () => {
    const plain = beginHandshake();
    const headers = { "sec-websocket-accept": acceptKey(plain.key), "sec-websocket-protocol": "v1.chat" };
    expect(checkHandshakeResponse(answer(headers), plain)).toMatchObject({ ok: false, code: "ERR_HANDSHAKE_PROTOCOL" });
  });
});
