/** What the config lets pass is what the parts below take. */
import fc from "fast-check";
import { expect, it } from "vitest";
import { checkTopics } from "../../../src/runtime/streams/topic-rules.ts";
import { TokenVerifier } from "../../../src/server/auth/token-verifier.ts";
import { Channels } from "../../../src/server/channels/channels.ts";
import { topicsOf } from "../../../src/server/channels/topics.ts";
import type { ServerConfig } from "../../../src/server/config/config.ts";
import { type Key, keysIn } from "../../../src/server/config/description.ts";
import { formatDuration } from "../../../src/server/config/duration.ts";
import { SERVER_KEYS } from "../../../src/server/config/keys/server-keys.ts";
import { parse } from "./support.ts";

/** Values that a key takes: the limits most of all. */
function valuesOf({ rule }: Key): fc.Arbitrary<unknown> {
  switch (rule.type) {
    case "boolean":
      return fc.boolean();
    case "integer":
      return fc.oneof(fc.constantFrom(rule.least, rule.most), fc.integer({ min: rule.least, max: rule.most }));
    case "duration":
      return fc.constantFrom(rule.least, 1000, 60_000, 86_400_000, rule.most).map(formatDuration);
    case "text":
      return rule.format === "regex" ? fc.constantFrom("", "^a+$", "(?<x>.)\\k<x>", "\\p{L}") : fc.constant("");
    case "choice":
      return fc.constantFrom(...rule.choices);
    case "texts":
      return fc.subarray([...rule.choices]);
    case "headers":
      return fc.constant({});
  }
}

const options = Array.from(keysIn(SERVER_KEYS.keys.channel.keys.without_namespace)).map(({ path, node }) => {
  return [path, valuesOf(node as Key)] as const;
});
const someOptions = fc.record(Object.fromEntries(options), { requiredKeys: [] });
const channel = fc.record({
  without_namespace: someOptions,
  namespaces: fc.uniqueArray(fc.record({ name: fc.constantFrom("aa", "a.b", "x".repeat(250)), options: someOptions }), {
    selector: ({ name }) => name,
  }),
  history_meta_ttl: fc.constantFrom("1s", "1h", "720h", "36500d"),
  max_length: fc.integer({ min: 1, max: 255 }),
});

const endpoint = { endpoint: "http://app/x" };
const endpoints = {
  channel: { proxy: { subscribe: endpoint, publish: endpoint, sub_refresh: endpoint } },
  hooks: { occupancy: endpoint, cache_miss: endpoint },
};

interface Channel {
  readonly [section: string]: unknown;
}

/** Parses a config, again and again without the keys that have faults. */
function repair(channel: Channel): ServerConfig {
  for (;;) {
    const loaded = parse({ ...endpoints, channel: { ...endpoints.channel, ...channel } });
    if (loaded.kind === "ok") return loaded.config;
    for (const path of new Set(loaded.faults.map((fault) => fault.path))) {
      const names = path.split(/[.[\]]+/).slice(1);
      const last = names.pop() ?? "";
      const owner = names.reduce<unknown>((value, name) => (value as Channel)[name], channel);
      if (!Reflect.has(owner as object, last)) throw new Error(`${path} has a fault and isn't there`);
      Reflect.deleteProperty(owner as object, last);
    }
  }
}

it("makes topics and channels of each config without a fault", () => {
  let histories = 0;
  fc.assert(
    fc.property(channel, ({ namespaces, ...rest }) => {
      const named = namespaces.map(({ name, options }) => ({ ...options, name }));
      const config = repair(structuredClone({ ...rest, namespaces: named }));
      histories += Object.values(topicsOf(config.channel)).filter(({ history }) => history !== undefined).length;
      checkTopics("a config", topicsOf(config.channel));
      new Channels(config.channel);
    }),
    { numRuns: 300, endOnFailure: true },
  );
  expect(histories).toBeGreaterThan(20);
});

it("makes the checks of tokens of the default config", () => {
  const loaded = parse({});
  expect(loaded.kind).toBe("ok");
  if (loaded.kind === "ok") new TokenVerifier(loaded.config.client.token);
});
