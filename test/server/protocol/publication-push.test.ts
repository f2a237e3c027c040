import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { jsonCodec } from "../../../src/server/protocol/json/codec.ts";
import type { Codec, PublicationPush, StoredMessage } from "../../../src/server/protocol/messages.ts";
import { protobufCodec } from "../../../src/server/protocol/protobuf/codec.ts";
import { encodeStored, type StoredPublication } from "../../../src/server/protocol/stored-publication.ts";
import type { Message } from "../../../src/wire/protocol/message.ts";
import { comparable, info } from "./support/arbitrary-replies.ts";
import { clientJson, clientProtobuf } from "./support/client-codecs.ts";

const target = fc.oneof(fc.string({ unit: "grapheme" }), fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }));
const offset = fc.option(fc.oneof(fc.integer({ min: 1, max: 300 }), fc.maxSafeNat()), { nil: undefined });
const stored: fc.Arbitrary<StoredPublication> = fc.record({
  data: fc.json({ maxDepth: 2 }).map((json) => Buffer.from(json)),
  info: fc.option(info, { nil: undefined }),
  tags: fc.option(fc.dictionary(fc.string(), fc.string(), { minKeys: 1 }), { nil: undefined }),
  time: fc.option(fc.maxSafeNat(), { nil: undefined }),
  isJson: fc.constant(true),
});

function pushOf(result: PublicationPush): Message {
  if (result.kind !== "push") throw new Error(`expected a push, got ${result.kind}`);
  return result.push;
}

const envelope = (one: StoredPublication): StoredMessage => ({ type: "binary", bytes: encodeStored(one) });
const text = (json: string): StoredMessage => ({ type: "text", bytes: Buffer.from(json) });

/** What the official client reads. */
function read(codec: Codec, message: Message): unknown {
  const replies =
    codec === jsonCodec ? clientJson.decodeReplies(message.text) : clientProtobuf.decodeReplies(message.bytes);
  return replies.map(comparable);
}

describe.each([jsonCodec, protobufCodec])("the push of a stored publication in $name", (codec) => {
  it("is what encoding the publication anew gives", () => {
    fc.assert(
      fc.property(stored, target, offset, (one, to, at) => {
        const { data, info, tags, time } = one;
        const channel = typeof to === "string" ? to : "";
        const id = typeof to === "number" ? to : undefined;
        const anew = codec.encodePush({ id, kind: "pub", channel, pub: { data, info, tags, time, offset: at } });
        const spliced = pushOf(codec.encodePublication(envelope(one), to, at));
        expect(spliced.type).toBe(codec === jsonCodec ? "text" : "binary");
        const bytes = Buffer.from(anew as string);
        expect(read(codec, spliced)).toEqual(
          (codec === jsonCodec ? clientJson.decodeReplies(bytes.toString()) : clientProtobuf.decodeReplies(bytes)).map(
            comparable,
          ),
        );
      }),
      { numRuns: 500 },
    );
  });

  it("has the data of a text message, with line ends where they don't end a message", () => {
    const push = pushOf(codec.encodePublication(text('{\n"a":\r\n1.0}'), "news", 1));
    const data = codec === jsonCodec ? '{"a":1.0}' : '{\n"a":\r\n1.0}';
    expect(push.bytes.includes(data)).toBe(true);
    if (codec === jsonCodec) expect(push.text).toBe(`{"push":{"channel":"news","pub":{"data":${data},"offset":1}}}`);
  });

  it.each([0, 1, 60, 100, 125, 126, 16_000, 16_384, 65_400, 65_536, 100_000])("carries data of %i bytes", (length) => {
    const data = Buffer.from(JSON.stringify("x".repeat(length)));
    const push = pushOf(codec.encodePublication(envelope({ data, isJson: true }), "news", 1));
    expect(push.bytes).toHaveLength(push.byteLength);
    expect(push.bytes.includes(data)).toBe(true);
    expect(read(codec, push)).toHaveLength(1);
  });
});

describe("data that isn't JSON", () => {
  const messages: [string, StoredMessage][] = [
    ["binary data", { type: "binary", bytes: Buffer.from("\xff") }],
    ["binary data that looks like JSON", { type: "binary", bytes: Buffer.from("1") }],
    ["an envelope that doesn't say that it has JSON", envelope({ data: Buffer.from("1"), isJson: false })],
    ["text that isn't JSON", text("hello")],
    ["text that would end the push", text("1}},{")],
  ];

  it.each(messages)("can't be sent to JSON clients: %s", (_, message) => {
    expect(jsonCodec.encodePublication(message, "news", 1)).toEqual({ kind: "not-json" });
  });

  it.each(messages)("can be sent to Protobuf clients: %s", (_, message) => {
    const push = pushOf(protobufCodec.encodePublication(message, "news", 1));
    expect(read(protobufCodec, push)).toMatchObject([{ push: { channel: "news", pub: { offset: 1 } } }]);
  });
});
