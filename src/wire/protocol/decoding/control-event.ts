/** The events of control frames, and the check of close frames. */
import { isUtf8 } from "node:buffer";
import { CloseCode, isWireCloseCode } from "../close-code.ts";
import type { ViolationCode } from "../violation.ts";

export interface Ping {
  readonly kind: "ping";
  readonly payload: Buffer;
}

export interface Pong {
  readonly kind: "pong";
  readonly payload: Buffer;
}

export interface Close {
  readonly kind: "close";
  /** Close code; 1005 when the frame had none. */
  readonly code: number;
  readonly reason: string;
}

/**
 * Reads the payload of a close frame, `block[start, start + length)`. Returns what is wrong with it, if something is.
 * Source: RFC 6455 sections 5.5.1 and 7.4.
 */
export function readClose(block: Buffer, start: number, length: number): Close | ViolationCode {
  if (length === 0) return { kind: "close", code: CloseCode.noStatus, reason: "" };
  if (length === 1) return "ERR_CLOSE_PAYLOAD";
  const code = ((block[start] as number) << 8) | (block[start + 1] as number);
  if (!isWireCloseCode(code)) return "ERR_INVALID_CLOSE_CODE";
  if (length === 2) return { kind: "close", code, reason: "" };
  const reason = block.subarray(start + 2, start + length);
  return isUtf8(reason) ? { kind: "close", code, reason: reason.toString() } : "ERR_INVALID_UTF8";
}
