import { expect, it } from "vitest";
import { SwitchboardError } from "../../../src/errors.ts";
import { checkOption } from "../../../src/wire/handshake/option-check.ts";
import { allowsOrigin, normalizeOrigins, type Origins, originsCheck } from "../../../src/wire/handshake/origins.ts";

/** The verdict of a list with this one member on an origin. */
function allows(member: string, origin: string): boolean {
  checkOption("attach", "origins", [member], originsCheck);
  return allowsOrigin(normalizeOrigins([member]), origin, {});
}

it.each([
  "https://example.com",
  "http://localhost:3000",
  "http://127.0.0.1:8080",
  "http://[::1]:8080",
  "https://xn--bcher-kva.example",
  "capacitor://localhost",
  "ionic://localhost",
  "tauri://localhost",
  "app://obsidian.md",
  "chrome-extension://aapbdbdomjkkjkaonfhkkikfgjllcleb",
  "moz-extension://2c127fa4-62c7-7e4f-90e5-472b45eecfdc",
  "vscode-webview://1n3v0b2e-3c4d.x_y",
  "null",
  "file://",
])("accepts %s if it is listed, in any case, and no other origin", (origin) => {
  expect(allows(origin, origin)).toBe(true);
  expect(allows(origin.toUpperCase(), origin)).toBe(true);
  expect(allows(origin, origin.toUpperCase())).toBe(true);
  for (const other of [`${origin}/`, `${origin}.evil.example`, `x${origin}`, "https://evil.example", ""]) {
    expect(allows(origin, other), other).toBe(false);
  }
});

it.each([
  "https://a.example.com",
  "https://a.b.example.com",
  "https://A.Example.COM",
  "https://xn--bcher-kva.example.com",
  "https://under_score.example.com",
])("accepts the subdomain %s for https://*.example.com", (origin) => {
  expect(allows("https://*.example.com", origin)).toBe(true);
});

it.each([
  "https://example.com",
  "https://.example.com",
  "https://evilexample.com",
  "https://example.com.evil.com",
  "https://a.example.com.evil.com",
  "https://a.example.com:8443",
  "https://a.example.com:443",
  "http://a.example.com",
  "https://a.example.com/",
  "https://evil.com/.example.com",
  "https://evil.com/a.example.com",
  "https://evil.com:1.example.com",
  "https://evil.com#.example.com",
  "https://evil.com?.example.com",
  "https://evil.com, https://a.example.com",
  "https://user@a.example.com",
  "https://a..example.com",
  "https://*.example.com",
  "https://a.example.com.",
  "https://a\n.example.com",
  "null",
  "",
])("refuses %j for https://*.example.com", (origin) => {
  expect(allows("https://*.example.com", origin)).toBe(false);
});

it("compares the port of a wildcard", () => {
  expect(allows("http://*.localhost:3000", "http://a.localhost:3000")).toBe(true);
  for (const other of ["http://a.localhost", "http://a.localhost:3001", "http://a.localhost:30000"]) {
    expect(allows("http://*.localhost:3000", other)).toBe(false);
  }
});

it("accepts every host of an app's scheme if the wildcard is the whole host", () => {
  expect(allows("moz-extension://*", "moz-extension://2c127fa4-62c7-7e4f-90e5-472b45eecfdc")).toBe(true);
  for (const other of ["moz-extension://", "chrome-extension://abc", "moz-extension://abc/x", "https://abc"]) {
    expect(allows("moz-extension://*", other)).toBe(false);
  }
});

it.each([
  ["example.com", 'has no scheme: write "https://example.com"'],
  ["*.example.com", "has no scheme"],
  ["//example.com", "has no scheme"],
  ["localhost:3000", "has no scheme"],
  ["", "has no scheme"],
  ["*", "leave origins out to let every page in"],
  ["https://example.com/", 'ends with a slash, as no Origin header does: write "https://example.com"'],
  ["capacitor://localhost/", 'ends with a slash, as no Origin header does: write "capacitor://localhost"'],
  ["file:///", 'write "file://"'],
  ["https://example.com/chat", "has a path or a query"],
  ["https://example.com//", "has a path or a query"],
  ["https://example.com?a", "has a path or a query"],
  ["file:///home", "has a path or a query"],
  ["https://user@example.com", "names a user"],
  ["wss://example.com", 'name the origin of the page, "https://example.com"'],
  ["ws://localhost:3000", '"http://localhost:3000"'],
  ["https://example.com:443", 'writes out the default port: write "https://example.com"'],
  ["http://*.example.com:80", 'writes out the default port: write "http://*.example.com"'],
  ["https://bücher.example", 'write "https://xn--bcher-kva.example"'],
  ["http://127.1", 'write "http://127.0.0.1"'],
  ["https://", "has no valid host"],
  ["https://exa mple.com", "has no valid host"],
  ["https://example.com:99999", "has no valid host and port"],
  ["tauri://", "has no host"],
  ["tauri://local host", "has a character"],
  ["https://*", "wildcard is in the wrong place"],
  ["https://*.", "wildcard is in the wrong place"],
  ["https://*.*.example.com", "wildcard is in the wrong place"],
  ["https://a.*.example.com", "wildcard is in the wrong place"],
  ["https://a*.example.com", "wildcard is in the wrong place"],
  ["https://*example.com", "wildcard is in the wrong place"],
  ["https://example.*", "wildcard is in the wrong place"],
  ["https://example.com:*", "wildcard is in the wrong place"],
  ["https://*.1.2.3", "has no valid host"],
  ["chrome-extension://abc*", 'only all of the host can be one, "chrome-extension://*"'],
  ["*://example.com", "has no scheme"],
])("names the fault of %j, and its position", (member, reason) => {
  const message = expect.stringContaining(reason);
  const act = (): void => checkOption("attach", "origins", ["https://good.example", member], originsCheck);
  expect(act).toThrow(expect.objectContaining({ code: "ERR_OPTION", message }));
  expect(act).toThrow(`got ${JSON.stringify(member)} at index 1, wh`);
});

it("calls a function with the origin as it was sent and with the request", () => {
  const request = {};
  const asked: unknown[] = [];
  const origins: Origins = (origin, given) => {
    asked.push(origin, given);
    return origin === "https://Yes.example";
  };
  expect(allowsOrigin(normalizeOrigins(origins), "https://Yes.example", request)).toBe(true);
  expect(allowsOrigin(origins, "https://yes.example", request)).toBe(false);
  expect(asked[0]).toBe("https://Yes.example");
  expect(asked[1]).toBe(request);
});

it.each<[string, () => unknown, string]>([
  ["a promise of true", () => Promise.resolve(true), "a promise"],
  ["a promise that rejects", () => Promise.reject(new Error("not awaited")), "a promise"],
  ["nothing", () => undefined, "undefined"],
  ["a string", () => "yes", "string"],
  ["1", () => 1, "number"],
])("never accepts %s as a yes from a function", (_, answer, gave) => {
  const act = (): boolean => allowsOrigin(answer as unknown as Origins, "https://a.example", {});
  expect(act).toThrow(SwitchboardError);
  expect(act).toThrow(`gave ${gave}: decide in authorize`);
});
