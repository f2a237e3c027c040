/** Notices changes of the files of a program, for `switchboard run --watch`. */
import { type FSWatcher, watch } from "node:fs";
import { extname, sep } from "node:path";

/** Editors and compilers write several files for one change: time without a further one, in ms. */
const QUIET_MS = 150;

/** Code and configuration. Of other files, such as a log, nobody knows whether the program writes them itself. */
const EXTENSIONS: ReadonlySet<string> = new Set(
  ".js .mjs .cjs .jsx .ts .mts .cts .tsx .json .jsonc .json5 .yaml .yml .toml .wasm .node".split(" "),
);

/**
 * Calls back after changes of the program's file, and of code and configuration below its folder: except in
 * `node_modules`, and in folders and files with a dot at the front.
 *
 * @param file name of the program's file in the folder, which may have any extension
 */
export function watchFolder(folder: string, file: string, changed: () => void): FSWatcher {
  let timer: NodeJS.Timeout | undefined;
  return watch(folder, { recursive: true, persistent: false }, (_event, name) => {
    if (name === null || !isOfProgram(name, file)) return;
    clearTimeout(timer);
    timer = setTimeout(changed, QUIET_MS);
  });
}

/** True for the program's file, code and configuration. Names are relative to the folder. */
export function isOfProgram(name: string, file: string): boolean {
  if (name === file) return true;
  if (name.split(sep).some((part) => part === "node_modules" || part.startsWith("."))) return false;
  // Editors write files beside the file that they save: `server.js~`, `4913`.
  return EXTENSIONS.has(extname(name).toLowerCase());
}
