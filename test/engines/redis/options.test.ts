/** What `redis()` takes, and what it says of wrong options: by name, and without secrets. */
import { describe, expect, it } from "vitest";
import { type RedisOptions, redis } from "../../../src/engines/redis/index.ts";
import { checkRedisOptions } from "../../../src/engines/redis/options.ts";
import { namesIn, readReadme, tableAfter } from "../../support/readme.ts";

const URL = "redis://127.0.0.1";
const SECRET = "s3cr3t";

const wrong = (options: unknown): Error & { code?: unknown } => {
  try {
    redis(options as RedisOptions);
  } catch (error) {
    return error as Error;
  }
  throw new Error(`it takes ${JSON.stringify(options)}`);
};

describe("redis()", () => {
  it.each<[unknown, string]>([
    [undefined, "redis takes an object of options"],
    [{}, "exactly one of url, sentinel and cluster, got none"],
    [{ url: URL, cluster: { nodes: [{ host: "a" }] } }, "got url and cluster"],
    [{ url: URL, urls: 1 }, 'unknown option "urls"'],
    [{ url: 1 }, "url takes a string"],
    [{ url: "http://a" }, "url takes redis://host:port or rediss://host:port"],
    [{ url: "redis://" }, "url takes redis://"],
    [{ url: `${URL}/first` }, "url has a path that is no number of a database"],
    [{ url: "redis://a:%zz@b" }, "url has a user or a password with a wrong percent sign"],
    [{ url: URL, prefix: "a{b}" }, "prefix takes a string of 1 to 100 bytes without braces"],
    [{ url: URL, prefix: "" }, "prefix takes"],
    [{ url: URL, connectTimeoutMs: 0 }, "connectTimeoutMs takes an integer from 1"],
    [{ url: URL, commandTimeoutMs: 1.5 }, "commandTimeoutMs takes an integer"],
    [{ url: URL, probeIntervalMs: "1" }, "probeIntervalMs takes an integer"],
    [{ url: URL, nodeTtlMs: 99 }, "nodeTtlMs takes an integer from 100"],
    [{ url: URL, presenceTtlMs: 2 ** 31 }, "presenceTtlMs takes an integer"],
    [{ url: URL, waitForStart: 1 }, "waitForStart takes true or false"],
    [{ url: URL, tls: "yes" }, "tls takes true, false or an object"],
    [{ sentinel: { nodes: [{ host: "a" }] } }, "redis.sentinel: name takes"],
    [{ sentinel: { name: "m" } }, "redis.sentinel: nodes takes an array"],
    [{ sentinel: { name: "m", nodes: [] } }, "redis.sentinel: nodes takes an array of one or more"],
    [{ sentinel: { name: "m", nodes: [{ port: 1 }] } }, "redis.sentinel.nodes[0]: host takes"],
    [{ sentinel: { name: "m", nodes: [{ host: "a", port: 0 }] } }, "redis.sentinel.nodes[0]: port takes"],
    [{ cluster: { nodes: [{ host: "a" }], natMap: {} } }, 'redis.cluster: unknown option "natMap"'],
    [{ cluster: {} }, "redis.cluster: nodes takes an array"],
  ])("refuses %j: %s", (options, message) => {
    expect(wrong(options)).toMatchObject({ code: "ERR_OPTION", message: expect.stringContaining(message) });
  });

  it.each([
    { url: `redis://user:${SECRET}@a:b:c` },
    { url: `http://user:${SECRET}@host` },
    { url: `redis://user:${SECRET}@host/x` },
    { url: `redis://user:%${SECRET}@host` },
    { url: URL, username: SECRET, password: { value: SECRET } },
    { url: URL, password: SECRET, prefix: "" },
    { sentinel: { name: "m", password: SECRET, nodes: SECRET } },
    { url: URL, tls: SECRET },
  ])("says no secret of %j", (options) => {
    const error = wrong(options);
    expect([error.message, error.stack, JSON.stringify(error), String(error.cause)].join()).not.toContain(SECRET);
  });

  it("takes an URL apart", () => {
    expect(checkRedisOptions({ url: "rediss://an%40n:p%3Aw@[::1]:7000/3" })).toMatchObject({
      topology: { kind: "single", address: { host: "::1", port: 7_000 } },
      access: { username: "an@n", password: "p:w", tls: {}, database: 3 },
    });
    expect(checkRedisOptions({ url: URL, username: "u", password: "p" })).toMatchObject({
      topology: { kind: "single", address: { host: "127.0.0.1", port: 6_379 } },
      access: { username: "u", password: "p", tls: undefined, database: 0 },
    });
  });

  it("gives options that can be sent to the thread of the engine", () => {
    const spec = redis({ sentinel: { name: "m", nodes: [{ host: "a" }] }, tls: { ca: "pem" } });
    expect(structuredClone(spec)).toEqual(spec);
    expect(spec).toMatchObject({
      name: "redis",
      options: { topology: { kind: "sentinel", sentinels: [{ host: "a", port: 26_379 }] } },
    });
  });

  it("has a row in the README for each option", () => {
    const [, list = ""] = /the options are (.+)$/.exec(wrong({ no: 1 }).message) ?? [];
    const documented = namesIn(tableAfter(readReadme("src/engines/redis/README.md"), "## Options"));
    expect(documented.toSorted()).toEqual(list.split(", ").toSorted());
  });
});
