/** Notices changes of the files of a program, for `switchboard run --watch`. */
import { type FSWatcher, watch } from "node:fs";
import { basename, sep } from "node:path";

/** Editors and compilers write several files for one change: time without a further one, in ms. */
const QUIET_MS = 150;

/**
 * Calls back after changes below a folder, except in `node_modules` and in folders and files with a dot at the front.
 */
export function watchFolder(folder: string, changed: () => void): FSWatcher {
  let timer: NodeJS.Timeout | undefined;
  return watch(folder, { recursive: true, persistent: false }, (_event, name) => {
    if (name === null || name.split(sep).some((part) => part === "node_modules" || part.startsWith("."))) return;
    // Files that editors write beside the file that they save.
    if (/~$|^\d+$/.test(basename(name))) return;
    clearTimeout(timer);
    timer = setTimeout(changed, QUIET_MS);
  });
}
