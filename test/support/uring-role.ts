/**
 * Gives every board `sockets: "uring"`, unless a test chooses otherwise: in the process of a test file, as a setup file
 * of `npm run test:uring`, and in the processes that the test starts, by `uring-preload.cts`.
 */
import { fileURLToPath } from "node:url";
import { Switchboard } from "../../src/index.ts";

const start = Switchboard.start;
/** True once a test has chosen io_uring itself: the warning is part of the test. */
let chosen = false;
Switchboard.start = (options) => {
  if (options.sockets === "uring") chosen = true;
  return start.call(Switchboard, { sockets: "uring", ...options });
};
// Tests look at what is warned of.
const { emitWarning } = process;
process.emitWarning = (...args: unknown[]) => {
  if ((args[1] as { readonly code?: string } | undefined)?.code === "SWITCHBOARD_URING" && !chosen) return;
  Reflect.apply(emitWarning, process, args);
};
const preload = fileURLToPath(new URL("uring-preload.cts", import.meta.url));
process.env["NODE_OPTIONS"] = `${process.env["NODE_OPTIONS"] ?? ""} --require=${preload}`;
