import { describe, expect, it } from "vitest";
import { CloseCode, isWireCloseCode, MAX_REASON_BYTES } from "../../../src/wire/protocol/close-code.ts";
import { clientFrame, close } from "../../support/frames.ts";
import { decode, seenClose, seenViolation } from "./decoding/decoding.ts";

const ranges = [
  [0, 999, false, "below the protocol's codes"],
  [1000, 1003, true, "normal, going away, protocol error, unsupported data"],
  [1004, 1006, false, "reserved: never on the wire"],
  [1007, 1014, true, "assigned"],
  [1015, 1015, false, "reserved: TLS failed"],
  [1016, 2999, false, "unassigned"],
  [3000, 4999, true, "for libraries and applications"],
  [5000, 5000, false, "beyond the last"],
] as const;

describe.each(ranges)("close codes %i to %i (allowed: %s, %4$s)", (first, last, allowed) => {
  const codes = Array.from({ length: last - first + 1 }, (_, i) => first + i);

  it("are accepted or refused by isWireCloseCode", () => {
    expect(codes.filter((code) => isWireCloseCode(code) !== allowed)).toEqual([]);
  });

  it("are accepted or refused by the decoder", () => {
    const expected = (code: number) =>
      allowed ? seenClose(code, "why") : seenViolation("ERR_INVALID_CLOSE_CODE", 1002);
    for (const code of codes) expect(decode([close(code, "why")])).toEqual([expected(code)]);
  });
});

it.each([5001, 9999, 0x7fff, 0x8000, 0xffff])("code %i is refused", (code) => {
  expect(decode([close(code)])).toEqual([seenViolation("ERR_INVALID_CLOSE_CODE", 1002)]);
});

it("every code of CloseCode may be sent, except for the two that are never on the wire", () => {
  const notSent: number[] = [CloseCode.noStatus, CloseCode.abnormal];
  for (const code of Object.values(CloseCode)) expect(isWireCloseCode(code)).toBe(!notSent.includes(code));
});

it("a reason of the longest length is accepted, and no frame can carry a longer one", () => {
  const longest = "r".repeat(MAX_REASON_BYTES);
  expect(decode([close(1000, longest)])).toEqual([seenClose(1000, longest)]);
  const longer = clientFrame(0x8, Buffer.concat([Buffer.from([3, 0xe8]), Buffer.from(`${longest}r`)]));
  expect(decode([longer])).toEqual([seenViolation("ERR_CONTROL_TOO_LONG", 1002)]);
});
