import { expect, it } from "vitest";
import { Publication, publicationsOf, type StreamRecord } from "../../../src/runtime/streams/publication.ts";
import { encodeFrame, encodeText } from "../../../src/wire/protocol/frame.ts";
import { Opcode } from "../../../src/wire/protocol/opcode.ts";

it("shows an actor what an engine stored", () => {
  const publication = new Publication("room:1", "abc", { offset: 7, timeMs: 1_000, frame: encodeText("hé") });
  expect(publication).toMatchObject({ topic: "room:1", epoch: "abc", offset: 7, timeMs: 1_000 });
  expect([publication.message.type, publication.message.text]).toEqual(["text", "hé"]);
});

it.each([0, 125, 126, 65_535, 65_536])(
  "finds the payload of a frame with %i bytes in the middle of a block",
  (length) => {
    const payload = Buffer.alloc(length, "ab");
    const { block, start, end } = encodeFrame(Opcode.binary, payload);
    const frame = {
      block: Buffer.concat([Buffer.from("xyz"), block.subarray(start, end)]),
      start: 3,
      end: 3 + end - start,
    };
    const { message } = new Publication("t", "abc", { offset: 1, timeMs: 0, frame });
    expect([message.type, message.byteLength]).toEqual(["binary", length]);
    expect(message.bytes.equals(payload)).toBe(true);
  },
);

it("gives the same publications for the same records, each time in an array of the caller's own", () => {
  const records: readonly StreamRecord[] = [1, 2].map((offset) => {
    return { offset, timeMs: 1_000 + offset, frame: encodeText(`message ${offset}`) };
  });
  const [one, other] = [publicationsOf("s", "e", records), publicationsOf("s", "e", records)];
  expect(one.map(({ offset, message }) => [offset, message.text])).toEqual([
    [1, "message 1"],
    [2, "message 2"],
  ]);
  expect(one[0]).toBe(other[0]);
  (one as unknown[]).reverse();
  expect(other.map(({ offset }) => offset)).toEqual([1, 2]);
  expect(publicationsOf("s", "e", [...records])[0]).not.toBe(other[0]);
});
