import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DISCONNECTS, ERRORS, fitReason, reconnectsAfter, UNSUBSCRIBES } from "../../../src/server/protocol/codes.ts";
import { codePoint } from "../../support/code-points.ts";

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

describe("codes", () => {
  it.each([
    ["errors", ERRORS],
    ["disconnects", DISCONNECTS],
    ["unsubscribes", UNSUBSCRIBES],
  ])("of %s are unique", (_, table) => {
    const codes = Object.values(table).map(({ code }) => code);
    expect(new Set(codes).size).toBe(codes.length);
  });

  it("have reasons that the client doesn't take for nothing or for JSON", () => {
    for (const { reason } of [...Object.values(DISCONNECTS), ...Object.values(UNSUBSCRIBES)]) {
      expect(reason).toMatch(/^[a-z][a-z ]{3,31}$/);
      expect(isJson(reason)).toBe(false);
    }
  });

  it("say of which errors the client tries again", () => {
    const temporary = Object.values(ERRORS).filter((error) => error.temporary);
    expect(temporary.map(({ code }) => code)).toEqual([100, 111, 113]);
  });

  it.each([
    [1000, true],
    [1009, false],
    [3000, true],
    [3499, true],
    [3500, false],
    [3999, false],
    [4000, true],
    [4499, true],
    [4500, false],
    [4999, false],
  ])("say whether the client reconnects after %i", (code, reconnects) => {
    expect(reconnectsAfter(code)).toBe(reconnects);
  });
});

describe("a reason of an application", () => {
  it.each([
    ["banned", "banned"],
    ["", "disconnected"],
    ["  \n", "disconnected"],
    ["42", "reason: 42"],
    ["null", "reason: null"],
    ['{"reconnect":true}', 'reason: {"reconnect":true}'],
    ["two\nlines", "two lines"],
    ["é".repeat(100), "é".repeat(61)],
  ])("%j becomes %j", (reason, fit) => {
    expect(fitReason(reason)).toBe(fit);
  });

  it("is always one that fits a close frame and isn't taken for JSON", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: codePoint }), fc.json()), (reason) => {
        const fit = fitReason(reason);
        expect(fit).not.toBe("");
        expect(Buffer.byteLength(fit)).toBeLessThanOrEqual(123);
        expect(isJson(fit)).toBe(false);
        expect(fitReason(fit)).toBe(fit);
      }),
      { numRuns: 1_000 },
    );
  });
});
