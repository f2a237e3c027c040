import { describe, expect, it } from "vitest";
import { Backlog } from "../../../../src/board/connection/outbound/backlog.ts";
import { encodeText } from "../../../../src/wire/protocol/frame.ts";

/** A frame as it is on the wire. */
function frame(text: string): Buffer {
  const { block, start, end } = encodeText(text);
  return block.subarray(start, end);
}

/** All queued pieces, one after the other. */
function takeAll(backlog: Backlog): Buffer[] {
  const taken: Buffer[] = [];
  while (backlog.length > 0) taken.push(backlog.take(0));
  return taken;
}

const [a, b, c, d] = ["a", "bb", "ccc", "dddd"].map(frame) as [Buffer, Buffer, Buffer, Buffer];

it("returns pieces in order, and counts what is queued", () => {
  const backlog = new Backlog();
  for (const piece of [a, b, c]) backlog.add(piece);
  expect([backlog.length, backlog.bytes]).toEqual([3, a.length + b.length + c.length]);
  expect(takeAll(backlog)).toEqual([a, b, c]);
  expect([backlog.length, backlog.bytes]).toEqual([0, 0]);
});

it.each([
  ["one piece, however large, for 0 bytes", 0, 1],
  ["one piece when the second is a byte too large", a.length + b.length - 1, 1],
  ["both pieces that just fit", a.length + b.length, 2],
  ["all pieces for a larger limit", 1_000, 3],
])("takes %s", (_, maxBytes, count) => {
  const backlog = new Backlog();
  for (const piece of [a, b, c]) backlog.add(piece);
  expect(backlog.take(maxBytes)).toEqual(Buffer.concat([a, b, c].slice(0, count)));
  expect(backlog.length).toBe(3 - count);
});

it("takes nothing beyond a piece that doesn't fit, even if a later piece would fit", () => {
  const backlog = new Backlog();
  for (const piece of [a, d, b]) backlog.add(piece);
  expect(backlog.take(a.length + b.length)).toEqual(a);
});

it("returns a single piece in its original memory", () => {
  const backlog = new Backlog();
  backlog.add(a);
  expect(backlog.take(0)).toBe(a);
});

it("keeps order and count over many pieces that come and go", () => {
  const backlog = new Backlog();
  const taken: string[] = [];
  for (let i = 0; i < 1_000; i++) {
    backlog.add(frame(`${i}`));
    if (i % 3 !== 0) taken.push(backlog.take(0).toString("latin1", 2));
  }
  for (const piece of takeAll(backlog)) taken.push(piece.toString("latin1", 2));
  expect(taken).toEqual(Array.from({ length: 1_000 }, (_, i) => `${i}`));
  expect(backlog.bytes).toBe(0);
});

describe("dropping the oldest", () => {
  it.each([0, 125, 126, 65_535, 65_536])("drops one whole frame of a piece, with a payload of %i bytes", (length) => {
    const first = frame("x".repeat(length));
    const backlog = new Backlog();
    backlog.add(Buffer.concat([first, b, c]));
    backlog.dropOldest();
    expect([backlog.length, backlog.bytes]).toEqual([1, b.length + c.length]);
    expect(takeAll(backlog)).toEqual([Buffer.concat([b, c])]);
  });

  it("continues with the next piece after the last frame of one", () => {
    const backlog = new Backlog();
    backlog.add(Buffer.concat([a, b]));
    backlog.add(c);
    backlog.dropOldest();
    backlog.dropOldest();
    expect([backlog.length, backlog.bytes]).toEqual([1, c.length]);
    backlog.dropOldest();
    expect([backlog.length, backlog.bytes]).toEqual([0, 0]);
  });

  it("takes the rest of a piece together with the next piece", () => {
    const backlog = new Backlog();
    backlog.add(Buffer.concat([a, b]));
    backlog.add(c);
    backlog.dropOldest();
    expect(backlog.take(b.length + c.length)).toEqual(Buffer.concat([b, c]));
    expect(backlog.bytes).toBe(0);
  });
});

describe("conflating", () => {
  it("replaces the queued frame of a topic in place, and counts the difference", () => {
    const backlog = new Backlog();
    backlog.conflate("news", a);
    backlog.add(b);
    expect(backlog.waitingOf("news")).toBe(a.length);
    backlog.conflate("news", d);
    expect([backlog.length, backlog.bytes]).toEqual([2, d.length + b.length]);
    expect(takeAll(backlog)).toEqual([d, b]);
  });

  it("keeps topics separate", () => {
    const backlog = new Backlog();
    backlog.conflate("one", a);
    backlog.conflate("two", b);
    backlog.conflate("one", c);
    expect(takeAll(backlog)).toEqual([c, b]);
    expect(backlog.waitingOf("three")).toBeUndefined();
  });

  it.each(["taken", "dropped"])("starts at the end again once the frame was %s", (how) => {
    const backlog = new Backlog();
    backlog.conflate("news", a);
    for (const piece of [b, c]) backlog.add(piece);
    if (how === "taken") backlog.take(0);
    else backlog.dropOldest();
    expect(backlog.waitingOf("news")).toBeUndefined();
    backlog.conflate("news", d);
    expect(takeAll(backlog)).toEqual([b, c, d]);
  });

  it("finds the place of a topic after other frames have left", () => {
    const backlog = new Backlog();
    for (let i = 0; i < 10; i++) backlog.conflate(`topic ${i}`, a);
    for (let i = 0; i < 7; i++) backlog.take(0);
    backlog.conflate("topic 8", d);
    expect(takeAll(backlog)).toEqual([a, d, a]);
  });
});
