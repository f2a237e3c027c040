import { describe, expect, it } from "vitest";
import { parseExtensions } from "../../../src/wire/handshake/extensions.ts";
import { checkHandshake } from "../../../src/wire/handshake/server.ts";
import { request } from "./requests.ts";

describe("a well-formed header", () => {
  it.each([
    ["a", [["a"]]],
    ["a, b", [["a"], ["b"]]],
    [" a\t,\tb ", [["a"], ["b"]]],
    [",a,,b,", [["a"], ["b"]]],
    ["a;x", [["a", ["x", true]]]],
    ["a; x; y=1", [["a", ["x", true], ["y", "1"]]]],
    ["a ;x = 1", [["a", ["x", "1"]]]],
    ['a; x="1"', [["a", ["x", "1"]]]],
    ['a; x="\\1\\2"', [["a", ["x", "12"]]]],
    ["a; x=1; x=2", [["a", ["x", "1"], ["x", "2"]]]],
    [
      "a; x=1, a; x=2",
      [
        ["a", ["x", "1"]],
        ["a", ["x", "2"]],
      ],
    ],
    ["permessage-deflate; client_max_window_bits", [["permessage-deflate", ["client_max_window_bits", true]]]],
  ])("is parsed: %s", (header, expected) => {
    expect(parseExtensions(header)?.map(({ name, parameters }) => [name, ...parameters])).toEqual(expected);
  });
});

const list = (count: number, separator: string): string =>
  Array.from({ length: count }, (_, i) => `x${i}`).join(separator);

describe("a malformed header", () => {
  it.each([
    "",
    ",",
    " , ",
    ";",
    "a;",
    "a;;x",
    ";x",
    "a b",
    "a; x y",
    "a; =1",
    "a; x=",
    "a; x==1",
    "a; x=1 2",
    "a=1",
    '"a"',
    'a; x="',
    'a; x="1',
    'a; x=1"',
    'a; x=""',
    'a; x="1,2"',
    'a; x="1;2"',
    'a; x="1 2"',
    'a; x="\\',
    'a; x="\\"',
    'a; x="1"2',
    'a; x=1"2"',
    'a; x="1""2"',
    'a; "x"=1',
    "é",
    "a; é",
    "a; x=é",
    "a/b",
    "a\u00a0",
    "a; x=(1)",
    "a\nb",
  ])("%j is refused", (header) => {
    expect(parseExtensions(header)).toBeUndefined();
    expect(checkHandshake(request({ "sec-websocket-extensions": header }))).toMatchObject({ ok: false, status: 400 });
  });
});

describe("a large header", () => {
  it("may list 32 extensions, or one of 32 parameters", () => {
    expect(parseExtensions(list(32, ","))).toHaveLength(32);
    expect(parseExtensions(`a;${list(32, ";")}`)?.[0]?.parameters).toHaveLength(32);
  });

  it.each([
    ["33 extensions", list(33, ",")],
    ["10,000 extensions", list(10_000, ",")],
    ["33 parameters", `a;${list(33, ";")}`],
    ["10,000 parameters", `a;${list(10_000, ";")}`],
    ["a value of 9,000 characters", `a;x=${"1".repeat(9_000)}`],
    ["a million quotes", '"'.repeat(1_000_000)],
    ["a million backslashes", `a;x="${"\\".repeat(1_000_000)}"`],
  ])("of %s is refused", (_name, header) => {
    expect(parseExtensions(header)).toBeUndefined();
  });
});
