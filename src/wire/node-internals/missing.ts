/**
 * The error for a private part that this version of Node lacks. The files of this folder and their callers throw it.
 */
import { SwitchboardError } from "../../errors.ts";

/** @param part name of the part, such as `net.Socket._handle` */
export function missingError(part: string): SwitchboardError {
  const message = `Node ${process.versions.node} has no ${part}: use an older Node, or a newer version of this package`;
  return new SwitchboardError("ERR_NODE_INTERNALS", message);
}
