/** That the judge of the cluster faults finds each thing that may not happen. */
import { expect, it } from "vitest";
import { judge, type Line, type TopicRecord } from "./cluster/checker.ts";

const at = (offset: number, epoch = "e") => ({ epoch, offset });
const saw = (offset: number, epoch = "e", text = `p ${epoch === "e" ? offset : offset + 10}`): Line => ({
  kind: "publication",
  text,
  ...at(offset, epoch),
});
const joined: Line = { kind: "joined", position: at(0) };

/** A record that is right: three publications in one epoch, then two in the next. */
function record(lines: readonly Line[], changes: Partial<TopicRecord> = {}): TopicRecord {
  const told: Line = { kind: "told", position: at(0, "f") };
  const right = [joined, saw(1), saw(2), saw(3), told, saw(1, "f"), saw(2, "f")];
  return {
    subscribers: [
      { name: "right", lines: right },
      { name: "other", lines },
    ],
    stored: [
      ...[1, 2, 3].map((offset) => ({ text: `p ${offset}`, position: at(offset) })),
      ...[1, 2].map((offset) => ({ text: `p ${offset + 10}`, position: at(offset, "f") })),
    ],
    history: [1, 2].map((offset) => ({ text: `p ${offset + 10}`, ...at(offset, "f") })),
    top: at(2, "f"),
    ...changes,
  };
}

const toF: Line = { kind: "told", position: at(0, "f") };
const end = [toF, saw(1, "f"), saw(2, "f")];

it.each<{ readonly what: string; readonly lines: Line[]; readonly changes?: Partial<TopicRecord> }>([
  { what: "all of it", lines: [joined, saw(1), saw(2), saw(3), ...end] },
  { what: "a loss that was told", lines: [joined, saw(1), ...end] },
  { what: "a return", lines: [joined, saw(1), saw(2), { kind: "recovered", position: at(2) }, saw(3), ...end] },
  { what: "a late comer", lines: [{ kind: "joined", position: at(2) }, saw(3), ...end] },
])("finds nothing wrong with $what", ({ lines }) => {
  expect(judge(record(lines))).toEqual([]);
});

it.each<{ readonly what: RegExp; readonly lines: Line[]; readonly changes?: Partial<TopicRecord> }>([
  { what: /twice/, lines: [joined, saw(1), saw(1), saw(2), saw(3), ...end] },
  { what: /wasn't told/, lines: [joined, saw(1), saw(3), ...end] },
  { what: /wasn't told/, lines: [joined, saw(1), saw(2), saw(3), saw(1, "f"), saw(2, "f")] },
  { what: /after a later one/, lines: [joined, saw(2), saw(1), saw(3), ...end] },
  { what: /where others have/, lines: [joined, saw(1, "e", "p 2"), saw(2, "e", "p 3"), saw(3, "e", "p 4"), ...end] },
  { what: /the top is/, lines: [joined, saw(1), saw(2), saw(3), toF, saw(1, "f")] },
  { what: /never saw p 12/, lines: [joined, saw(1), saw(2), saw(3), toF, saw(1, "f")] },
  { what: /said to be recovered/, lines: [joined, saw(1), { kind: "recovered", position: at(2) }, saw(3), ...end] },
  { what: /came back/, lines: [joined, saw(1), ...end, { kind: "told", position: at(3) }, ...end] },
  { what: /went back/, lines: [joined, saw(1), ...end, { kind: "told", position: at(1, "f") }, saw(2, "f")] },
  { what: /the history lacks p 11/, lines: [joined, ...end], changes: { history: [] } },
])("finds $what", ({ what, lines, changes }) => {
  expect(judge(record(lines, changes)).join("\n")).toMatch(what);
});
