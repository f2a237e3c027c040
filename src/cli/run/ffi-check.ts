/** Asks the Node of a program whether it has `node:ffi`, without which no process can take over from another. */
import { whyNoLibc } from "../../wire/native/libc.ts";
import { startChild } from "./children.ts";

const QUESTION = 'process.exit(process.getBuiltinModule("node:ffi") === undefined ? 3 : 0)';
const MISSING = 3;

/**
 * Resolves with true if `node` starts and has no `node:ffi`. A program that isn't Node has given no answer.
 *
 * @param flags of Node, of which some take `node:ffi` away
 */
export function lacksFfi(node: string, flags: readonly string[]): Promise<boolean> {
  if (node === process.execPath) return Promise.resolve(whyNoLibc() !== undefined);
  return new Promise((resolve) => {
    const child = startChild(node, [...flags, "--no-warnings", "--eval", QUESTION], { stdio: "ignore" });
    child.once("error", () => resolve(false));
    child.once("exit", (code) => resolve(code === MISSING));
  });
}
