import { expect, it } from "vitest";
import { UnstoredLog } from "../../../../src/runtime/feeds/joining/unstored-log.ts";
import { span } from "../../engine/host.ts";

const MIB = 1024 * 1024;

function publication(after: number, bytes = 1) {
  return { record: { offset: 0, timeMs: 0, frame: { block: Buffer.alloc(0), start: 0, end: bytes } }, after };
}

it("numbers publications, and keeps them until it is cleared", () => {
  const log = new UnstoredLog();
  log.pass();
  log.add(publication(7));
  log.add(publication(8));
  expect([0, 1, 2, 3].map((number) => log.at(number)?.after)).toEqual([undefined, 7, 8, undefined]);
  expect([log.next, log.missedFrom(0), log.missedFrom(1)]).toEqual([3, 1, 0]);
  log.clear();
  expect([log.next, log.at(2), log.missedFrom(1)]).toEqual([3, undefined, 2]);
});

it.each([
  { bound: "number", bytes: 1, kept: 16_384 },
  { bound: "bytes", bytes: 64 * 1024, kept: 64 },
])("is bounded in $bound, and keeps the newest", ({ bytes, kept }) => {
  const log = new UnstoredLog();
  for (const after of span(0, kept - 1)) log.add(publication(after, bytes));
  expect(log.missedFrom(0)).toBe(0);
  log.add(publication(kept, bytes));
  expect(log.missedFrom(0)).toBe(kept / 2);
  expect([log.at(kept / 2)?.after, log.at(kept)?.after]).toEqual([kept / 2, kept]);
  // The room of those that went is there again.
  for (const after of span(kept + 1, kept + kept / 2 - 1)) log.add(publication(after, bytes));
  expect(log.missedFrom(0)).toBe(kept / 2);
});

it("keeps one publication, however large", () => {
  const log = new UnstoredLog();
  for (const after of [1, 2]) log.add(publication(after, 5 * MIB));
  expect([log.missedFrom(0), log.at(1)?.after]).toEqual([1, 2]);
});
