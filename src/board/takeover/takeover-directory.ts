/** The folder of the takeover socket. Whoever can connect there gets every connection, so only its owner may. */
import { lstatSync, statSync } from "node:fs";
import { dirname, isAbsolute } from "node:path";
import { SwitchboardError } from "../../errors.ts";

/** Longest path of a Unix socket on Linux, without what `ChannelServer` adds. */
const MAX_PATH_BYTES = 90;

/**
 * Checks the path of a takeover socket. Throws `ERR_TAKEOVER_DIRECTORY` unless its folder belongs to the user of this
 * process and is closed to all others (mode 0700), for a path that is relative or too long, and for one at which
 * something other than a socket is.
 */
export function checkTakeoverPath(path: string): void {
  if (!isAbsolute(path)) {
    throw refusal(
      `the path of the takeover socket is relative: ${path}; write a path from the root, because the next process may start in another folder`,
    );
  }
  if (Buffer.byteLength(path) > MAX_PATH_BYTES) {
    throw refusal(`the path of the takeover socket is longer than ${MAX_PATH_BYTES} bytes: ${path}`);
  }
  const folder = dirname(path);
  const found = statSync(folder, { throwIfNoEntry: false });
  if (found === undefined || !found.isDirectory()) {
    throw refusal(`the folder of the takeover socket doesn't exist: mkdir -m 0700 ${folder}`);
  }
  if (found.uid !== process.geteuid?.()) {
    throw refusal(`the folder of the takeover socket belongs to another user: ${folder}`);
  }
  if ((found.mode & 0o077) !== 0) {
    const mode = (found.mode & 0o777).toString(8).padStart(4, "0");
    throw refusal(`the folder of the takeover socket is open to others (mode ${mode}): chmod 0700 ${folder}`);
  }
  const there = lstatSync(path, { throwIfNoEntry: false });
  if (there !== undefined && !there.isSocket()) {
    const what = there.isDirectory() ? "a folder" : there.isSymbolicLink() ? "a symbolic link" : "a file";
    throw refusal(`the path of the takeover socket is that of ${what}: ${path}; choose a path where nothing is`);
  }
}

function refusal(message: string): SwitchboardError {
  return new SwitchboardError("ERR_TAKEOVER_DIRECTORY", message);
}
