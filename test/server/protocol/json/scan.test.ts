import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isDeeperThan, memberSpan } from "../../../../src/server/protocol/json/scan.ts";

const space = fc.constantFrom("", " ", "\t\r\n ");

/** Objects as text: keys repeat, stand with and without escapes, and space stands everywhere. */
const members = fc.array(fc.tuple(fc.constantFrom("data", "dat", "d", "", 'da"ta'), fc.json(), fc.boolean(), space));

function asText(all: readonly (readonly [string, string, boolean, string])[]): string {
  const written = all.map(([key, value, escaped, gap]) => {
    const name = escaped
      ? [...key].map((one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`).join("")
      : undefined;
    return `${gap}${name === undefined ? JSON.stringify(key) : `"${name}"`}${gap}:${gap}${value}${gap}`;
  });
  return `{${written.join(",")}}`;
}

function find(text: string, key: string): string | undefined {
  const bytes = Buffer.from(`x${text}y`);
  const span = memberSpan(bytes, { start: 1, end: bytes.length - 1 }, key);
  return span && bytes.toString("utf8", span.start, span.end);
}

describe("the value of a member", () => {
  it("is the text of the last member with the key", () => {
    fc.assert(
      fc.property(members, fc.constantFrom("data", 'da"ta', ""), (all, key) => {
        expect(find(asText(all), key)).toBe(all.findLast(([name]) => name === key)?.[1]);
      }),
      { numRuns: 2_000 },
    );
  });

  it("isn't found in deeper objects, strings or other values", () => {
    expect(find('{"a":{"data":1},"b":["data",{"data":2}],"c":"\\"data\\":3"}', "data")).toBeUndefined();
    expect(find("[1]", "data")).toBeUndefined();
    expect(find('"data"', "data")).toBeUndefined();
  });
});

describe("the depth of text", () => {
  const deeper = (text: string, depth: number) => isDeeperThan(Buffer.from(text), 0, Buffer.byteLength(text), depth);

  it.each([0, 2, 50])("is counted exactly: %i", (depth) => {
    const text = '{"a":['.repeat(depth / 2) + "]}".repeat(depth / 2);
    const padded = `${text}${" ".repeat(200)}`;
    expect(deeper(padded, depth)).toBe(false);
    expect(deeper(`[${padded}]`, depth)).toBe(true);
  });

  it("doesn't count brackets in strings", () => {
    expect(deeper(JSON.stringify({ a: '[[[[[[[[\\"[[[[[[[[' }), 1)).toBe(false);
  });
});
