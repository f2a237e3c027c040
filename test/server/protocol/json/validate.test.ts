import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isJson } from "../../../../src/server/protocol/json/validate.ts";
import { MAX_JSON_DEPTH } from "../../../../src/server/protocol/limits.ts";

function parses(bytes: Buffer): boolean {
  try {
    JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes));
    return true;
  } catch {
    return false;
  }
}

describe("the check of JSON", () => {
  it.each([
    "1",
    "-0",
    "1.5e+10",
    "0.1E-2",
    '""',
    '"\\u00e9\\/\\b"',
    '"é \u2028"',
    "true",
    " [ ] ",
    "\r\n{\t}",
    '{"":[{},[],null,false]}',
    "[1,2 , 3]",
  ])("takes %j", (text) => {
    expect(isJson(Buffer.from(text))).toBe(true);
    expect(parses(Buffer.from(text))).toBe(true);
  });

  it.each([
    "",
    " ",
    "01",
    "1.",
    ".5",
    "-",
    "+1",
    "1e",
    "1e+",
    "tru",
    "nulL",
    "NaN",
    '"',
    '"\\"',
    '"\\',
    '"\\u12g4"',
    '"\\u123',
    '"\\x"',
    '"\n"',
    '"\t"',
    "[",
    "[1",
    "[1,",
    "[1,]",
    "[,1]",
    "{",
    '{"a"',
    '{"a":',
    '{"a":1',
    '{"a":1,',
    '{"a":1,}',
    "{a:1}",
    "{1:1}",
    "1 2",
    "[]]",
    "\ufeff1",
    "\v1",
    "// 1",
  ])("refuses %j", (text) => {
    expect(isJson(Buffer.from(text))).toBe(false);
    expect(parses(Buffer.from(text))).toBe(false);
  });

  it("refuses bytes that aren't UTF-8", () => {
    expect(isJson(Buffer.from([0x22, 0xff, 0x22]))).toBe(false);
    expect(isJson(Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22]))).toBe(false);
  });

  it("takes what is as deep as a command may be, and nothing deeper", () => {
    const nested = (depth: number) => Buffer.from("[".repeat(depth) + "]".repeat(depth));
    expect(isJson(nested(MAX_JSON_DEPTH))).toBe(true);
    expect(isJson(nested(MAX_JSON_DEPTH + 1))).toBe(false);
    expect(isJson(Buffer.from('{"a":'.repeat(100_000)))).toBe(false);
  });

  it("agrees with JSON.parse on JSON that was changed anywhere", () => {
    const bytes = fc.constantFrom(...Buffer.from('"\\{}[],:0123456789.eE+-tfn u\n\t'), 0xc3, 0xff);
    const change = fc.record({ at: fc.nat(), byte: bytes, cut: fc.boolean() });
    fc.assert(
      fc.property(
        fc.json({ maxDepth: 3, stringUnit: "grapheme" }),
        fc.array(change, { maxLength: 3 }),
        (text, changes) => {
          let json = Buffer.from(text);
          for (const { at, byte, cut } of changes) {
            const index = at % (json.length + 1);
            const after = cut ? json.subarray(index + 1) : json.subarray(index);
            json = Buffer.concat([json.subarray(0, index), Buffer.of(byte), after]);
          }
          expect(isJson(json)).toBe(parses(json));
        },
      ),
      { numRuns: 5_000 },
    );
  });
});
