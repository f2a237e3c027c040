import { expect, it } from "vitest";
import { pathMatcher } from "../../../src/wire/handshake/path.ts";

it.each([
  { pattern: "/chat/:room", url: "/chat/blue", params: { room: "blue" } },
  { pattern: "/chat/:room", url: "/chat/blue?x=/chat/green", params: { room: "blue" } },
  { pattern: "/chat/:room", url: "/chat/a%2Fb%20c%C3%A9", params: { room: "a/b cé" } },
  { pattern: "/chat/:room", url: "http://example.com/chat/blue?x=1", params: { room: "blue" } },
  { pattern: "/:a/:b?", url: "/one", params: { a: "one" } },
  { pattern: "/:a/:b?", url: "/one/two", params: { a: "one", b: "two" } },
  { pattern: "/files/*", url: "/files/a/b", params: { 0: "a/b" } },
  { pattern: "/n/:id(\\d+)", url: "/n/42", params: { id: "42" } },
  { pattern: undefined, url: "/anything?at=all", params: {} },
  { pattern: "/", url: "/", params: {} },
])("matches $url with $pattern", ({ pattern, url, params }) => {
  expect(pathMatcher(pattern)({ url })).toEqual(params);
});

it.each([
  { pattern: "/chat/:room", url: "/chat" },
  { pattern: "/chat/:room", url: "/chat/" },
  { pattern: "/chat/:room", url: "/chat/blue/" },
  { pattern: "/chat/:room", url: "/chat/blue/green" },
  { pattern: "/chat/:room", url: "/Chat/blue" },
  { pattern: "/chat/:room", url: "/chat/%zz" },
  { pattern: "/chat/:room", url: "/chat/%E0%A4%A" },
  { pattern: "/chat/:room", url: "/chat/%ff" },
  { pattern: "/chat", url: "/?/chat" },
  { pattern: "/n/:id(\\d+)", url: "/n/x" },
  { pattern: "/chat", url: "*" },
  { pattern: "/chat", url: "" },
])("doesn't match $url with $pattern", ({ pattern, url }) => {
  expect(pathMatcher(pattern)({ url })).toBeUndefined();
});
