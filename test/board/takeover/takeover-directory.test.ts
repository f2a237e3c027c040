import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { checkTakeoverPath } from "../../../src/board/takeover/takeover-directory.ts";

function folder(mode: number): string {
  const path = mkdtempSync(join(tmpdir(), "takeover-"));
  chmodSync(path, mode);
  onTestFinished(() => rmSync(path, { recursive: true }));
  return path;
}

function refusal(message: RegExp) {
  return expect.objectContaining({ code: "ERR_TAKEOVER_DIRECTORY", message: expect.stringMatching(message) });
}

it("takes a folder of the process's user that is closed to all others", () => {
  expect(() => checkTakeoverPath(join(folder(0o700), "socket"))).not.toThrow();
});

it.each([0o710, 0o701, 0o770, 0o755, 0o777])("refuses a folder with mode %o", (mode) => {
  expect(() => checkTakeoverPath(join(folder(mode), "socket"))).toThrow(refusal(/open to others.*chmod 0700/));
});

it.skipIf(process.geteuid?.() !== 0)("refuses a folder of another user", () => {
  const path = folder(0o700);
  chownSync(path, 65_534, 65_534);
  expect(() => checkTakeoverPath(join(path, "socket"))).toThrow(refusal(/belongs to another user/));
});

it("refuses a folder that doesn't exist, and a path that is too long for a Unix socket", () => {
  expect(() => checkTakeoverPath(join(folder(0o700), "missing", "socket"))).toThrow(refusal(/doesn't exist/));
  expect(() => checkTakeoverPath(`/run/${"x".repeat(90)}`)).toThrow(refusal(/longer than 90 bytes/));
});

it.each([
  ["a file", (path: string) => writeFileSync(path, "data")],
  ["a folder", (path: string) => mkdirSync(path)],
  ["a symbolic link", (path: string) => symlinkSync("other", path)],
])("refuses the path of %s, which a socket would replace", (what, make) => {
  const path = join(folder(0o700), "socket");
  make(path);
  expect(() => checkTakeoverPath(path)).toThrow(refusal(new RegExp(`is that of ${what}: .*choose a path`)));
});
