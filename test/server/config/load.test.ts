/** Sources of the config, secrets, and the config that the server's parts get. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import fc from "fast-check";
import { expect, it, onTestFinished } from "vitest";
import { formatFault } from "../../../src/server/config/fault.ts";
import { freshFile } from "../../../src/server/config/fresh-file.ts";
import { loadConfig, parseConfig } from "../../../src/server/config/load.ts";
import { codeBlocks, readReadme } from "../../support/readme.ts";
import { configOf, FILE, faultsOf, lines, parse, warningsOf } from "./support.ts";

async function fileWith(text: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "switchboard-config-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const file = join(folder, "config.json");
  await writeFile(file, text);
  return file;
}

it("makes the secrets of a server without a file, whose API is then for this machine only", async () => {
  const loaded = await loadConfig();
  const { client, httpApi, httpServer } = configOf(loaded);
  expect(loaded).toMatchObject({
    warnings: [],
    generated: [
      { path: "client.token.hmac_secret_key", value: client.token.hmacSecretKey },
      { path: "http_api.key", value: httpApi.key },
    ],
  });
  expect(new Set([client.token.hmacSecretKey, httpApi.key, ""]).size).toBe(3);
  expect({ address: httpServer.address, loopbackOnly: httpApi.loopbackOnly }).toEqual({
    address: "",
    loopbackOnly: true,
  });
});

it.each([
  [{ SWITCHBOARD_HTTP_API_KEY: "0123456789abcdef" }, ["client.token.hmac_secret_key"], false],
  [{ SWITCHBOARD_HTTP_API_INSECURE: "true" }, ["client.token.hmac_secret_key"], false],
  [{ SWITCHBOARD_HTTP_API_DISABLED: "true", SWITCHBOARD_CLIENT_INSECURE: "true" }, [], false],
  [{ SWITCHBOARD_CLIENT_INSECURE: "true" }, ["http_api.key"], true],
  [{ SWITCHBOARD_CLIENT_INSECURE: "true", SWITCHBOARD_HTTP_API_LOOPBACK_ONLY: "false" }, ["http_api.key"], false],
])("with %j makes the secrets %j", (env, paths, loopbackOnly) => {
  const loaded = parseConfig("{}", { env });
  expect(loaded.kind === "ok" && loaded.generated.map(({ path }) => path)).toEqual(paths);
  expect(configOf(loaded).httpApi.loopbackOnly).toBe(loopbackOnly);
});

it("reads a file with comments, a byte order mark and commas at the end", async () => {
  const file = await fileWith('\uFEFF{\n// the key\n"http_api": { "key": "0123456789abcdef", },\n/* none */ }');
  expect(configOf(await loadConfig({ file })).httpApi.key).toBe("0123456789abcdef");
});

it("tells when there is no file", async () => {
  const file = join(tmpdir(), "no", "such", "file.json");
  const loaded = await loadConfig({ file });
  expect(loaded.kind === "faults" && loaded.faults.map((fault) => formatFault(fault, file))).toEqual([
    `${file}: can't be read: ENOENT: no such file or directory, open '${file}'`,
  ]);
});

it("lets flags count more than variables, and variables more than the file", () => {
  const text = '{ "http_server": { "port": 1, "address": "127.0.0.1" }, "shards": 1 }';
  const env = { SWITCHBOARD_HTTP_SERVER_PORT: "2", SWITCHBOARD_SHARDS: "2", SWITCHBOARD_HTTP_API_DISABLED: "true" };
  const flags = { "http_server.port": { flag: "--port", value: "3" } };
  const { httpServer, shards } = configOf(parseConfig(text, { file: FILE, env, flags }));
  expect({ ...httpServer, shards }).toMatchObject({ address: "127.0.0.1", port: 3, shards: 2 });
  const wrong = parseConfig(text, { file: FILE, env, flags: { "http_server.port": { flag: "--port", value: "80x" } } });
  expect(wrong.kind === "faults" && lines(wrong.faults)).toEqual([
    '--port: http_server.port: takes a whole number from 0 to 65535, not "80x"',
  ]);
});

it("names the variable with a fault, also inside namespaces", () => {
  const env = { SWITCHBOARD_SHARDS: "many", SWITCHBOARD_CHANNEL_NAMESPACES: '[{ "name": "aa", "presense": true }]' };
  const loaded = parse({}, env);
  expect(loaded.kind === "faults" && lines(loaded.faults)).toEqual([
    "SWITCHBOARD_CHANNEL_NAMESPACES: channel.namespaces[0].presense: there is no such key; did you mean presence?",
    'SWITCHBOARD_SHARDS: shards: takes a whole number from 0 to 1024, not "many"',
  ]);
  expect(faultsOf({}, { SWITCHBOARD_CHANNEL_NAMESPACES: "chat news" })).toEqual([
    "channel.namespaces: isn't JSON: text and names stand in double quotes",
  ]);
});

it("takes namespaces and lists from variables", () => {
  const { channel, client } = configOf(
    parse(
      { channel: { namespaces: [{ name: "of_the_file" }] } },
      {
        SWITCHBOARD_CHANNEL_NAMESPACES: '[{ "name": "chat", "presence": true }]',
        SWITCHBOARD_CLIENT_ALLOWED_ORIGINS: "https://a.example https://b.example",
      },
    ),
  );
  expect(channel.namespaces).toMatchObject([{ name: "chat", presence: true }]);
  expect(client.allowedOrigins).toEqual(["https://a.example", "https://b.example"]);
});

it("warns of variables that belong to no key, but not of those of Kubernetes, of switchboard run and empty ones", () => {
  expect(
    warningsOf(
      {},
      {
        SWITCHBOARD_CLIENT_INSECUR: "true",
        SWITCHBOARD_CHANNEL_NAMESPACES_CHAT_PRESENCE: "true",
        SWITCHBOARD_PORT_8000_TCP_ADDR: "10.0.0.1",
        SWITCHBOARD_SERVICE_HOST: "10.0.0.1",
        SWITCHBOARD_SUPERVISOR: "1:42",
        SWITCHBOARD_SHARDS: "",
        OTHER: "x",
      },
    ),
  ).toEqual([
    ": no key has this variable, and it has no effect; did you mean SWITCHBOARD_CLIENT_INSECURE?",
    ": no key has this variable, and it has no effect; did you mean SWITCHBOARD_CHANNEL_NAMESPACES?",
  ]);
});

it("gives the config that the server's parts want", () => {
  const more = {
    http_server: { address: "10.0.0.1", tls: { enabled: true, cert_pem: "/cert", key_pem: "/key" } },
    client: {
      ping_interval: "1m30s",
      history_max_publication_limit: 7,
      subscription_token: { enabled: true, hmac_secret_key: "x".repeat(32) },
      proxy: { connect: { enabled: true, endpoint: "http://app/connect", http: { static_headers: { a: "b" } } } },
    },
    channel: {
      history_meta_ttl: "2h",
      namespaces: [{ name: "aa", history_size: 5, history_ttl: "1m", slow_consumer_policy: "conflate" }],
    },
    engine: { type: "redis", redis: { address: "cache.example:7000", user: "u@", password: "p/:", db: 3 } },
  };
  const config = configOf(parse(more));
  expect(config).toMatchObject({
    httpServer: { port: 8000, internalAddress: "10.0.0.1", tls: { certFile: "/cert", keyFile: "/key" } },
    client: { pingIntervalMs: 90_000, subscriptionToken: { hmacSecretKey: "x".repeat(32), userIdClaim: "sub" } },
    channel: {
      historyMaxPublicationLimit: 7,
      withoutNamespace: { historyMetaTtlMs: 7_200_000, slowConsumerPolicy: undefined },
      namespaces: [{ name: "aa", historySize: 5, historyTtlMs: 60_000, slowConsumerPolicy: "conflate" }],
    },
    proxy: {
      connect: { enabled: true, endpoint: "http://app/connect", timeoutMs: 1000, staticHttpHeaders: { a: "b" } },
      subscribe: { enabled: false },
    },
    engine: { type: "redis", redis: { address: "redis://u%40:p%2F%3A@cache.example:7000/3", prefix: "switchboard" } },
  });
  expect(configOf(parse({}))).toMatchObject({
    httpServer: { tls: undefined },
    client: { subscriptionToken: undefined },
  });
  // The config goes to other threads.
  expect(structuredClone(config)).toEqual(config);
});

const SECRET = "Th1s-must-stay-hidden-from-all-eyes!";

it("shows no secret when a config is logged", () => {
  const config = configOf(
    parse({
      client: {
        token: {
          hmac_secret_key: SECRET,
          hmac_previous_secret_key: SECRET,
          jwks_public_endpoint: `http://a/${SECRET}`,
        },
        subscription_token: { enabled: true, hmac_secret_key: SECRET },
        proxy: {
          connect: { enabled: true, endpoint: `http://u:${SECRET}@a`, http: { static_headers: { a: SECRET } } },
        },
      },
      hooks: { secret: SECRET },
      http_api: { key: SECRET },
      engine: { type: "redis", redis: { password: SECRET } },
    }),
  );
  const logs = [inspect(config, { depth: 10 }), JSON.stringify(config), String(config)];
  expect(logs.filter((log) => log.includes(SECRET))).toEqual([]);
  expect(logs[0]).toContain("hmacSecretKey: '[secret]'");
  expect(config.httpApi.key).toBe(SECRET);
});

it("shows no secret in a fault, whatever is wrong with it", () => {
  const loaded = parse(
    {
      client: {
        token: { hmac_secret_key: [SECRET], hmac_previous_secret_key: { [`x`]: SECRET }, hmac_secret: SECRET },
        subscription_token: SECRET,
        proxy: {
          connect: { enabled: true, endpoint: `htp://u:${SECRET}@a`, http: { static_headers: { a: [SECRET] } } },
          refresh: { http: { static_headers: SECRET } },
        },
      },
      engine: { type: "redis", redis: { address: `http://${SECRET}` } },
      hooks: SECRET,
      http_api: { key: SECRET, api_key: SECRET },
    },
    { SWITCHBOARD_CLIENT_TOKEN_JWKS_PUBLIC_ENDPOINT: SECRET, SWITCHBOARD_HOOKS_DISCONNECT_HTTP_STATIC_HEADERS: SECRET },
  );
  const faults = loaded.kind === "faults" ? lines(loaded.faults) : [];
  expect(faults).toHaveLength(12);
  expect(faults.join("\n")).not.toContain(SECRET);
  expect(faults.join("\n")).toContain(`not these ${`http://${SECRET}`.length} characters`);
});

it("never throws, whatever JSON a file holds", () => {
  const keys = fc.constantFrom("client", "channel", "namespaces", "token", "http_api", "proxy", "name", "endpoint");
  const { tree } = fc.letrec((tie) => ({
    tree: fc.oneof(
      { maxDepth: 6 },
      fc.jsonValue(),
      fc.constantFrom("5s", "http://a", "redis://", "/", "(", 0, -1, 1e300, true),
      fc.dictionary(fc.oneof(keys, fc.string()), tie("tree"), { maxKeys: 6 }),
      fc.array(tie("tree"), { maxLength: 4 }),
    ),
  }));
  const text = fc.oneof(
    tree.map((value) => JSON.stringify(value)),
    fc.dictionary(keys, tree).map((value) => JSON.stringify(value)),
    fc.string({ unit: fc.constantFrom(...'{}[]":,/* \nab1-\\u') }),
  );
  fc.assert(
    fc.property(text, text, (file, variable) => {
      const env = { SWITCHBOARD_CHANNEL_NAMESPACES: variable, SWITCHBOARD_CLIENT_PING_INTERVAL: variable };
      const loaded = parseConfig(file, { file: FILE, env });
      expect(loaded.kind === "ok" || loaded.faults.length > 0).toBe(true);
    }),
    { numRuns: 500 },
  );
});

it("writes a fresh file that has no fault and new secrets each time", () => {
  const [one, other] = [freshFile("./schema.json"), freshFile("./schema.json")];
  expect(parseConfig(one, { file: FILE })).toMatchObject({ kind: "ok", warnings: [] });
  expect(one).not.toBe(other);
});

it("takes the example of the guide", () => {
  const [example] = codeBlocks(readReadme("src/guides/config.md"));
  expect(configOf(parseConfig(example?.code ?? "", { file: FILE })).channel.namespaces).toMatchObject([
    { name: "news" },
  ]);
});
