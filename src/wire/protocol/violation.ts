/** The table of protocol violations: for each its stable code, the close code and the reason that the peer gets. */
import { CloseCode } from "./close-code.ts";

/**
 * Every violation that ends a connection. The reasons are sent in close frames, so each has at most 123 bytes. The
 * codes are stable and may be matched on.
 */
const table = {
  ERR_RESERVED_BITS: [CloseCode.protocolError, "reserved bits are set where no extension allows them"],
  ERR_RESERVED_OPCODE: [CloseCode.protocolError, "reserved opcode"],
  ERR_UNMASKED_FRAME: [CloseCode.protocolError, "frames from a client must be masked"],
  ERR_MASKED_FRAME: [CloseCode.protocolError, "frames from a server must not be masked"],
  ERR_FRAGMENTED_CONTROL: [CloseCode.protocolError, "control frames must not be fragmented"],
  ERR_CONTROL_TOO_LONG: [CloseCode.protocolError, "control frames carry at most 125 bytes"],
  ERR_LENGTH_NOT_MINIMAL: [CloseCode.protocolError, "payload length is not minimally encoded"],
  ERR_LENGTH_TOP_BIT: [CloseCode.protocolError, "the top bit of a 64-bit length must be 0"],
  ERR_UNEXPECTED_CONTINUATION: [CloseCode.protocolError, "continuation without a message to continue"],
  ERR_EXPECTED_CONTINUATION: [CloseCode.protocolError, "new message inside a fragmented one"],
  ERR_CLOSE_PAYLOAD: [CloseCode.protocolError, "a close payload of one byte"],
  ERR_INVALID_CLOSE_CODE: [CloseCode.protocolError, "close code not allowed on the wire"],
  ERR_INVALID_UTF8: [CloseCode.invalidPayload, "text is not valid UTF-8"],
  ERR_INVALID_DEFLATE: [CloseCode.invalidPayload, "compressed message is not a valid deflate stream"],
  ERR_TOO_MANY_STREAMS: [CloseCode.policyViolation, "too many final deflate blocks in one message"],
  ERR_TOO_MANY_FRAGMENTS: [CloseCode.policyViolation, "too many fragments in one message"],
  ERR_MESSAGE_TOO_BIG: [CloseCode.messageTooBig, "message is larger than is taken here"],
} as const satisfies Record<string, readonly [closeCode: number, reason: string]>;

/** The stable name of one violation. */
export type ViolationCode = keyof typeof table;

/** A violation: its stable code, and the close code and reason to send to the peer. */
export interface Violation {
  readonly kind: "violation";
  readonly code: ViolationCode;
  readonly closeCode: number;
  readonly reason: string;
}

/** Looks a violation up in the table. */
export function violation(code: ViolationCode): Violation {
  const [closeCode, reason] = table[code];
  return { kind: "violation", code, closeCode, reason };
}
