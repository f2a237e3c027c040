import { SwitchboardError } from "../../errors.ts";
import { isWireCloseCode, MAX_REASON_BYTES } from "./close-code.ts";

/** Throws `ERR_CLOSE_CODE` or `ERR_CLOSE_REASON` for what no close frame carries. Source: RFC 6455 sections 7.4 and 5.5. */
export function checkClose(code: number, reason: string): void {
  if (!isWireCloseCode(code)) {
    const takes = "1000 to 1003, 1007 to 1014, or 3000 to 4999";
    throw new SwitchboardError("ERR_CLOSE_CODE", `a close code is ${takes}, got ${code}`);
  }
  if (Buffer.byteLength(reason) > MAX_REASON_BYTES) {
    throw new SwitchboardError("ERR_CLOSE_REASON", `a close reason has at most ${MAX_REASON_BYTES} bytes`);
  }
}
