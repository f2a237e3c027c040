import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { isOfProgram, watchFolder } from "../../../src/cli/run/watch.ts";
import { newFolder } from "./supervise.ts";

it.each([
  "server.js",
  "part.mjs",
  "part.cjs",
  "lib/part.ts",
  "lib/part.mts",
  "lib/view.tsx",
  "package.json",
  "config.yaml",
  "config.toml",
  "lib/parse.wasm",
  "build/addon.node",
  "UPPER.JS",
  "start",
])("takes %s for a part of the program `start`", (name) => {
  expect(isOfProgram(name, "start")).toBe(true);
});

it.each([
  "out.log",
  "logs/out.log.1",
  "data.sqlite",
  "data.sqlite-wal",
  "takeover.sock",
  "notes.txt",
  "lib",
  "lib/start",
  "server.js~",
  "4913",
  "server.js.swp",
  ".env",
  ".git/config.json",
  ".hidden.js",
  "node_modules/ws/index.js",
  "lib/node_modules/ws/package.json",
])("ignores %s beside the program `start`", (name) => {
  expect(isOfProgram(name, "start")).toBe(false);
});

it("calls back once after changes of several files, also in a folder that is new", async () => {
  const folder = newFolder();
  const changes: number[] = [];
  const changed = Promise.withResolvers<void>();
  const watcher = watchFolder(folder, "server.js", () => {
    changes.push(changes.length);
    changed.resolve();
  });
  onTestFinished(() => watcher.close());
  mkdirSync(join(folder, "lib"));
  for (const name of ["server.js", "lib/part.js", "out.log"]) writeFileSync(join(folder, name), "");
  await changed.promise;
  expect(changes).toEqual([0]);
});
