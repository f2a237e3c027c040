import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { jsonCodec } from "../../../src/server/protocol/json/codec.ts";
import { MAX_COMMANDS } from "../../../src/server/protocol/limits.ts";
import type { Command } from "../../../src/server/protocol/messages.ts";
import { protobufCodec } from "../../../src/server/protocol/protobuf/codec.ts";
import { asJsonText, command } from "./support/arbitrary-commands.ts";
import { clientJson, clientProtobuf } from "./support/client-codecs.ts";
import { asJson, asProtobuf, checkLaw, damaged } from "./support/fuzz-commands.ts";

const commands = fc.array(command, { minLength: 1, maxLength: 5 });

/** Bytes as text, so that views of different memory compare as equal. */
function comparable(all: readonly Command[] | undefined): unknown {
  return JSON.parse(JSON.stringify(all ?? null, (_, value) => (value?.type === "Buffer" ? asText(value) : value)));
}

function asText({ data }: { data: readonly number[] }): string {
  return Buffer.from(data).toString();
}

describe("commands", () => {
  it("are read from JSON as they were written, payloads byte for byte", () => {
    fc.assert(
      fc.property(commands, fc.constantFrom("", " ", "\t", "\r"), (all, space) => {
        const text = all.map((one) => asJsonText(one, space)).join("\n");
        expect(comparable(jsonCodec.decode(Buffer.from(text)))).toEqual(comparable(all));
      }),
      { numRuns: 500 },
    );
  });

  it("are read from the Protobuf of the official client as they were written", () => {
    fc.assert(
      fc.property(commands, (all) => {
        expect(comparable(protobufCodec.decode(asProtobuf(all)))).toEqual(comparable(all));
      }),
      { numRuns: 500 },
    );
  });

  it("are the same in both codecs", () => {
    fc.assert(
      fc.property(commands, (all) => {
        const json = jsonCodec.decode(asJson(all));
        expect(protobufCodec.decode(asProtobuf(all))).toEqual(json);
      }),
      { numRuns: 500 },
    );
  });

  it("are read as the official client writes them in JSON", () => {
    const text = clientJson.encodeCommands([
      { connect: { name: "js", headers: { "X-A": "b" }, subs: { news: { recover: true, offset: 3 } } }, id: 1 },
      { subscribe: { channel: "a", flag: 3, recoverable: true, tf: { key: "k", cmp: "eq", val: "1" } }, id: 2 },
      {},
    ]);
    const read = jsonCodec.decode(Buffer.from(text));
    expect(read).toMatchObject([
      { id: 1, kind: "connect", request: { headers: { "X-A": "b" }, subs: { news: { recover: true, offset: 3 } } } },
      { id: 2, kind: "subscribe", request: { channel: "a", flag: 3, tf: { op: "", key: "k", cmp: "eq", val: "1" } } },
      { id: 0, kind: "pong" },
    ]);
  });
});

describe.each([jsonCodec, protobufCodec])("the $name codec", (codec) => {
  const encode = codec === jsonCodec ? asJson : asProtobuf;

  it("never throws, whatever the bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        codec.decode(Buffer.from(bytes));
      }),
      { numRuns: 5_000 },
    );
  });

  it("reads damaged commands as none, or as commands that a client can write", () => {
    fc.assert(
      fc.property(damaged(encode), (bytes) => checkLaw(codec, bytes)),
      { numRuns: 3_000 },
    );
  });

  it("reads as many commands as one message may have, and no more", () => {
    const one: Command = { id: 1, kind: "presence", request: { channel: "a" } };
    const most = new Array(MAX_COMMANDS).fill(one);
    expect(codec.decode(encode(most))).toHaveLength(MAX_COMMANDS);
    expect(codec.decode(encode([...most, one]))).toBeUndefined();
  });

  it("takes the first request in the order of the schema if a command has several", () => {
    const several = { id: 1, rpc: { method: "m" }, publish: { channel: "c" }, refresh: {} };
    const bytes = codec === jsonCodec ? JSON.stringify(several) : clientProtobuf.encodeCommands([several]);
    expect(codec.decode(Buffer.from(bytes))).toMatchObject([{ kind: "publish", request: { channel: "c" } }]);
  });

  it("refuses a message without a command", () => {
    expect(codec.decode(Buffer.alloc(0))).toBeUndefined();
  });
});
