import fc from "fast-check";
import { expect, it } from "vitest";
import { jsonText, membersOf } from "../../../src/server/hooks/raw-json.ts";

const members = (text: string) => {
  const found = membersOf(text);
  return found === undefined ? undefined : Object.fromEntries(found);
};

it.each([
  ["{}", {}],
  ["{ }", {}],
  ["[]", {}],
  ["[ ]", {}],
  ['{"a":1.0}', { a: "1.0" }],
  [
    '{"a":123456789012345678901234567890, "b" : [1, {"c":","}] }',
    { a: "123456789012345678901234567890", b: '[1, {"c":","}]' },
  ],
  [String.raw`{"a\"}":"\\","b":"}"}`, { 'a"}': String.raw`"\\"`, b: '"}"' }],
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
      const found = membersOf(jsonText(Buffer.from(text)) ?? "") ?? new Map();
      expect([...found.keys()]).toEqual(Object.keys(JSON.parse(text)));
      for (const [name, raw] of found) expect(JSON.parse(raw)).toEqual(JSON.parse(text)[name]);
    }),
  );
});

it("takes line breaks between tokens out", () => {
  expect(jsonText(Buffer.from('{\n"a":\r\n"\\n"}\n'))).toBe('{"a":"\\n"}');
});

it.each(["", "{", "nul", '{"a":1}{', '"\n"'])("takes %j for no JSON", (text) => {
  expect(jsonText(Buffer.from(text))).toBeUndefined();
});

it("takes bytes that aren't UTF-8 for no JSON", () => {
  expect(jsonText(Buffer.from([0x22, 0xff, 0x22]))).toBeUndefined();
});

it("bears any depth", () => {
  const deep = "[".repeat(500_000) + "]".repeat(500_000);
  expect(membersOf(jsonText(Buffer.from(`{"a":${deep}}`)) ?? "")?.get("a")).toBe(deep);
});
