import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { jsonCodec } from "../../../src/server/protocol/json/codec.ts";
import { protobufCodec } from "../../../src/server/protocol/protobuf/codec.ts";
import { clientJson, clientProtobuf } from "./support/client-codecs.ts";

const COMMANDS = [{ id: 1, rpc: { method: "é" } }, {}];
const READ = [
  { id: 1, kind: "rpc", request: { method: "é" } },
  { id: 0, kind: "pong" },
];

describe("an emulation request", () => {
  it("carries the commands as a string in JSON", () => {
    const body = JSON.stringify({ session: "s", node: "n", data: clientJson.encodeCommands(COMMANDS) });
    const request = jsonCodec.decodeEmulation(Buffer.from(body));
    expect(request).toMatchObject({ session: "s", node: "n" });
    expect(jsonCodec.decode(request?.data ?? Buffer.alloc(0))).toMatchObject(READ);
  });

  it("carries the commands as bytes in Protobuf", () => {
    const data = clientProtobuf.encodeCommands(COMMANDS);
    const body = clientProtobuf.encodeEmulationRequest({ session: "s", node: "n", data });
    const request = protobufCodec.decodeEmulation(Buffer.from(body));
    expect(request).toMatchObject({ session: "s", node: "n" });
    expect(protobufCodec.decode(request?.data ?? Buffer.alloc(0))).toMatchObject(READ);
  });

  it.each([
    "",
    "1",
    "[]",
    "{",
    '{"session":1}',
    '{"node":{},"data":"{}"}',
    '{"data":{}}',
    `${'{"data":'.repeat(100_000)}`,
  ])("is malformed in JSON: %.20s", (body) => {
    expect(jsonCodec.decodeEmulation(Buffer.from(body))).toBeUndefined();
  });

  it("never throws, whatever its bytes", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array(),
          fc.json().map((text) => Buffer.from(text)),
        ),
        (bytes) => {
          jsonCodec.decodeEmulation(Buffer.from(bytes));
          protobufCodec.decodeEmulation(Buffer.from(bytes));
        },
      ),
      { numRuns: 1_000 },
    );
  });
});
