import { expect, it } from "vitest";
import { Recent } from "../../../../src/runtime/feeds/joining/recent.ts";
import type { StreamRecord } from "../../../../src/runtime/streams/publication.ts";
import { span } from "../../engine/host.ts";

function record(offset: number, bytes = 1): StreamRecord {
  return { offset, timeMs: 0, frame: { block: Buffer.alloc(0), start: 0, end: bytes } };
}

function filled(from: number, to: number): Recent {
  const recent = new Recent();
  for (const offset of span(from, to)) recent.add(record(offset));
  return recent;
}

const offsets = (records: readonly StreamRecord[] | undefined) => records?.map(({ offset }) => offset);

it.each([
  { since: 3, expected: undefined },
  { since: 4, expected: [5, 6, 7] },
  { since: 6, expected: [7] },
  { since: 7, expected: [] },
  { since: 9, expected: [] },
])("of 5 to 7, those after $since are $expected", ({ since, expected }) => {
  expect(offsets(filled(5, 7).since(since))).toEqual(expected);
});

it("knows nothing while it is empty, and after clear", () => {
  const recent = new Recent();
  expect(recent.since(0)).toBeUndefined();
  recent.add(record(1));
  recent.clear();
  expect(recent.since(0)).toBeUndefined();
  expect(recent.all).toEqual([]);
});

it.each([9, 5, 7])("forgets 5 to 7 when %i comes, which doesn't follow", (offset) => {
  const recent = filled(5, 7);
  recent.add(record(offset));
  expect(offsets(recent.all)).toEqual([offset]);
});

it("is bounded in number", () => {
  const recent = filled(1, 1_024);
  expect(recent.all).toHaveLength(1_024);
  recent.add(record(1_025));
  expect(offsets(recent.since(1_024))).toEqual([1_025]);
  expect(recent.since(1_023)).toBeUndefined();
  for (const offset of span(1_026, 10_000)) {
    recent.add(record(offset));
    expect(recent.all.length).toBeLessThanOrEqual(1_024);
  }
});

it("is bounded in bytes, and takes one publication of any size", () => {
  const recent = new Recent();
  recent.add(record(1, 1024 * 1024 - 1));
  recent.add(record(2, 1));
  expect(offsets(recent.all)).toEqual([1, 2]);
  recent.add(record(3, 1));
  expect(offsets(recent.all)).toEqual([3]);
  recent.add(record(4, 10 * 1024 * 1024));
  expect(offsets(recent.all)).toEqual([4]);
});
