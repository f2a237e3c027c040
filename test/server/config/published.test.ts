/**
 * The published schema and the reference page, which `npx vitest run test/server/config/published.test.ts -u` rewrites.
 */
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { keysIn } from "../../../src/server/config/description.ts";
import { jsonSchema } from "../../../src/server/config/json-schema.ts";
import { SERVER_KEYS } from "../../../src/server/config/keys/server-keys.ts";
import { parseConfig } from "../../../src/server/config/load.ts";
import { referenceTables } from "../../../src/server/config/reference.ts";
import { readReadme } from "../../support/readme.ts";

const GUIDE = new URL("../../../src/guides/config.md", import.meta.url);

it("has a JSON schema that is current", async () => {
  const schema = `${JSON.stringify(jsonSchema(SERVER_KEYS), undefined, 2)}\n`;
  await expect(schema).toMatchFileSnapshot("../../../src/server/config/schema.json");
});

it("has a reference page that is current", async () => {
  const [head] = readFileSync(GUIDE, "utf8").split("## All keys\n");
  await expect(`${head}## All keys\n\n${referenceTables(SERVER_KEYS)}`).toMatchFileSnapshot(GUIDE.pathname);
});

it("lists every key once in the reference page", () => {
  const listed = [...readReadme("src/guides/config.md").matchAll(/^\| `([\w.[\]]+)` \|/gm)].map(([, path]) => path);
  expect(listed.toSorted()).toEqual(Array.from(keysIn(SERVER_KEYS), ({ path }) => path).toSorted());
});

it("gives each key its own environment variable", () => {
  const variables = Array.from(keysIn(SERVER_KEYS), ({ variable }) => variable).filter((name) => name !== undefined);
  expect(new Set(variables).size).toBe(variables.length);
  expect(variables.filter((name) => !/^SWITCHBOARD_[A-Z0-9_]+$/.test(name))).toEqual([]);
});

it("explains each key in one sentence without a full stop", () => {
  const wrong = Array.from(keysIn(SERVER_KEYS)).filter(({ node }) => !/^[A-Z`].*[^.]$/.test(node.about));
  expect(wrong.map(({ path }) => path)).toEqual([]);
});

it.each([
  [
    "client.allowed_origins",
    { client: { allowed_origins: ["x"] } },
    [
      "https://a.example",
      "htps://y",
      "http://a/b",
      "*",
      "null",
      "capacitor://localhost",
      "a.example",
      "https://*.a.example",
    ],
  ],
  ["rpc.proxy.http_headers", { rpc: { proxy: { http_headers: ["x"] } } }, ["cookie", "X-Key", "x y", "a:b", "a\n"]],
] as const)("has a schema that takes of %s what the check takes", (path, file, values) => {
  const schema = JSON.parse(JSON.stringify(jsonSchema(SERVER_KEYS)));
  const { items } = path.split(".").reduce((node, name) => node.properties[name], schema);
  for (const value of values) {
    const text = JSON.stringify(file).replace('"x"', () => JSON.stringify(value));
    const loaded = parseConfig(text, { file: "x", env: { SWITCHBOARD_HTTP_API_DISABLED: "true" } });
    expect([value, loaded.kind]).toEqual([value, new RegExp(items.pattern, "u").test(value) ? "ok" : "faults"]);
  }
});
