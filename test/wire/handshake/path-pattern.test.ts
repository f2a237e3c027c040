import fc from "fast-check";
import { expect, it } from "vitest";
import { compilePathPattern, compileToRegExp } from "../../../src/wire/handshake/path-pattern.ts";

const paths = [
  "/",
  "/chat",
  "/chat/",
  "/chat/blue",
  "/chat/blue/",
  "/chat/blue/green",
  "/Chat/blue",
  "/chat/a%2Fb%20c",
  "/one",
  "/one/two",
  "/files/",
  "/files/a/b",
  "/n/42",
  "/n/x",
  "/a.b",
  "/axb",
  "/n/42-7",
  "",
  "*",
  "/a$",
  "/%C3%A9",
];

const patterns = [
  "/",
  "/chat",
  "/chat/:room",
  "/:a/:b?",
  "/:a?",
  "/files/*",
  "*",
  "/n/:id(\\d+)",
  "/n/:id(\\d+)?",
  "/a.b",
  "/:a-:b",
  "/n/:from-:to",
  "/chat/:room/*",
  "/*/:b",
  "/a$",
  "/é",
];

it.each(patterns)("matches %s without URLPattern as with URLPattern", (pattern) => {
  const own = compileToRegExp(pattern);
  const standard = compilePathPattern(pattern);
  for (const path of paths) expect({ path, groups: own(path) }).toEqual({ path, groups: standard(path) });
});

it.each([...patterns, "/(\\d+)/:a", "/{a/}?b", "/:a+", "/:a(\\w*)/:b", "/:a([[a-z]--[c]]+)"])(
  "matches plain paths with %s as URLPattern does",
  (pattern) => {
    const compiled = compilePathPattern(pattern);
    const standard = new URLPattern({ pathname: pattern });
    const segment = fc.constantFrom("", "a", "b", "chat", "Chat", "n", "42", "files", "_-", "a-b");
    const path = fc.array(segment, { maxLength: 4 }).map((segments) => `/${segments.join("/")}`);
    fc.assert(
      fc.property(path, (path) => {
        expect({ path, groups: compiled(path) }).toEqual({
          path,
          groups: standard.exec({ pathname: path })?.pathname.groups,
        });
      }),
    );
  },
);

it.each(["/{a}?", "/(\\d+)", "/:", "/:a(", "/:a()", "/:a+", "/a?", "/:a/:a", "/**+", "/:a((b))"])(
  "refuses %s without URLPattern",
  (pattern) => {
    expect(() => compileToRegExp(pattern)).toThrow("not a path pattern");
  },
);
