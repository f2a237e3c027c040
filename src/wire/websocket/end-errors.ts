/** The errors that tell how a `WebSocket` ended. */
import { SwitchboardError } from "../../errors.ts";
import type { Violation } from "../protocol/violation.ts";

/** Error of an operation that needs an open WebSocket. */
export function closedError(): SwitchboardError {
  return new SwitchboardError("ERR_CLOSED", "the WebSocket is closed");
}

/** Error of a WebSocket whose connection ended without a close handshake. */
export function lostError(): SwitchboardError {
  return new SwitchboardError("ERR_CONNECTION_LOST", "the connection ended without a close handshake");
}

/** Error of a WebSocket that was closed for a violation. Its code is the violation's. */
export function violationError({ code, reason }: Violation): SwitchboardError {
  return new SwitchboardError(code, `the peer broke the protocol: ${reason}`);
}
