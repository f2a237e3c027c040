import { expect, it } from "vitest";
import { clientServer, publication, topicsOf } from "../../../src/server/centrifuge/index.ts";
import { parseConfig } from "../../../src/server/config/load.ts";
import { decodeStored } from "../../../src/server/protocol/stored-publication.ts";

const HISTORY = { history_size: 10, history_ttl: "1m" };

it("fills in what the config file would", () => {
  const client = { ping_interval: "10s", token: { hmac_secret_key: "x".repeat(32) } };
  const channel = { without_namespace: HISTORY, namespaces: [{ name: "news", presence: true }] };
  const loaded = parseConfig(JSON.stringify({ client, channel, http_api: { disabled: true } }), { file: "a.json" });
  if (loaded.kind === "faults") throw new Error(JSON.stringify(loaded.faults));
  const server = clientServer({ client, channel });
  expect(server.config).toEqual(loaded.config.client);
  expect(server.limits).toEqual(loaded.config.channel);
});

it("makes no secret of its own: without keys no token is good", async () => {
  const { config } = clientServer();
  expect(config.token.hmacSecretKey).toBe("");
  expect(config.insecure).toBe(false);
});

it("gives channels their topics", () => {
  expect(topicsOf({ channel: { namespaces: [{ name: "news", ...HISTORY }] } })).toEqual({
    "news:*": { history: expect.objectContaining({ size: 10, ttlMs: 60_000 }) },
    "$news:*": { history: expect.objectContaining({ size: 10, ttlMs: 60_000 }) },
  });
});

it.each([
  [{ client: { ping_intervall: "1s" } }, "client.ping_intervall: there is no such key; did you mean ping_interval?"],
  [{ client: { ping_interval: 25 } }, "client.ping_interval: takes"],
  [{ channel: { namespaces: [{ name: "a b" }] } }, "channel.namespaces[0].name: takes"],
  [{ channel: { without_namespace: { force_recovery: true } } }, "force_recovery: needs history_size"],
  [{ chanel: {} }, 'unknown option "chanel"; the options are client, channel, backend, version, tell'],
  [{ client: { user_connection_limit: 2 } }, "client.user_connection_limit is for switchboard serve only"],
  [{ client: { proxy: {} } }, "client.proxy is for switchboard serve: a program gives backend instead"],
  [
    { channel: { namespaces: [{ name: "room", publish_proxy_enabled: true }] }, backend: {} },
    "channel.namespaces[0].publish_proxy_enabled needs the function backend.publish",
  ],
  [
    { channel: { without_namespace: { occupancy_hooks_enabled: true } } },
    "channel.without_namespace.occupancy_hooks_enabled needs the function tell",
  ],
])("refuses %j", (settings, message) => {
  expect(() => clientServer(settings as never)).toThrow(
    expect.objectContaining({ code: "ERR_OPTION", message: expect.stringContaining(message) }),
  );
});

it("names all faults at once, of every kind", () => {
  const faultsOf = (settings: object): string[] => {
    try {
      clientServer(settings as never);
    } catch (error) {
      return (error as Error).message.split("\n");
    }
    return [];
  };
  expect(
    faultsOf({ chanel: {}, backnd: {}, client: { proxy: {}, pong: 1 }, channel: { without_namespaces: {} } }),
  ).toEqual([
    'clientServer: unknown options "chanel", "backnd"; the options are client, channel, backend, version, tell',
    "client.proxy is for switchboard serve: a program gives backend instead",
    expect.stringMatching(/^client.pong: there is no such key/),
    expect.stringMatching(/^channel.without_namespaces: there is no such key/),
  ]);
  const namespace = { name: "room", publish_proxy_enabled: true, occupancy_hooks_enabled: true };
  expect(faultsOf({ chanel: {}, channel: { namespaces: [namespace] } })).toEqual([
    expect.stringMatching(/^clientServer: unknown option "chanel"/),
    "channel.namespaces[0].publish_proxy_enabled needs the function backend.publish",
    "channel.namespaces[0].occupancy_hooks_enabled needs the function tell",
  ]);
});

it("makes publications of values and of bytes", () => {
  const read = (bytes: Buffer) => decodeStored({ type: "binary", bytes });
  const json = read(publication({ text: "hi" }, { tags: { lang: "en" }, delta: true }));
  expect(json).toMatchObject({ isJson: true, tags: { lang: "en" }, delta: true });
  expect(json.data.toString()).toBe('{"text":"hi"}');
  expect(read(publication(Buffer.from("[1]")))).toMatchObject({ isJson: true, data: Buffer.from("[1]") });
  expect(read(publication(Uint8Array.of(0, 1)))).toMatchObject({ isJson: false, data: Buffer.of(0, 1) });
});

it.each([undefined, () => {}, Symbol("a")])("refuses %s, which has no JSON", (data) => {
  expect(() => publication(data)).toThrow(expect.objectContaining({ code: "ERR_ARGUMENT" }));
});

it("refuses tags that aren't text", () => {
  expect(() => publication(1, { tags: { n: 1 as never } })).toThrow("the tag n takes text");
});
