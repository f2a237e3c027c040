import { expect, it } from "vitest";
import { ConnectionRequest, requestHeadersOf } from "../../../../src/runtime/actor/context/connection-request.ts";

it.each<[string, [string, string][]]>([
  ["/", []],
  ["/?", []],
  [
    "/chat?a=1&a=2&b=x%20y+z",
    [
      ["a", "1"],
      ["a", "2"],
      ["b", "x y z"],
    ],
  ],
  ["/chat?a=b?c", [["a", "b?c"]]],
  ["http://example.com/chat?a=1", [["a", "1"]]],
])("reads the query of %s", (url, query) => {
  const request = new ConnectionRequest({ url }, undefined);
  expect([...request.query]).toEqual(query);
  expect(request.query).toBe(request.query);
  expect(request.url).toBe(url);
});

it.each([
  { told: undefined, remote: "::ffff:192.0.2.1", client: "192.0.2.1" },
  { told: undefined, remote: undefined, client: undefined },
  { told: "198.51.100.7", remote: "192.0.2.1", client: "198.51.100.7" },
  { told: "198.51.100.7", remote: undefined, client: "198.51.100.7" },
])("gives the client $client for the peer $remote when proxies name $told", ({ told, remote, client }) => {
  const request = new ConnectionRequest({ url: "/", clientAddress: told }, remote);
  expect(request.clientAddress).toBe(client);
  expect(request.remoteAddress).toBe(remote);
});

it("returns the headers that were kept, and says how to keep some if none were", () => {
  expect(new ConnectionRequest({ url: "/", headers: { cookie: "a=1" } }, undefined).headers).toEqual({ cookie: "a=1" });
  expect(() => new ConnectionRequest({ url: "/" }, undefined).headers).toThrow(
    expect.objectContaining({ code: "ERR_REQUEST_HEADERS", message: expect.stringContaining("static requestHeaders") }),
  );
});

it.each([
  { requestHeaders: undefined, names: [] },
  { requestHeaders: [], names: [] },
  { requestHeaders: ["User-Agent", "cookie", "user-agent"], names: ["user-agent", "cookie"] },
])("reads the headers that a class asks for: $requestHeaders", ({ requestHeaders, names }) => {
  const asking = requestHeaders === undefined ? class {} : Object.assign(class {}, { requestHeaders });
  expect(requestHeadersOf(asking)).toEqual(names);
});

it.each([[null], ["cookie"], [true], [["a b"]], [[""]], [[5]], [["cookie", undefined]]])(
  "refuses %j for the headers that a class asks for",
  (requestHeaders) => {
    expect(() => requestHeadersOf(Object.assign(class {}, { requestHeaders }))).toThrow(
      expect.objectContaining({ kind: "configuration", code: "ERR_REQUEST_HEADERS" }),
    );
  },
);
