import fc from "fast-check";
import { expect, it } from "vitest";
import { compileGlob, MAX_GLOB_LENGTH } from "../../../src/server/channels/glob.ts";

it.each([
  { pattern: "", yes: ["", "a"], no: [] },
  { pattern: "*", yes: ["", "a:b"], no: [] },
  { pattern: "news", yes: ["news"], no: ["news2", "new", ""] },
  { pattern: "n?ws", yes: ["news", "nüws", "n😀ws"], no: ["nws", "neews"] },
  { pattern: "chat:*", yes: ["chat:", "chat:a:b"], no: ["chat", "xchat:a"] },
  { pattern: "*:*:end", yes: ["a:b:end", "::end", "a:end:end:end"], no: ["a:end", "a:b:end2"] },
  { pattern: "**a**", yes: ["a", "bab"], no: ["b"] },
  { pattern: "[abc]1", yes: ["a1", "c1"], no: ["d1", "1"] },
  { pattern: "[!a-c]1", yes: ["d1", "-1"], no: ["b1"] },
  { pattern: "[a-]", yes: ["a", "-"], no: ["b"] },
  { pattern: "{chat,news}:{a,b*}", yes: ["chat:a", "news:bcd"], no: ["chat:c", "chat"] },
  { pattern: "a{b,c{d,e}}", yes: ["ab", "acd", "ace"], no: ["ac", "a"] },
  { pattern: "a{,b}", yes: ["a", "ab"], no: ["abb"] },
  { pattern: "\\*\\{a\\}", yes: ["*{a}"], no: ["x{a}"] },
  { pattern: "[{]", yes: ["{"], no: ["["] },
])("$pattern", ({ pattern, yes, no }) => {
  const matches = compileGlob(pattern);
  for (const name of yes) expect(matches?.(name), name).toBe(true);
  for (const name of no) expect(matches?.(name), name).toBe(false);
});

it.each(["[a", "a\\", "{a", "a}", "{a,b}}", "x".repeat(MAX_GLOB_LENGTH + 1), "{a,b}".repeat(9)])(
  "refuses %s",
  (pattern) => {
    expect(compileGlob(pattern)).toBeUndefined();
  },
);

it("agrees with a regular expression, and takes any pattern", () => {
  const part = fc.constantFrom("a", "b", "*", "?", ".", "[ab]", "[!a]");
  const name = fc.array(fc.constantFrom("a", "b", "."), { maxLength: 12 }).map((all) => all.join(""));
  const source = (one: string) => ({ "*": "[^]*", "?": "[^]", ".": "\\.", "[!a]": "[^a]" })[one] ?? one;
  fc.assert(
    fc.property(fc.array(part, { minLength: 1, maxLength: 8 }), name, (parts, text) => {
      const regex = new RegExp(`^${parts.map(source).join("")}$`, "u");
      expect(compileGlob(parts.join(""))?.(text)).toBe(regex.test(text));
    }),
    { numRuns: 2_000 },
  );
  fc.assert(fc.property(fc.string(), fc.string(), (pattern, text) => void compileGlob(pattern)?.(text)));
});

it("matches a hostile pattern in time", () => {
  const matches = compileGlob("*a".repeat(500));
  const before = process.threadCpuUsage();
  expect(matches?.(`${"a".repeat(255)}b`)).toBe(false);
  const { user, system } = process.threadCpuUsage(before);
  expect(user + system).toBeLessThan(500_000);
});
