/** The published schema and the reference page, which `npx vitest run test/server/config/published.test.ts -u` rewrites. */
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { keysIn } from "../../../src/server/config/description.ts";
import { jsonSchema } from "../../../src/server/config/json-schema.ts";
import { SERVER_KEYS } from "../../../src/server/config/keys/server-keys.ts";
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
