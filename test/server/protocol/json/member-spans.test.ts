import fc from "fast-check";
import { expect, it } from "vitest";
import { memberSpans } from "../../../../src/server/protocol/json/scan.ts";

/** The raw text of each member, by key. */
function members(text: string): Record<string, string> | undefined {
  const bytes = Buffer.from(text);
  const spans = memberSpans(bytes, { start: 0, end: bytes.length });
  if (spans === undefined) return undefined;
  return Object.fromEntries([...spans].map(([key, { start, end }]) => [key, bytes.toString("utf8", start, end)]));
}

it.each([
  ["{}", {}],
  [" { } ", {}],
  ['{"a":1.0}', { a: "1.0" }],
  [
    '{"a":123456789012345678901234567890, "b" : [1, {"c":","}] }',
    { a: "123456789012345678901234567890", b: '[1, {"c":","}]' },
  ],
  [String.raw`{"a\"}":"\\","b":"}"}`, { 'a"}': String.raw`"\\"`, b: '"}"' }],
  [String.raw`{"\u0061":1,"a":2}`, { a: "2" }],
  ["[1]", undefined],
  ["1", undefined],
  ['"{}"', undefined],
  ["null", undefined],
])("finds the members of %s", (text, expected) => {
  expect(members(text)).toEqual(expected);
});

it("finds the text of each member of any object", () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue()), fc.constantFrom(undefined, 1, "\t"), (object, space) => {
      const text = JSON.stringify(object, undefined, space);
      const found = members(text) ?? {};
      expect(Object.keys(found).toSorted()).toEqual(Object.keys(JSON.parse(text)).toSorted());
      for (const [name, raw] of Object.entries(found)) expect(JSON.parse(raw)).toEqual(JSON.parse(text)[name]);
    }),
  );
});
