import { describe, expect, it } from "vitest";
import { decodeCommands } from "../../../../src/server/protocol/json/decode.ts";
import {
  MAX_FILTER_DEPTH,
  MAX_FILTER_NODES,
  MAX_FILTER_VALUES,
  MAX_JSON_DEPTH,
} from "../../../../src/server/protocol/limits.ts";

const decode = (text: string) => decodeCommands(Buffer.from(text));
const subscribe = (fields: string) => decode(`{"id":1,"subscribe":{"channel":"a",${fields}}}`);

describe("a JSON message", () => {
  it.each(["", "\n", "{}\n\n{}", "\n{}", "{}\n\n", "{} {}", "[]", "1", "null", '"a"', "{", '{"id":1', "\ufeff{}"])(
    "is malformed: %j",
    (text) => {
      expect(decode(text)).toBeUndefined();
    },
  );

  it("may end with one newline, and have carriage returns", () => {
    expect(decode('{}\r\n{"id":2}\n')).toEqual([
      { id: 0, kind: "pong" },
      { id: 2, kind: "unknown" },
    ]);
  });

  it("is malformed if any of its commands is", () => {
    expect(decode('{"id":1,"presence":{"channel":"a"}}\n{"id":2,"presence":{"channel":5}}')).toBeUndefined();
  });

  it("is malformed if it isn't UTF-8, also in the body of a request that nobody has checked", () => {
    const [start = "", end = ""] = '{"id":1,"presence":{"channel":"|"}}'.split("|");
    const withBytes = (...bytes: number[]) =>
      Buffer.concat([Buffer.from(start), Buffer.of(...bytes), Buffer.from(end)]);
    expect(decodeCommands(withBytes(0xff))).toBeUndefined();
    expect(decodeCommands(withBytes(0xef, 0xbf, 0xbd))).toMatchObject([{ request: { channel: "\ufffd" } }]);
  });
});

describe("a command in JSON", () => {
  it.each([
    [0, 0],
    [1, 1],
    [4294967295, 4294967295],
    ["1.0", 1],
    ["-0", 0],
    ["null", 0],
  ])("has an id of 32 bits: %s", (written, id) => {
    expect(decode(`{"id":${written},"send":{}}`)?.[0]).toEqual({ id, kind: "send", request: { data: undefined } });
  });

  it.each(["4294967296", "-1", "1.5", '"1"', "true", "[1]", "{}", "1e999"])("can't have the id %s", (id) => {
    expect(decode(`{"id":${id},"send":{}}`)).toBeUndefined();
  });

  it.each(["[]", "1", '"a"', "true"])("can't have a request that is %s", (request) => {
    expect(decode(`{"id":1,"rpc":${request}}`)).toBeUndefined();
  });

  it("ignores unknown fields, and those that the protocol doesn't have yet", () => {
    const [command] =
      decode('{"id":1,"new":{"channel":1},"connect":{"token":"t","flag":9,"profile":"p","dict":"d","x":[{}]}}') ?? [];
    expect(command).toMatchObject({ id: 1, kind: "connect", request: { token: "t" } });
    expect(decode('{"id":1,"new":{}}')).toEqual([{ id: 1, kind: "unknown" }]);
  });

  it("takes null for a field that is missing", () => {
    expect(decode('{"id":1,"connect":null,"presence":{"channel":null}}')).toEqual([
      { id: 1, kind: "presence", request: { channel: "" } },
    ]);
  });

  it("takes the last of several fields with one name", () => {
    const [command] = decode('{"id":1,"rpc":{"data":0},"id":2,"rpc":{"data":1,"d\\u0061ta":[2.0]}}') ?? [];
    expect(command).toEqual({ id: 2, kind: "rpc", request: { method: "", data: Buffer.from("[2.0]") } });
  });

  it.each(["1.0", "12345678901234567890", " null", '"\\u0061"', '{"data" : "\\\\"}', "[[],{}]"])(
    "keeps a payload as it was written: %s",
    (data) => {
      const [command] = decode(`{"id":1,"publish":{"channel":"é","data":${data} },"x":1}`) ?? [];
      const written = Buffer.from(data.trim());
      expect(command).toEqual({ id: 1, kind: "publish", request: { channel: "é", data: written, type: 0 } });
    },
  );

  it.each([
    ["channel", "1"],
    ["channel", '"\\ud800"'],
    ["token", "{}"],
    ["epoch", "[]"],
    ["recover", "1"],
    ["recover", '"true"'],
    ["offset", '"1"'],
    ["offset", "-1"],
    ["offset", "1.5"],
    ["offset", "18446744073709552000000"],
    ["flag", "1e300"],
    ["type", "2147483648"],
    ["delta", "true"],
    ["tf", "[]"],
    ["tf", '{"vals":"a"}'],
    ["tf", '{"vals":[1]}'],
    ["tf", '{"nodes":[1]}'],
    ["tf", '{"nodes":{}}'],
    ["tf", '{"key":1}'],
  ])("is malformed if %s is %s", (field, value) => {
    expect(subscribe(`"${field}":${value}`)).toBeUndefined();
  });

  it.each(["headers", "subs"])("is malformed if %s isn't an object of the right values", (field) => {
    for (const value of ["1", "[]", '{"a":1}', '{"a":[]}']) {
      expect(decode(`{"id":1,"connect":{"${field}":${value}}}`)).toBeUndefined();
    }
  });

  it("reads an offset over 2^53-1 as 2^53-1, which no stream can recover", () => {
    for (const offset of ["9007199254740991", "9007199254740993", "18446744073709551615"]) {
      expect(subscribe(`"offset":${offset},"recover":true`)).toMatchObject([
        { request: { offset: Number.MAX_SAFE_INTEGER, recover: true } },
      ]);
    }
  });
});

describe("the limits of a JSON command", () => {
  const nested = (depth: number) => {
    // The command and its request are two levels.
    const data = "[".repeat(depth - 2) + "]".repeat(depth - 2);
    return decode(`{"id":1,"rpc":{"data":${data}}}`);
  };

  it("allow a payload of some depth, and none that is deeper", () => {
    expect(nested(MAX_JSON_DEPTH)).toHaveLength(1);
    expect(nested(MAX_JSON_DEPTH + 1)).toBeUndefined();
    expect(decode('{"a":'.repeat(1_000_000))).toBeUndefined();
  });

  const deepFilter = (depth: number): string => (depth === 1 ? "{}" : `{"nodes":[${deepFilter(depth - 1)}]}`);

  it.each([
    ["depth", MAX_FILTER_DEPTH, deepFilter],
    ["nodes", MAX_FILTER_NODES, (count: number) => `{"nodes":[${new Array(count - 1).fill("{}").join()}]}`],
    ["values", MAX_FILTER_VALUES, (count: number) => `{"vals":[${new Array(count).fill('""').join()}]}`],
  ])("allow a tag filter of some %s, and none with more", (_, limit, filter) => {
    expect(subscribe(`"tf":${filter(limit)}`)).toHaveLength(1);
    expect(subscribe(`"tf":${filter(limit + 1)}`)).toBeUndefined();
  });
});
