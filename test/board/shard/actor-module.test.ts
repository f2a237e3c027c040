import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect, it, onTestFinished } from "vitest";
import { type ActorModule, loadActorModules } from "../../../src/board/shard/actor-module.ts";
import Authorizing, { authorize } from "../../support/actors/authorizing.ts";
import Echo from "../../support/actors/echo.ts";
import Requesting from "../../support/actors/requesting.ts";
import Surveying, { surveyed } from "../../support/actors/surveying.ts";
import { actorUrl } from "../../support/board.ts";

/** Writes modules, by file name, into a folder that exists only during the test. Returns the URL of the folder. */
async function createModules(sources: Record<string, string>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "switchboard-modules-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  for (const [file, source] of Object.entries(sources)) await writeFile(join(folder, file), source);
  return pathToFileURL(folder).href;
}

it("loads all modules by name, with what each exports", async () => {
  const urls = new Map([
    [undefined, actorUrl("echo").href],
    ["admin", actorUrl("authorizing").href],
    ["shy", actorUrl("requesting").href],
    ["survey", actorUrl("surveying").href],
    ["again", actorUrl("echo").href],
  ]);
  const echo = { actorClass: Echo, authorize: undefined, surveyed: undefined, requestHeaders: [], moves: undefined };
  expect(await loadActorModules(urls)).toEqual(
    new Map<string | undefined, ActorModule>([
      [undefined, echo],
      ["admin", { actorClass: Authorizing, authorize, surveyed: undefined, requestHeaders: [], moves: undefined }],
      ["shy", { ...echo, actorClass: Requesting, requestHeaders: ["user-agent", "cookie", "x-missing"] }],
      ["survey", { ...echo, actorClass: Surveying, surveyed }],
      ["again", echo],
    ]),
  );
});

it("loads modules at the same time: one may wait for the other", async () => {
  const actor = `
    import { Actor } from ${JSON.stringify(new URL("../../../src/index.ts", import.meta.url).href)};
    export default class Waiting extends Actor {}
  `;
  const shared = "export const { promise, resolve } = Promise.withResolvers();";
  const folder = await createModules({
    "shared.mjs": shared,
    "waits.mjs": `import { promise } from "./shared.mjs"; await promise; ${actor}`,
    "resolves.mjs": `import { resolve } from "./shared.mjs"; resolve(); ${actor}`,
  });
  const urls = new Map([
    [undefined, `${folder}/waits.mjs`],
    ["second", `${folder}/resolves.mjs`],
  ]);
  expect((await loadActorModules(urls)).size).toBe(2);
});

it.each([
  { thrown: "an error", source: 'throw Object.assign(new RangeError("boom"), { code: "E_BOOM" });', message: "boom" },
  { thrown: "a frozen error", source: 'throw Object.freeze(new RangeError("boom"));', message: "boom" },
  { thrown: "a string", source: 'throw "boom";', message: "a value that isn't an Error was thrown: boom" },
])("rejects with the URL of the module that threw $thrown", async ({ source, message }) => {
  const url = `${await createModules({ "bad.mjs": source })}/bad.mjs`;
  const urls = new Map([
    [undefined, actorUrl("echo").href],
    ["bad", url],
  ]);
  const error = await loadActorModules(urls).catch((reason: unknown) => reason);
  expect(error).toMatchObject({ message: `${message} (in the actor module ${url})` });
  if (source.includes("RangeError")) {
    expect(error).toMatchObject({
      name: "RangeError",
      stack: expect.stringMatching(/^RangeError: boom \(in the actor/),
    });
  }
  if (source.includes("E_BOOM")) expect(error).toMatchObject({ code: "E_BOOM" });
});

it("names the URL once when the error has it already", async () => {
  const url = `${await createModules({ "none.mjs": "export const a = 1;" })}/none.mjs`;
  const error = await loadActorModules(new Map([["none", url]])).catch((reason: unknown) => reason);
  expect(error).toMatchObject({ code: "ERR_NO_ACTOR_CLASS", message: expect.stringMatching(/has none$/) });
});
