import fc from "fast-check";
import { expect, it } from "vitest";
import { recover } from "../../../src/runtime/streams/recovery.ts";
import { encodeText } from "../../../src/wire/protocol/frame.ts";

const recordsOf = (offsets: readonly number[]) =>
  offsets.map((offset) => ({ offset, timeMs: 0, frame: encodeText(`${offset}`) }));

const CASES: { what: string; since: number; epoch?: string; top: number; read: number[]; recovered: boolean }[] = [
  { what: "nothing was missed", since: 5, top: 5, read: [], recovered: true },
  { what: "nothing was ever published", since: 0, top: 0, read: [], recovered: true },
  { what: "all that was missed is there", since: 3, top: 5, read: [4, 5], recovered: true },
  { what: "the client names no epoch", since: 3, epoch: "", top: 5, read: [4, 5], recovered: true },
  { what: "the client names no epoch and missed nothing", since: 5, epoch: "", top: 5, read: [], recovered: true },
  { what: "the epoch is another", since: 3, epoch: "other", top: 5, read: [4, 5], recovered: false },
  { what: "the epoch is another, and nothing was read", since: 5, epoch: "other", top: 5, read: [], recovered: false },
  { what: "the first is missing", since: 2, top: 5, read: [4, 5], recovered: false },
  { what: "one in the middle is missing", since: 2, top: 5, read: [3, 5], recovered: false },
  { what: "the last is missing", since: 2, top: 5, read: [3, 4], recovered: false },
  { what: "all are missing", since: 2, top: 5, read: [], recovered: false },
  { what: "the client is from the future", since: 6, top: 5, read: [], recovered: false },
  { what: "the client is from the far future", since: Number.MAX_SAFE_INTEGER, top: 5, read: [], recovered: false },
  { what: "more was read than was asked for", since: 3, top: 5, read: [3, 4, 5], recovered: false },
  { what: "one was read twice", since: 3, top: 5, read: [4, 4, 5], recovered: false },
];

it.each(CASES)("says recovered: $recovered when $what", ({ since, epoch = "abc", top, read, recovered }) => {
  const records = recordsOf(read);
  const recovery = recover({ epoch, offset: since }, { top: { epoch: "abc", offset: top }, records });
  expect(recovery).toEqual({ recovered, records: recovered ? records : [] });
});

it("never hands out a part, whatever is missing", () => {
  const property = fc.property(fc.nat(20), fc.uniqueArray(fc.integer({ min: 1, max: 20 })), (since, kept) => {
    const read = kept.filter((offset) => offset > since).toSorted((a, b) => a - b);
    const recovery = recover(
      { epoch: "abc", offset: since },
      { top: { epoch: "abc", offset: 20 }, records: recordsOf(read) },
    );
    expect(recovery.recovered).toBe(read.length === 20 - since);
    expect(recovery.records).toHaveLength(recovery.recovered ? 20 - since : 0);
  });
  fc.assert(property);
});
