import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { jsonCodec } from "../../../src/server/protocol/json/codec.ts";
import type { Encoded, Push, Reply } from "../../../src/server/protocol/messages.ts";
import { protobufCodec } from "../../../src/server/protocol/protobuf/codec.ts";
import { comparable, push, pushObject, reply, replyObject } from "./support/arbitrary-replies.ts";
import { clientJson, clientProtobuf } from "./support/client-codecs.ts";

const either = fc.oneof(
  reply.map((one) => ({ object: replyObject(one), encode: (codec: typeof jsonCodec) => codec.encodeReply(one) })),
  push.map((one) => ({ object: pushObject(one), encode: (codec: typeof jsonCodec) => codec.encodePush(one) })),
);
const messages = fc.array(either, { minLength: 1, maxLength: 4 });

/** Parsed payloads carry no mark in JSON: a payload of the expectation is parsed in its place. */
function withParsedPayloads(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value, (_, field) => (field?.type === "Buffer" ? parsed(field.data) : field)));
}

function parsed(bytes: readonly number[]): unknown {
  return JSON.parse(Buffer.from(bytes).toString());
}

describe("replies and pushes", () => {
  it("are read by the official client as they were written in Protobuf", () => {
    fc.assert(
      fc.property(messages, (all) => {
        const bytes = protobufCodec.join(all.map(({ encode }) => encode(protobufCodec)));
        const read = clientProtobuf.decodeReplies(bytes as Buffer);
        expect(read.map((one) => comparable(one))).toEqual(all.map(({ object }) => comparable(object)));
      }),
      { numRuns: 500 },
    );
  });

  it("are read by the official client as they were written in JSON", () => {
    fc.assert(
      fc.property(messages, (all) => {
        const text = jsonCodec.join(all.map(({ encode }) => encode(jsonCodec)));
        const read = clientJson.decodeReplies(text as string);
        const written = all.map(({ object }) => withParsedPayloads(object));
        // Payloads may be zero values themselves: both sides lose them alike.
        expect(read.map((one) => comparable(one))).toEqual(written.map((one) => comparable(one)));
      }),
      { numRuns: 500 },
    );
  });
});

const RESULTS: readonly Reply[] = [
  { id: 1, kind: "connect", result: { client: "", version: "" } },
  { id: 2, kind: "subscribe", result: {} },
  { id: 3, kind: "unsubscribe" },
  { id: 4, kind: "publish" },
  { id: 5, kind: "presence", result: { presence: {} } },
  { id: 6, kind: "presence_stats", result: { num_clients: 0, num_users: 0 } },
  { id: 7, kind: "history", result: { publications: [], epoch: "", offset: 0 } },
  { id: 8, kind: "rpc", result: {} },
  { id: 9, kind: "refresh", result: {} },
  { id: 10, kind: "sub_refresh", result: {} },
];

describe("an empty result", () => {
  it("is present in JSON, with the fields that clients read without a check", () => {
    expect(jsonCodec.join(RESULTS.map((one) => jsonCodec.encodeReply(one)))).toBe(
      [
        '{"id":1,"connect":{}}',
        '{"id":2,"subscribe":{}}',
        '{"id":3,"unsubscribe":{}}',
        '{"id":4,"publish":{}}',
        '{"id":5,"presence":{"presence":{}}}',
        '{"id":6,"presence_stats":{"num_clients":0,"num_users":0}}',
        '{"id":7,"history":{"publications":[],"epoch":"","offset":0}}',
        '{"id":8,"rpc":{}}',
        '{"id":9,"refresh":{}}',
        '{"id":10,"sub_refresh":{}}',
      ].join("\n"),
    );
  });

  it.each(RESULTS)("of $kind is present in Protobuf", (one) => {
    const [read] = clientProtobuf.decodeReplies(protobufCodec.encodeReply(one) as Buffer);
    expect(Object.keys(read ?? {})).toContain(one.kind);
  });
});

describe("a payload in JSON", () => {
  const encoded = (text: string): Encoded => {
    return jsonCodec.encodeReply({ id: 1, kind: "rpc", result: { data: Buffer.from(text) } });
  };

  it.each(["1.0", "12345678901234567890", '{"a":1e400}', '"\\n"', "null"])("stays as it is: %s", (text) => {
    expect(encoded(text)).toBe(`{"id":1,"rpc":{"data":${text}}}`);
  });

  it("loses line ends between tokens, which would end the message", () => {
    expect(encoded('{\r\n  "a": "\\n"\n}\n')).toBe('{"id":1,"rpc":{"data":{  "a": "\\n"}}}');
  });
});

describe.each([jsonCodec, protobufCodec])("the $name codec", (codec) => {
  const read = (encoded: Encoded) =>
    typeof encoded === "string" ? clientJson.decodeReplies(encoded) : clientProtobuf.decodeReplies(encoded);

  it("writes a ping as an empty reply", () => {
    expect(read(codec.ping).map((one) => Object.keys(one))).toEqual([[]]);
  });

  it.each([
    [1.9, 1],
    [0.5, 0],
    [-3, 0],
    [Number.NaN, 0],
    [2 ** 60, Number.MAX_SAFE_INTEGER],
    [Number.POSITIVE_INFINITY, Number.MAX_SAFE_INTEGER],
  ])("writes the number %d as the whole number %i", (value, whole) => {
    const reply: Reply = { id: 1, kind: "subscribe", result: { offset: value } };
    const [one] = read(codec.encodeReply(reply)) as [{ subscribe: { offset?: unknown } }];
    expect(Number(one.subscribe.offset ?? 0)).toBe(whole);
  });

  it("writes an id in place of the channel if compaction was agreed", () => {
    const one: Push = { id: 7, kind: "pub", channel: "news", pub: { data: Buffer.from("1") } };
    const [{ push } = { push: undefined }] = read(codec.encodePush(one)) as [{ push?: Record<string, unknown> }];
    expect(Number(push?.["id"])).toBe(7);
    expect(push?.["channel"] || "").toBe("");
  });

  it("writes a reply that is larger than the memory of a writer", () => {
    const data = Buffer.from(JSON.stringify("x".repeat(100_000)));
    const publications = Array.from({ length: 5 }, (_, offset) => ({ data, offset }));
    const large: Reply = { id: 1, kind: "history", result: { publications, epoch: "e", offset: 4 } };
    const [one] = read(codec.encodeReply(large)) as [{ history: { publications: readonly { data: unknown }[] } }];
    expect(one.history.publications).toHaveLength(5);
    for (const each of one.history.publications)
      expect(each.data).toHaveLength(typeof each.data === "string" ? 100_000 : 100_002);
    // The writer starts anew after a large message.
    expect(read(codec.encodeReply({ id: 2, kind: "publish" }))).toMatchObject([{ id: 2, publish: {} }]);
  });
});
