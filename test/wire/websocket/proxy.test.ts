import { describe, expect, it } from "vitest";
import { proxyFromEnvironment } from "../../../src/wire/websocket/proxy.ts";

const choose = (target: string, environment: Record<string, string>): string | undefined =>
  proxyFromEnvironment(new URL(target), environment)?.href;

describe("the proxy of the environment", () => {
  it.each<[string, Record<string, string>, string | undefined]>([
    ["http://a.example/", {}, undefined],
    ["http://a.example/", { HTTP_PROXY: "http://p:1" }, "http://p:1/"],
    ["https://a.example/", { HTTP_PROXY: "http://p:1" }, undefined],
    ["https://a.example/", { HTTPS_PROXY: "http://p:1" }, "http://p:1/"],
    ["http://a.example/", { HTTPS_PROXY: "http://p:1" }, undefined],
    ["http://a.example/", { ALL_PROXY: "http://p:1" }, "http://p:1/"],
    ["https://a.example/", { all_proxy: "http://p:1" }, "http://p:1/"],
    ["https://a.example/", { ALL_PROXY: "http://p:1", HTTPS_PROXY: "http://p:2" }, "http://p:2/"],
    ["http://a.example/", { HTTP_PROXY: "http://p:1", http_proxy: "http://p:2" }, "http://p:2/"],
    ["http://a.example/", { HTTP_PROXY: "p:1" }, "http://p:1/"],
    ["http://a.example/", { HTTP_PROXY: "me:pass@p:1" }, "http://me:pass@p:1/"],
    ["http://a.example/", { HTTP_PROXY: "" }, undefined],
  ])("for %s with %j is %s", (target, environment, expected) => {
    expect(choose(target, environment)).toBe(expected);
  });

  it.each([
    ["http://a.example/", "*", true],
    ["http://a.example/", "a.example", true],
    ["http://A.example/", "a.EXAMPLE", true],
    ["http://b.a.example/", "a.example", true],
    ["http://b.a.example/", ".a.example", true],
    ["http://b.a.example/", "*.a.example", true],
    ["http://ba.example/", "a.example", false],
    ["http://a.example/", "b.example, a.example", true],
    ["http://a.example/", "b.example a.example", true],
    ["http://a.example:8080/", "a.example:8080", true],
    ["http://a.example:8081/", "a.example:8080", false],
    ["http://a.example/", "a.example:80", true],
    ["https://a.example/", "a.example:443", true],
    ["http://127.0.0.1/", "127.0.0.1", true],
    ["http://[::1]/", "::1", true],
    ["http://[::1]:81/", "[::1]:81", true],
    ["http://[::1]/", "[::1]", true],
    ["http://a.example/", "", false],
    ["http://a.example/", ",", false],
  ])("is skipped for %s when NO_PROXY is %j: %s", (target, exemptions, spared) => {
    const environment = { ALL_PROXY: "http://p:1", NO_PROXY: exemptions };
    expect(choose(target, environment) === undefined).toBe(spared);
  });

  it.each(["socks5://p:1", "http://", "ftp://p"])("can't be %s", (proxy) => {
    expect(() => choose("http://a.example/", { HTTP_PROXY: proxy })).toThrow(
      expect.objectContaining({ code: "ERR_PROXY" }),
    );
  });
});
