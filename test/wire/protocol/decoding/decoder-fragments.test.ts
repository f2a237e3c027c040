import { describe, expect, it } from "vitest";
import { binary, clientFrame, close, continuation, ping, pong, text } from "../../../support/frames.ts";
import {
  decode,
  decodeBytewise,
  pattern,
  seenBinary,
  seenClose,
  seenPing,
  seenPong,
  seenText,
  seenViolation,
} from "./decoding.ts";

const open = { fin: false };

describe("fragmented messages", () => {
  const sequences = [
    ["two fragments of a text", [text("Hel", open), continuation("lo")], [seenText("Hello")]],
    [
      "two fragments of bytes",
      [binary(pattern(3), open), continuation("x")],
      [seenBinary(Buffer.from("\u0000\u0007\u000ex"))],
    ],
    ["an empty first fragment", [text("", open), continuation("lo")], [seenText("lo")]],
    ["an empty last fragment", [text("Hel", open), continuation("")], [seenText("Hel")]],
    ["only empty fragments", [text("", open), continuation("", open), continuation("")], [seenText("")]],
    [
      "a message after another",
      [text("a", open), continuation("b"), binary(Buffer.from("c"), open), continuation("d"), text("e")],
      [seenText("ab"), seenBinary("cd"), seenText("e")],
    ],
    [
      "control frames between fragments, seen before the message",
      [text("a", open), ping("1"), continuation("b", open), pong("2"), ping(), continuation("c")],
      [seenPing("1"), seenPong("2"), seenPing(""), seenText("abc")],
    ],
    ["a close inside a message, which is lost", [text("a", open), close(1001, "bye")], [seenClose(1001, "bye")]],
  ] as const;
  it.each(sequences)("accepts %s", (_name, frames, events) => {
    const bytes = Buffer.concat(frames);
    expect(decode([bytes])).toEqual(events);
    expect(decode(frames)).toEqual(events);
    expect(decodeBytewise(bytes)).toEqual(events);
  });

  it("unmasks each fragment with its own key, from the key's first byte on", () => {
    const keys = [Buffer.from([1, 2, 3, 4]), Buffer.from([9, 8, 7, 6]), Buffer.from([255, 0, 255, 0])] as const;
    const bytes = Buffer.concat([
      text("abcde", { fin: false, key: keys[0] }),
      continuation("fg", { fin: false, key: keys[1] }),
      continuation("hijklmnop", { key: keys[2] }),
    ]);
    expect(decode([bytes])).toEqual([seenText("abcdefghijklmnop")]);
  });

  it.each([125, 126, 127, 65_535, 65_536])("accepts fragments of %i bytes", (length) => {
    const frames = [binary(pattern(length), open), continuation(pattern(length), open), continuation(pattern(length))];
    const expected = [seenBinary(Buffer.concat([pattern(length), pattern(length), pattern(length)]))];
    expect(decode(frames)).toEqual(expected);
    expect(decode([Buffer.concat(frames)])).toEqual(expected);
  });

  it("accepts 500 fragments of one byte", () => {
    const bytes = pattern(500);
    const frames = Array.from(bytes, (byte, i) =>
      clientFrame(i === 0 ? 0x2 : 0x0, Buffer.from([byte]), { fin: i === bytes.length - 1 }),
    );
    expect(decode([Buffer.concat(frames)])).toEqual([seenBinary(bytes)]);
  });
});

describe("fragments out of order", () => {
  const wrong = [
    ["a continuation at first", [continuation("a")], "ERR_UNEXPECTED_CONTINUATION"],
    ["an open continuation at first", [continuation("a", open)], "ERR_UNEXPECTED_CONTINUATION"],
    ["a text inside a text", [text("a", open), text("b")], "ERR_EXPECTED_CONTINUATION"],
    ["a binary inside a text", [text("a", open), binary(pattern(1))], "ERR_EXPECTED_CONTINUATION"],
    ["an open text inside a text", [text("a", open), text("b", open)], "ERR_EXPECTED_CONTINUATION"],
    ["a text inside an empty fragment's message", [text("", open), text("b")], "ERR_EXPECTED_CONTINUATION"],
  ] as const;
  it.each(wrong)("refuses %s", (_name, frames, code) => {
    expect(decode(frames)).toEqual([seenViolation(code, 1002)]);
    expect(decodeBytewise(Buffer.concat(frames))).toEqual([seenViolation(code, 1002)]);
  });

  it("refuses a continuation after a message has ended", () => {
    expect(decode([text("a"), continuation("b")])).toEqual([
      seenText("a"),
      seenViolation("ERR_UNEXPECTED_CONTINUATION", 1002),
    ]);
    expect(decode([text("a", open), continuation("b"), continuation("c")])).toEqual([
      seenText("ab"),
      seenViolation("ERR_UNEXPECTED_CONTINUATION", 1002),
    ]);
  });

  it("still expects a continuation after a control frame between fragments", () => {
    expect(decode([text("a", open), ping("p"), text("b")])).toEqual([
      seenPing("p"),
      seenViolation("ERR_EXPECTED_CONTINUATION", 1002),
    ]);
  });
});
