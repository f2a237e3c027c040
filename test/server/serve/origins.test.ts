import { expect, it } from "vitest";
import { originsOf } from "../../../src/server/serve/origins.ts";

it.each([
  ["https://example.com", "example.com", true],
  ["https://example.com:8443", "Example.com:8443", true],
  ["https://example.com", "example.com:8443", false],
  ["https://evil.com", "example.com", false],
  ["null", "example.com", false],
  ["nonsense", "example.com", false],
  ["https://example.com", "[", false],
  // On the machine of a developer the page has a port of its own.
  ["http://localhost:3000", "localhost:8000", true],
  ["http://127.0.0.1:3000", "localhost:8000", true],
  ["http://localhost:3000", "[::1]:8000", true],
  ["http://localhost.evil.com", "localhost:8000", false],
  ["http://evil.com", "localhost:8000", false],
  ["http://localhost:3000", "example.com", false],
])("without a list, a page of %s at the server %s: %s", (origin, host, isAllowed) => {
  const origins = originsOf([]);
  if (typeof origins !== "function") throw new Error("without a list a function decides");
  expect(origins(origin, { headers: { host } } as never)).toBe(isAllowed);
});

it("lets all pages in for *, and leaves lists to the board", () => {
  expect(originsOf(["https://example.com", "*"])).toBeUndefined();
  expect(originsOf(["https://*.example.com"])).toEqual(["https://*.example.com"]);
});
