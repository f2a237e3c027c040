import { describe, expect, it } from "vitest";
import { MAX_FILTER_DEPTH, MAX_FILTER_NODES, MAX_FILTER_VALUES } from "../../../../src/server/protocol/limits.ts";
import { decodeCommands } from "../../../../src/server/protocol/protobuf/decode.ts";
import { clientProtobuf } from "../support/client-codecs.ts";

const decode = (...bytes: number[]) => decodeCommands(Buffer.from(bytes));
const PONG = { id: 0, kind: "pong" };

function subscribe(tf: object): ReturnType<typeof decodeCommands> {
  return decodeCommands(Buffer.from(clientProtobuf.encodeCommands([{ id: 1, subscribe: { channel: "a", tf } }])));
}

describe("a Protobuf message", () => {
  it("has commands with their lengths before them", () => {
    expect(decode(0)).toEqual([PONG]);
    expect(decode(0, 2, 0x08, 5, 0)).toEqual([PONG, { id: 5, kind: "unknown" }, PONG]);
  });

  it.each([
    ["a length without a command", [2]],
    ["a command that is cut", [3, 0x08, 5]],
    ["a length that doesn't end", [0x80]],
    ["a length of 64 bits", [255, 255, 255, 255, 255, 255, 255, 255, 255, 1, 0]],
    ["a field over the end of its command", [2, 0x08, 0x85, 0x01]],
    ["a request over the end of its command", [3, 0x22, 2, 0x0a, 0]],
    ["a field over the end of its request", [5, 0x08, 1, 0x42, 1, 0x0a]],
    ["a request that is a number", [2, 0x20, 1]],
    ["a group", [2, 0x23, 0x24]],
    ["a command after a good one", [0, 1]],
  ])("is malformed: %s", (_, bytes) => {
    expect(decode(...bytes)).toBeUndefined();
  });

  it("ignores unknown fields in commands and requests", () => {
    // Fields 2, 16 and 17 of the command; field 3 of the request of presence.
    expect(decode(16, 0x10, 9, 0x42, 5, 0x0a, 1, 0x61, 0x18, 1, 0x82, 0x01, 1, 0, 0x08, 7, 0)).toBeUndefined();
    expect(decode(15, 0x10, 9, 0x42, 5, 0x0a, 1, 0x61, 0x18, 1, 0x82, 0x01, 1, 0, 0x08, 7)).toEqual([
      { id: 7, kind: "presence", request: { channel: "a" } },
    ]);
  });

  it("takes the last of several requests of one kind", () => {
    expect(decode(10, 0x42, 3, 0x0a, 1, 0x61, 0x42, 3, 0x0a, 1, 0x62)).toEqual([
      { id: 0, kind: "presence", request: { channel: "b" } },
    ]);
  });

  it("takes the last of several values of a field", () => {
    expect(decode(10, 0x42, 6, 0x0a, 1, 0x61, 0x0a, 1, 0x62, 0x08, 7)).toEqual([
      { id: 7, kind: "presence", request: { channel: "b" } },
    ]);
  });

  it("reads the newer fields of a connect without effect", () => {
    const connect = { token: "t", flag: 3, profile: "p", dict: "d" };
    expect(decodeCommands(Buffer.from(clientProtobuf.encodeCommands([{ id: 1, connect }])))).toMatchObject([
      { id: 1, kind: "connect", request: { token: "t", name: "", data: undefined } },
    ]);
  });
});

describe("the limits of a Protobuf command", () => {
  const deepFilter = (depth: number): object => (depth === 1 ? { key: "a" } : { nodes: [deepFilter(depth - 1)] });

  it.each([
    ["depth", MAX_FILTER_DEPTH, deepFilter],
    ["nodes", MAX_FILTER_NODES, (count: number) => ({ nodes: new Array(count - 1).fill({}) })],
    ["values", MAX_FILTER_VALUES, (count: number) => ({ vals: new Array(count).fill("") })],
  ])("allow a tag filter of some %s, and none with more", (_, limit, filter) => {
    expect(subscribe(filter(limit))).toHaveLength(1);
    expect(subscribe(filter(limit + 1))).toBeUndefined();
  });
});
