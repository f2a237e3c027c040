/** The check of a close code and reason that the application wants to send, used by every `close()` of the package. */
import { SwitchboardError } from "../../errors.ts";
import { isWireCloseCode, MAX_REASON_BYTES } from "./close-code.ts";

/**
 * Throws `ERR_CLOSE_CODE` for a code that no close frame may carry, and `ERR_CLOSE_REASON` for a reason that is too
 * long. Source: RFC 6455 sections 7.4 and 5.5.
 */
export function checkClose(code: number, reason: string): void {
  if (!isWireCloseCode(code)) {
    const allowed = "1000 to 1003, 1007 to 1014, or 3000 to 4999";
    throw new SwitchboardError("ERR_CLOSE_CODE", `a close code is ${allowed}, got ${code}`);
  }
  if (Buffer.byteLength(reason) > MAX_REASON_BYTES) {
    throw new SwitchboardError("ERR_CLOSE_REASON", `a close reason has at most ${MAX_REASON_BYTES} bytes`);
  }
}
