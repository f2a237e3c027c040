/**
 * A board for the tests of `switchboard run`: the program of the takeover tests, with its options in a file, which may
 * change from one process to the next.
 */
import { readFileSync } from "node:fs";

const [node = "", program = "", file = ""] = process.argv;
const { start, ...options } = JSON.parse(readFileSync(file, "utf8"));
process.argv = [node, program, JSON.stringify({ ...options, start: { ...start, takeover: true } })];
await import("../../../e2e/takeover/programs/server.ts");
