import { expect, it } from "vitest";
import { isWireCloseCode, MAX_REASON_BYTES } from "../../../src/wire/protocol/close-code.ts";
import { type ViolationCode, violation } from "../../../src/wire/protocol/violation.ts";

/** Source: RFC 6455 section 7.4.1: 1002 for the protocol, 1007 for invalid text, 1008 for policy, 1009 for size. */
const closeCodes: Record<ViolationCode, number> = {
  ERR_RESERVED_BITS: 1002,
  ERR_RESERVED_OPCODE: 1002,
  ERR_UNMASKED_FRAME: 1002,
  ERR_MASKED_FRAME: 1002,
  ERR_FRAGMENTED_CONTROL: 1002,
  ERR_CONTROL_TOO_LONG: 1002,
  ERR_LENGTH_NOT_MINIMAL: 1002,
  ERR_LENGTH_TOP_BIT: 1002,
  ERR_UNEXPECTED_CONTINUATION: 1002,
  ERR_EXPECTED_CONTINUATION: 1002,
  ERR_CLOSE_PAYLOAD: 1002,
  ERR_INVALID_CLOSE_CODE: 1002,
  ERR_INVALID_UTF8: 1007,
  ERR_INVALID_DEFLATE: 1007,
  ERR_TOO_MANY_STREAMS: 1008,
  ERR_TOO_MANY_FRAGMENTS: 1008,
  ERR_MESSAGE_TOO_BIG: 1009,
};

it.each(Object.entries(closeCodes))("%s closes with %i and a reason that fits a close frame", (code, closeCode) => {
  const found = violation(code as ViolationCode);
  expect(found).toMatchObject({ kind: "violation", code, closeCode });
  expect(isWireCloseCode(found.closeCode)).toBe(true);
  expect(found.reason).not.toBe("");
  expect(Buffer.byteLength(found.reason)).toBeLessThanOrEqual(MAX_REASON_BYTES);
});
