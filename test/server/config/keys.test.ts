/** Every key, by the file, by its environment variable and by its default. */
import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { expect, it } from "vitest";
import { defaultOf, fieldName, type Key, keysIn, type NamedKey } from "../../../src/server/config/description.ts";
import { parseDuration } from "../../../src/server/config/duration.ts";
import { SERVER_KEYS } from "../../../src/server/config/keys/server-keys.ts";
import { ConfigReader } from "../../../src/server/config/read.ts";

const ALL = Array.from(keysIn(SERVER_KEYS)).filter((one): one is NamedKey & { node: Key } => one.node.kind === "key");
const OUTSIDE_LISTS = ALL.filter(({ variable }) => variable !== undefined);
const IN_LISTS = ALL.filter(({ variable }) => variable === undefined);

function publicKey(pair: { readonly publicKey: KeyObject }): string {
  return pair.publicKey.export({ type: "spki", format: "pem" }).toString();
}

const TEXTS: Readonly<Record<string, string>> = {
  any: "some text",
  url: "https://example.com/x",
  redis: "rediss://example.com:7000",
  prefix: "/some/path",
  name: "node-1",
  "key prefix": "app",
  regex: "^[a-z]+$",
  rsa: publicKey(generateKeyPairSync("rsa", { modulusLength: 2048 })),
  ecdsa: publicKey(generateKeyPairSync("ec", { namedCurve: "P-256" })),
  namespace: "chat.room-1",
};

/** A right value that isn't the default: as the file has it, as a variable has it, and as the config has it. */
function sampleOf({ rule, fallback }: Key): { inFile: unknown; inVariable: string; inConfig: unknown } {
  const same = (value: unknown, text = String(value)) => ({ inFile: value, inVariable: text, inConfig: value });
  switch (rule.type) {
    case "boolean":
      return same(!fallback);
    case "integer":
      return same(Math.min(rule.most, rule.least + 3));
    case "duration":
      return { inFile: "1h30m", inVariable: "1h30m", inConfig: 5_400_000 };
    case "text":
      return same(TEXTS[rule.format]);
    case "choice":
      return same(rule.choices.find((one) => one !== fallback && one !== ""));
    case "texts":
      if (rule.choices.length > 0) return same([...rule.choices], rule.choices.join());
      return rule.format === "origin"
        ? same(["https://a.b", "app://*"], "https://a.b, app://*")
        : same(["a", "b"], "a, b");
    case "headers":
      return same({ name: "text" }, '{"name":"text"}');
  }
}

/** The object of a file with one key. */
function fileWith(path: string, value: unknown): string {
  const names = path.split(".").toReversed();
  return JSON.stringify(
    names.reduce((inner, name) => (name.endsWith("[]") ? { [name.slice(0, -2)]: [inner] } : { [name]: inner }), value),
  );
}

/** The value at a path of the file in a config that was read. */
function valueAt(config: unknown, path: string, node: Key): unknown {
  const names = path.split(".");
  return names.reduce((value, name, at) => {
    const list = name.endsWith("[]");
    const inner = list ? name.slice(0, -2) : name;
    const field = at === names.length - 1 ? fieldName(inner, node) : fieldName(inner, SERVER_KEYS as never);
    const found = (value as Record<string, unknown>)[field];
    return list ? (found as unknown[])[0] : found;
  }, config);
}

function read(text: string, variables: Readonly<Record<string, string>> = {}): { config: unknown; faults: unknown[] } {
  const overrides = Object.entries(variables).map(([path, value]) => [path, { name: path, text: value }] as const);
  const reader = new ConfigReader(SERVER_KEYS, new Map(overrides));
  const config = reader.read(text);
  return { config, faults: reader.faults };
}

it.each(ALL)("takes $path from the file", ({ path, node }) => {
  const { inFile, inConfig } = sampleOf(node);
  const { config, faults } = read(fileWith(path, inFile));
  expect(faults).toEqual([]);
  expect(valueAt(config, path, node)).toEqual(inConfig);
  expect(inConfig).not.toEqual(node.fallback);
});

it.each(OUTSIDE_LISTS)("takes $path from $variable rather than from the file", ({ path, node }) => {
  const { inVariable, inConfig } = sampleOf(node);
  const { config, faults } = read(fileWith(path, defaultOf(node)), { [path]: inVariable });
  expect(faults).toEqual([]);
  expect(valueAt(config, path, node)).toEqual(inConfig);
});

it.each(OUTSIDE_LISTS)("takes the default of $path, which is right by its own rule", ({ path, node }) => {
  const { config } = read("{}");
  expect(valueAt(config, path, node)).toEqual(node.fallback);
  const written = read(fileWith(path, defaultOf(node)));
  expect(written.faults).toEqual([]);
  expect(valueAt(written.config, path, node)).toEqual(node.fallback);
});

it.each(IN_LISTS)("takes $path from the variable of the list", ({ path, node }) => {
  const { inFile, inConfig } = sampleOf(node);
  const [list = "", name = ""] = path.split("[].");
  const { config, faults } = read("{}", { [list]: JSON.stringify([{ [name]: inFile }]) });
  expect(faults).toEqual([]);
  expect(valueAt(config, path, node)).toEqual(inConfig);
});

it.each(ALL)("refuses a wrong type for $path, and takes the default", ({ path, node }) => {
  const { config, faults } = read(fileWith(path, null));
  expect(faults).toMatchObject([
    { path: path.replace("[]", "[0]"), message: expect.stringMatching(/^takes .+, not null$/) },
  ]);
  expect(valueAt(config, path, node)).toEqual(node.fallback);
});

it("knows a default of each duration as text", () => {
  const durations = ALL.filter(({ node }) => node.rule.type === "duration");
  expect(durations.map(({ node }) => parseDuration(String(defaultOf(node))))).toEqual(
    durations.map(({ node }) => node.fallback),
  );
});
