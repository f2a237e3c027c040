/**
 * A server for the tests of `switchboard run`: that of the takeover tests, with its options in a file, which may change
 * from one process to the next.
 */
import { existsSync, readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";

const [node = "", program = "", file = ""] = process.argv;
const options = JSON.parse(readFileSync(file, "utf8"));
if (options.exit !== undefined) process.exit(options.exit);
// The test makes this file.
while (options.waitsFor !== undefined && !existsSync(options.waitsFor)) await delay(5);
if (options.hang) {
  setInterval(() => {}, 60_000);
} else {
  process.argv = [node, program, JSON.stringify({ ...options, path: process.env["SWITCHBOARD_TAKEOVER"] })];
  await import("../../../board/takeover/programs/echo.ts");
}
