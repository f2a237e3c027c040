/** Faults and warnings of keys alone and of keys that depend on each other. */
import { generateKeyPairSync } from "node:crypto";
import { expect, it } from "vitest";
import { parseConfig } from "../../../src/server/config/load.ts";
import { ENOUGH, FILE, faultsOf, lines, parse, warningsOf } from "./support.ts";

const ED25519 = generateKeyPairSync("ed25519").publicKey.export({ type: "spki", format: "pem" }).toString();
const history = { history_size: 10, history_ttl: "1m" };

it("finds no fault and no warning in the smallest file", () => {
  expect(parse({})).toMatchObject({ kind: "ok", warnings: [], generated: [] });
});

it.each([
  // Values of keys.
  [{ shards: "4" }, 'shards: takes a whole number from 0 to 1024 without quotes, not "4"'],
  [{ shards: 1.5 }, "shards: takes a whole number from 0 to 1024, not 1.5"],
  [{ shards: [4] }, "shards: takes a whole number from 0 to 1024, not a list"],
  [{ http_server: { port: 65_536 } }, "http_server.port: takes a whole number from 0 to 65535, not 65536"],
  [{ client: { channel_limit: 0 } }, "client.channel_limit: takes a whole number from 1 to 1000000, not 0"],
  [{ sse: { enabled: "true" } }, 'sse.enabled: takes true or false without quotes, not "true"'],
  [{ sse: { enabled: 1 } }, "sse.enabled: takes true or false, not 1"],
  [{ log: { level: "warning" } }, 'log.level: takes "none", "error", "warn", "info" or "debug", not "warning"'],
  [{ node: { name: 5 } }, "node.name: takes text in quotes, not 5"],
  [{ sse: true }, "sse: takes an object, such as { … }, not a boolean"],
  [{ channel: { namespaces: {} } }, "channel.namespaces: takes a list, such as [{ … }], not an object"],
  [
    { channel: { namespaces: [{ name: "a b" }] } },
    'channel.namespaces[0].name: takes 2 to 250 letters, digits, -, _ or ., not "a b"',
  ],
  [
    { channel: { without_namespace: { allowed_delta_types: ["fossil", "xdelta"] } } },
    'channel.without_namespace.allowed_delta_types[1]: takes "fossil", not "xdelta"',
  ],
  [
    { channel: { without_namespace: { channel_regex: "[" } } },
    'channel.without_namespace.channel_regex: takes a regular expression of JavaScript (this one has a fault: Unterminated character class), not "["',
  ],
  [
    { client: { stale_close_delay: 10 } },
    'client.stale_close_delay: takes a duration with its unit in quotes, such as "300ms", "25s", "5m", "1h" or "30d", not 10',
  ],
  [{ client: { stale_close_delay: "0s" } }, 'client.stale_close_delay: takes at least "1ms", not "0s"'],
  [{ client: { ping_interval: "25d" } }, 'client.ping_interval: takes at most "24d", not "25d"'],
  [{ engine: { redis: { prefix: "{a}" } } }, 'engine.redis.prefix: takes 1 to 100 bytes without braces, not "{a}"'],
  [
    { http_api: { handler_prefix: "api" } },
    'http_api.handler_prefix: takes a path of letters, digits, -, _, . and ~ that doesn\'t end with /, such as "/api", not "api"',
  ],
  [
    { client: { token: { rsa_public_key: "-----BEGIN" } } },
    "client.token.rsa_public_key: takes an RSA key of 2048 bits or more in PEM, which begins with -----BEGIN PUBLIC KEY-----, not these 10 characters",
  ],
  [
    { client: { token: { ecdsa_public_key: ED25519 } } },
    expect.stringMatching(/^client\.token\.ecdsa_public_key: takes an ECDSA key of P-256, P-384 or P-521, not /),
  ],
  [
    { client: { proxy: { connect: { http_headers: ["cookie", "x y"] } } } },
    'client.proxy.connect.http_headers[1]: takes names of headers, such as "X-Key", not "x y"',
  ],
  [
    { rpc: { proxy: { emulated_headers: ["a\n"] } } },
    'rpc.proxy.emulated_headers[0]: takes names of headers, such as "X-Key", not "a\\n"',
  ],
  [
    { hooks: { disconnect: { http: { static_headers: { "x-key": "a", "x y": "secret" } } } } },
    'hooks.disconnect.http.static_headers: takes names of headers, such as "X-Key", and "x y" can\'t be one',
  ],
  [
    { channel: { proxy: { publish: { http: { static_headers: { "x-key": "se\ncret" } } } } } },
    'channel.proxy.publish.http.static_headers: takes values that can stand in a header: no line breaks, no characters beyond Latin-1, and that of "x-key" can\'t',
  ],
  [
    { client: { allowed_origins: ["https://x.example", "htps://y"] } },
    'client.allowed_origins[1]: takes origins as browsers send them, such as "https://example.com", not "htps://y"',
  ],
  // Names of keys.
  [{ http_servr: {} }, "http_servr: there is no such key; did you mean http_server?"],
  [
    { client: { token: { hmac_secret_kee: "x" } } },
    "client.token.hmac_secret_kee: there is no such key; did you mean hmac_secret_key?",
  ],
  [{ allowed_origins: ["*"] }, "allowed_origins: there is no such key; did you mean client.allowed_origins?"],
  [{ zzz: 1 }, "zzz: there is no such key"],
  // Notifications pass nothing of a client's request on: such a key would have no effect.
  [
    { hooks: { disconnect: { http_headers: ["cookie"] } } },
    expect.stringMatching(/^hooks\.disconnect\.http_headers: there is no such key/),
  ],
  [
    { hooks: { occupancy: { binary_encoding: true } } },
    expect.stringMatching(/^hooks\.occupancy\.binary_encoding: there is no such key/),
  ],
  [
    { hooks: { cache_miss: { include_connection_meta: true } } },
    expect.stringMatching(/^hooks\.cache_miss\.include_connection_meta: there is no such key/),
  ],
  [{ "a\u001b[31m": 1 }, '"a\\u001b[31m": there is no such key'],
  [{ consumers: [] }, "consumers: is a key of Centrifugo that means nothing here: remove it"],
  [
    { channel: { namespaces: [{ name: "aa", subscribe_proxy_name: "x" }] } },
    "channel.namespaces[0].subscribe_proxy_name: is a key of Centrifugo that means nothing here: remove it",
  ],
  [
    { client: { proxy: { connect: { grpc: {} } } } },
    "client.proxy.connect.grpc: is a key of Centrifugo that means nothing here: remove it",
  ],
  // Keys that depend on each other.
  [
    { http_server: { internal_port: 8000 } },
    "http_server.internal_port: is the port of clients: leave it out to serve both on one port",
  ],
  [
    { http_server: { trusted_proxies: ["10.0.0.0/8", "unix:", "::1", "proxy.example"] } },
    'http_server.trusted_proxies: takes addresses, networks such as "10.0.0.0/8" and "unix:", not "proxy.example"',
  ],
  [
    { shutdown: { readiness_delay: "30s" } },
    "shutdown.readiness_delay: is as long as shutdown.timeout or longer: no time is left for clients",
  ],
  [
    { http_server: { tls: { enabled: true, cert_pem: "/c" } } },
    "http_server.tls.key_pem: is missing: tls.enabled needs the path of a file",
  ],
  [
    { http_api: { key: "" } },
    "http_api.key: is missing: write a long random text (switchboard config init makes one), or set http_api.disabled",
  ],
  [
    { prometheus: { enabled: true, handler_prefix: "/health" } },
    "prometheus.handler_prefix: is the path of health.handler_prefix as well: choose another one",
  ],
  [{ http_api: { handler_prefix: "" } }, 'http_api.handler_prefix: takes a path, such as "/api"'],
  [
    { engine: { type: "redis", redis: { address: "" } } },
    'engine.redis.address: takes a URL, such as "redis://127.0.0.1:6379"',
  ],
  [{ client: { pong_timeout: "25s" } }, "client.pong_timeout: has to be shorter than client.ping_interval"],
  [
    { client: { allowed_origins: ["https://a.example", "b.example"] } },
    'client.allowed_origins[1]: takes origins as browsers send them, such as "https://example.com", not "b.example"',
  ],
  [
    { client: { subscribe_to_user_personal_channel: { enabled: true, personal_channel_namespace: "user" } } },
    'client.subscribe_to_user_personal_channel.personal_channel_namespace: names the namespace "user", which channel.namespaces doesn\'t have',
  ],
  [
    { client: { subscription_token: { enabled: true } } },
    "client.subscription_token.enabled: needs a key beside it, such as hmac_secret_key",
  ],
  [
    { client: { token: { hmac_secret_key: "", jwks_public_endpoint: "http://u:p@a/jwks" } } },
    "client.token.jwks_public_endpoint: takes a URL without a user and a password",
  ],
  [
    { client: { proxy: { connect: { enabled: true } } } },
    "client.proxy.connect.endpoint: is missing: client.proxy.connect.enabled needs the URL of the application",
  ],
  [
    { rpc: { without_namespace: { proxy_enabled: true } } },
    "rpc.proxy.endpoint: is missing: rpc.without_namespace.proxy_enabled needs the URL of the application",
  ],
  [
    { channel: { namespaces: [{ name: "aa", subscribe_proxy_enabled: true }] } },
    "channel.namespaces[0].subscribe_proxy_enabled: needs channel.proxy.subscribe.endpoint",
  ],
  [
    { channel: { without_namespace: { occupancy_hooks_enabled: true } } },
    "channel.without_namespace.occupancy_hooks_enabled: needs hooks.occupancy.endpoint",
  ],
  [
    { channel: { namespaces: [{ name: "aa" }, { name: "bb" }, { name: "aa" }] } },
    "channel.namespaces[2].name: is the name of channel.namespaces[0] as well",
  ],
  [
    { channel: { namespaces: Array.from({ length: 500 }, (_, at) => ({ name: `n${at}` })) } },
    "channel.namespaces: holds 500 namespaces: at most 499 are allowed",
  ],
  [
    { channel: { namespaces: [{ presence: true }] } },
    "channel.namespaces[0].name: is missing: each namespace needs a name",
  ],
  [
    { channel: { without_namespace: { history_size: 10 } } },
    'channel.without_namespace.history_size: needs history_ttl, such as "300s"',
  ],
  [
    { channel: { without_namespace: { history_ttl: "1m" } } },
    "channel.without_namespace.history_ttl: needs history_size, such as 100",
  ],
  [
    { channel: { without_namespace: { ...history, history_meta_ttl: "30s" } } },
    "channel.without_namespace.history_ttl: has to be at most channel.without_namespace.history_meta_ttl",
  ],
  [
    { channel: { history_meta_ttl: "30s", without_namespace: history } },
    "channel.without_namespace.history_ttl: has to be at most channel.history_meta_ttl",
  ],
  [
    { channel: { without_namespace: { force_recovery: true } } },
    "channel.without_namespace.force_recovery: needs history_size and history_ttl",
  ],
  [
    { channel: { without_namespace: { force_positioning: true } } },
    "channel.without_namespace.force_positioning: needs history_size and history_ttl",
  ],
  [
    { channel: { without_namespace: { join_leave: true } } },
    "channel.without_namespace.join_leave: needs presence: true",
  ],
  [
    { channel: { without_namespace: { ...history, force_recovery: true, auto_cache_recover: true } } },
    'channel.without_namespace.auto_cache_recover: needs force_recovery: true and force_recovery_mode: "cache"',
  ],
])("refuses %j", (more, fault) => {
  expect(faultsOf(more)).toEqual([fault]);
});

it.each([
  [{ client: { insecure: true } }, "client.insecure: is on: anybody may connect, subscribe and publish"],
  [
    { client: { allowed_origins: ["*"] } },
    'client.allowed_origins: holds "*": pages of any site may connect in the name of their visitors',
  ],
  [
    { http_api: { insecure: true } },
    "http_api.insecure: is on: whoever reaches the API may publish, disconnect and read",
  ],
  [{ http_api: { key: "short" } }, "http_api.key: has 5 characters only: at least 16 are hard to guess"],
  [
    { client: { token: { hmac_secret_key: "secret" } } },
    "client.token.hmac_secret_key: has 6 characters only: at least 32 can't be guessed from a token",
  ],
  [
    { client: { token: { hmac_secret_key: "" } } },
    "client.token.hmac_secret_key: is missing, so no client can connect: set it, or client.proxy.connect, or client.insecure for development",
  ],
  [
    { client: { token: { jwks_public_endpoint: "https://a/jwks" } } },
    "client.token.hmac_secret_key: has no effect: the keys of jwks_public_endpoint take its place",
  ],
  [
    { engine: { redis: { address: "redis://127.0.0.1:7000" } } },
    'engine.redis.address: has no effect: engine.type is "memory"',
  ],
  [
    { client: { proxy: { refresh: { endpoint: "http://a/b" } } } },
    "client.proxy.refresh.endpoint: has no effect: set client.proxy.refresh.enabled",
  ],
  [
    { channel: { proxy: { publish: { endpoint: "http://a/b" } } } },
    "channel.proxy.publish.endpoint: has no effect: set publish_proxy_enabled in a namespace",
  ],
  [
    { channel: { without_namespace: { allow_recovery: true } } },
    "channel.without_namespace.allow_recovery: has no effect without history_size and history_ttl",
  ],
  [
    { channel: { without_namespace: { allow_presence_for_subscriber: true } } },
    "channel.without_namespace.allow_presence_for_subscriber: has no effect without presence",
  ],
  [
    { channel: { without_namespace: { presence: true, force_push_join_leave: true } } },
    "channel.without_namespace.force_push_join_leave: has no effect without join_leave",
  ],
])("warns of %j", (more, warning) => {
  expect(warningsOf(more)).toEqual([warning]);
  expect(parse(more).kind).toBe("ok");
});

it("tells all faults at once, in the order of the file, with lines and columns", () => {
  const text = `{
  // Comments are allowed.
  "http_server": { "port": 80000, },
  "client": {
    "token": { "hmac_secret_kee": "do not show me" },
    "pong_timeout": "1h"
  },
  "channel": {
    "namespaces": [
      { "name": "aa", "join_leave": true },
      { "name": "aa", "presense": true, "join_leave": true }
    ]
  }
}`;
  const loaded = parseConfig(text, { file: FILE });
  expect(loaded.kind === "faults" && lines(loaded.faults)).toEqual([
    "switchboard.json: http_api.key: is missing: write a long random text (switchboard config init makes one), or set http_api.disabled",
    "switchboard.json:3:28: http_server.port: takes a whole number from 0 to 65535, not 80000",
    "switchboard.json:5:16: client.token.hmac_secret_kee: there is no such key; did you mean hmac_secret_key?",
    "switchboard.json:6:5: client.pong_timeout: has to be shorter than client.ping_interval",
    "switchboard.json:10:23: channel.namespaces[0].join_leave: needs presence: true",
    "switchboard.json:11:9: channel.namespaces[1].name: is the name of channel.namespaces[0] as well",
    "switchboard.json:11:23: channel.namespaces[1].presense: there is no such key; did you mean presence?",
  ]);
});

it("tells all faults of a list, and of an object of headers", () => {
  const static_headers = { "a b": "1", ok: "2", c: 3, d: "\n" };
  const faults = faultsOf({
    http_server: { trusted_proxies: ["a.example", "::1", "b.example"] },
    client: { allowed_origins: ["htps://x", "https://y.example", 5] },
    hooks: { disconnect: { http: { static_headers } } },
  });
  expect(faults.map((fault) => fault.replace(/ takes .* (not|that of) /, " … "))).toEqual([
    'client.allowed_origins[0]: … "htps://x"',
    "client.allowed_origins[2]: … 5",
    'http_server.trusted_proxies: … "a.example"',
    'http_server.trusted_proxies: … "b.example"',
    'hooks.disconnect.http.static_headers: takes names of headers, such as "X-Key", and "a b" can\'t be one',
    'hooks.disconnect.http.static_headers: … "c" isn\'t',
    'hooks.disconnect.http.static_headers: … "d" can\'t',
  ]);
});

it("draws no conclusion from a key whose value isn't known", () => {
  expect(faultsOf({ channel: { without_namespace: { history_size: 5, history_ttl: "5 minutes" } } })).toEqual([
    expect.stringMatching(/^channel\.without_namespace\.history_ttl: takes a duration/),
  ]);
  expect(faultsOf({ http_api: { key: 5 } })).toEqual(["http_api.key: takes text in quotes, not a number"]);
});

it.each([
  ["", ["1:1: isn't JSON: a value is missing"]],
  ["[]", ["1:1: takes an object, such as { … }, not a list"]],
  ["http_server: 5", ["1:1: isn't JSON: text and names stand in double quotes"]],
  ['{\n"shards" 5\n}', ["2:10: isn't JSON: a colon is missing"]],
  [
    '{\r\n"shards": 5\r\n"node": 7}',
    ["3:1: isn't JSON: a comma is missing", "3:9: node: takes an object, such as { … }, not a number"],
  ],
  ['{"shards": 1, "shards": 2}', ["1:15: shards: stands here a second time: leave out one of them"]],
  ["[".repeat(100_000), ["has too many objects or lists in each other"]],
])("reads as much of %j as it can", (text, expected) => {
  const loaded = parseConfig(text, { file: FILE, env: { SWITCHBOARD_HTTP_API_KEY: ENOUGH.http_api.key } });
  expect(
    loaded.kind === "faults" && lines(loaded.faults).map((line) => line.replace(/^switchboard\.json:\s?/, "")),
  ).toEqual(expected);
});
