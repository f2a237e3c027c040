import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { StoredMessage } from "../../../src/server/protocol/messages.ts";
import { decodeStored, encodeStored, type StoredPublication } from "../../../src/server/protocol/stored-publication.ts";
import { info } from "./support/arbitrary-replies.ts";

const binary = (bytes: Buffer): StoredMessage => ({ type: "binary", bytes });
const text = (json: string): StoredMessage => ({ type: "text", bytes: Buffer.from(json) });

describe("a stored publication", () => {
  it("is read as it was written", () => {
    const stored: fc.Arbitrary<StoredPublication> = fc.record({
      data: fc.uint8Array().map((bytes) => Buffer.from(bytes)),
      info: fc.option(info, { nil: undefined }),
      tags: fc.option(fc.dictionary(fc.string(), fc.string(), { minKeys: 1 }), { nil: undefined }),
      time: fc.option(fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }), { nil: undefined }),
      isJson: fc.boolean(),
      delta: fc.boolean(),
    });
    fc.assert(
      fc.property(stored, (one) => {
        const isJson = one.isJson && one.data.length > 0;
        expect(decodeStored(binary(encodeStored(one)))).toEqual({ ...one, isJson });
      }),
    );
  });

  it("may be a text message with the data alone", () => {
    expect(decodeStored(text('{"a":1.0}'))).toEqual({ data: Buffer.from('{"a":1.0}'), isJson: true, delta: false });
  });

  it("isn't JSON if its text isn't", () => {
    expect(decodeStored(text("hello")).isJson).toBe(false);
    expect(decodeStored(text("")).isJson).toBe(false);
  });

  it.each([
    ["without the magic", Buffer.from("1")],
    ["with a part of the magic", Buffer.from("\0sb")],
    ["with the magic alone", Buffer.from("\0sb1")],
    ["with the magic and something else than a publication", Buffer.from("\0sb1\x01\xff")],
  ])("may be binary data %s", (_, bytes) => {
    expect(decodeStored(binary(bytes))).toEqual({ data: bytes, isJson: false, delta: false });
  });

  it("isn't JSON if its data is empty, whatever its publisher says", () => {
    expect(decodeStored(binary(encodeStored({ data: Buffer.alloc(0), isJson: true }))).isJson).toBe(false);
  });

  it("isn't an envelope if it is text", () => {
    const { bytes } = binary(encodeStored({ data: Buffer.from("1"), isJson: true }));
    expect(decodeStored({ type: "text", bytes })).toMatchObject({ data: bytes, isJson: false });
  });

  it("is read whatever its unknown flags are", () => {
    const bytes = encodeStored({ data: Buffer.from("1"), isJson: true });
    bytes[4] = 0xff;
    expect(decodeStored(binary(bytes))).toMatchObject({ isJson: true, delta: true, data: Buffer.from("1") });
  });

  it("is read without an exception, whatever the bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        decodeStored(binary(Buffer.concat([Buffer.from("\0sb1"), bytes])));
      }),
      { numRuns: 3_000 },
    );
  });
});
