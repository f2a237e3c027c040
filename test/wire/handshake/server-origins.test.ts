import { expect, it } from "vitest";
import { checkHandshake } from "../../../src/wire/handshake/server.ts";
import { request } from "./requests.ts";

const origins = ["https://example.com", "http://localhost:3000"];

it.each([undefined, "https://anywhere.example", "null"])(
  "accepts the origin %s when no origins are configured",
  (origin) => {
    expect(checkHandshake(request({ origin }))).toMatchObject({ ok: true });
  },
);

it.each(["https://example.com", "HTTPS://Example.COM", "http://localhost:3000"])(
  "accepts the configured origin %s",
  (origin) => {
    expect(checkHandshake(request({ origin }), { origins })).toMatchObject({ ok: true });
  },
);

it("accepts a request without an origin, as programs send it", () => {
  expect(checkHandshake(request(), { origins })).toMatchObject({ ok: true });
});

it.each([
  "http://example.com",
  "https://example.com:8443",
  "https://example.com/",
  "https://sub.example.com",
  "https://example.com.evil.example",
  "https://evil-example.com",
  "https://example.com, https://evil.example",
  "null",
  "",
])("refuses the origin %j, which isn't a named one, with 403", (origin) => {
  expect(checkHandshake(request({ origin }), { origins })).toMatchObject({ ok: false, status: 403 });
});

it("refuses all pages when the list is empty", () => {
  expect(checkHandshake(request({ origin: "https://example.com" }), { origins: [] })).toMatchObject({ status: 403 });
});
