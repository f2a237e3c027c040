import fc from "fast-check";
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

describe("kept pieces", () => {
  it("are never dropped, and others go around them in order", () => {
    const backlog = new Backlog();
    backlog.add(a, true);
    backlog.add(b);
    backlog.add(Buffer.concat([c, d]));
    backlog.add(a, true);
    backlog.add(b);
    expect([backlog.dropOldest(), backlog.dropOldest()]).toEqual([true, true]);
    expect([backlog.length, backlog.bytes]).toEqual([4, 2 * a.length + d.length + b.length]);
    expect([backlog.dropOldest(), backlog.dropOldest(), backlog.dropOldest()]).toEqual([true, true, false]);
    expect(takeAll(backlog)).toEqual([a, a]);
    expect([backlog.length, backlog.bytes]).toEqual([0, 0]);
  });

  it("don't bring a dropped frame of a topic back to its old place", () => {
    const backlog = new Backlog();
    backlog.add(a, true);
    backlog.conflate("news", b);
    backlog.add(c, true);
    expect(backlog.dropOldest()).toBe(true);
    expect(backlog.waitingOf("news")).toBeUndefined();
    backlog.conflate("news", d);
    expect(takeAll(backlog)).toEqual([a, c, d]);
  });

  it("let room be reused behind them, however many frames are dropped", () => {
    const backlog = new Backlog();
    backlog.add(a, true);
    for (let i = 0; i < 10_000; i++) {
      backlog.add(b);
      if (i > 10) expect(backlog.dropOldest()).toBe(true);
      expect(backlog.length).toBeLessThanOrEqual(13);
    }
    expect(backlog.bytes).toBe(a.length + 11 * b.length);
  });

  it("cost the same time each, however many there are", () => {
    const timeOf = (pieces: number): number => {
      const backlog = new Backlog();
      const begin = process.cpuUsage().user;
      for (let i = 0; i < pieces; i++) backlog.add(i % 2 === 0 ? a : b, i % 2 === 0);
      while (backlog.dropOldest());
      expect(backlog.length).toBe(pieces / 2);
      while (backlog.length > 0) backlog.take(0);
      return process.cpuUsage().user - begin;
    };
    // CPU time, and the best of several: other processes take time, too.
    const bestOf = (pieces: number): number => Math.min(...Array.from({ length: 7 }, () => timeOf(pieces)));
    const few = bestOf(8_000);
    // With quadratic time, the ratio would be 64.
    expect(bestOf(64_000)).toBeLessThan(40 * Math.max(1_000, few));
  });

  it("and others behave like a plain list of frames, whatever is added, dropped and taken", () => {
    const step = fc.oneof(
      fc.record({ do: fc.constant("add" as const), frames: fc.integer({ min: 1, max: 3 }), isKept: fc.boolean() }),
      fc.record({ do: fc.constant("conflate" as const), topic: fc.constantFrom("x", "y") }),
      fc.record({ do: fc.constant("drop" as const) }),
      fc.record({ do: fc.constant("take" as const), bytes: fc.nat({ max: 30 }) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200, size: "max" }), (steps) => {
        const backlog = new Backlog();
        let model: { frames: Buffer[]; isKept: boolean; topic?: string }[] = [];
        const next = (): Buffer => frame(`${count++}`);
        let count = 0;
        const bytesOf = (pieces: typeof model) => Buffer.concat(pieces.flatMap(({ frames }) => frames)).length;
        for (const one of steps) {
          if (one.do === "add") {
            const frames = Array.from({ length: one.frames }, next);
            backlog.add(Buffer.concat(frames), one.isKept);
            model.push({ frames, isKept: one.isKept });
          } else if (one.do === "conflate") {
            const [waiting, frames] = [model.find(({ topic }) => topic === one.topic), [next()]];
            backlog.conflate(one.topic, frames[0] as Buffer);
            if (waiting === undefined) model.push({ frames, isKept: false, topic: one.topic });
            else waiting.frames = frames;
          } else if (one.do === "drop") {
            const oldest = model.find(({ isKept }) => !isKept);
            expect(backlog.dropOldest()).toBe(oldest !== undefined);
            oldest?.frames.shift();
            model = model.filter(({ frames }) => frames.length > 0);
          } else if (model.length > 0) {
            let taken = 1;
            while (taken < model.length && bytesOf(model.slice(0, taken + 1)) <= one.bytes) taken++;
            expect(backlog.take(one.bytes)).toEqual(
              Buffer.concat(model.splice(0, taken).flatMap(({ frames }) => frames)),
            );
          }
          expect([backlog.length, backlog.bytes]).toEqual([model.length, bytesOf(model)]);
        }
      }),
    );
  });
});

it("goes on in another backlog with the same frames, droppable and replaceable as before", () => {
  const backlog = new Backlog();
  backlog.add(Buffer.concat([a, b]));
  backlog.conflate("topic", c);
  backlog.add(d, true);
  backlog.dropOldest();
  const next = new Backlog();
  next.load(structuredClone(backlog.save()));
  expect(next.bytes).toBe(b.length + c.length + d.length);
  next.conflate("topic", a);
  expect(next.dropOldest()).toBe(true);
  expect(Buffer.concat(takeAll(next))).toEqual(Buffer.concat([a, d]));
});
