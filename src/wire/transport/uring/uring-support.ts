/** Decides whether a board may use io_uring here. `Switchboard.start` asks. */
import { SwitchboardError } from "../../../errors.ts";
import { whyNoUring } from "../../native/ring.ts";

let warned = false;

/**
 * Throws `ERR_NO_URING` with one sentence that says what is missing. Where nothing is, warns once in a process that
 * io_uring stands on an experimental part of Node, in place of Node's own warnings.
 */
export function checkUring(): void {
  const why = whyNoUring();
  if (why !== undefined) throw new SwitchboardError("ERR_NO_URING", `sockets: "uring" can't work here: ${why}`);
  if (warned) return;
  warned = true;
  process.emitWarning(
    'sockets: "uring" calls the kernel through node:ffi, which is experimental: a later Node may change it, and a fault there ends the process',
    {
      type: "ExperimentalWarning",
      code: "SWITCHBOARD_URING",
      detail: 'The default, sockets: "node", needs no node:ffi.',
    },
  );
}
