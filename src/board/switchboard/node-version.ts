/** Checks of the version of Node. */
import { SwitchboardError } from "../../errors.ts";

/** Throws `ERR_NODE_VERSION` on a Node that is too old. */
export function checkNode(version: string): void {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  if (major > 22 || (major === 22 && minor >= 18)) return;
  const message = `Switchboard needs Node 22.18 or newer, and to move sockets between threads 24.20 or newer in its line, or 26.6 or newer; this is Node ${version}`;
  throw new SwitchboardError("ERR_NODE_VERSION", message);
}

let warned = false;

/** Warns, once in a process, that this Node can't move sockets, and what that costs. */
export function warnOfRelay(version: string): void {
  if (warned) return;
  warned = true;
  process.emitWarning(
    `Node ${version} can't move sockets between threads: their bytes are relayed through the main thread, which costs CPU for every message. Upgrade to Node 24.20 or newer in its line, or to 26.6 or newer`,
    { type: "SwitchboardWarning", code: "SOCKETS_RELAYED", detail: 'Start with { sockets: "relay" } to have it so.' },
  );
}
