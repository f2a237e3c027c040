import { createHistogram } from "node:perf_hooks";
import { deserialize, serialize } from "node:v8";
import { expect, it } from "vitest";
import { checkPlainData } from "../../../../src/runtime/actor/moving/plain-data.ts";

class Money {
  readonly cents = 1;
}

it.each([
  ...[undefined, null, 1, "text", 1n, {}, [], Object.create(null)],
  ...[new Date(0), /x/g, new Map([[{ a: 1 }, new Set([new Float32Array(2)])]]), Buffer.from("x"), new ArrayBuffer(2)],
  new RangeError("far", { cause: new TypeError("type") }),
])("lets pass what v8.serialize keeps: %o", (value) => {
  expect(() => checkPlainData({ deep: [value] }, "it")).not.toThrow();
  expect(deserialize(serialize(value))).toEqual(value);
});

it.each([
  ["Blob", new Blob(["x"])],
  ["URL", new URL("http://localhost/")],
  ["Headers", new Headers()],
  ["AbortSignal", new AbortController().signal],
  ["ReadableStream", new ReadableStream()],
  ["RecordableHistogram", createHistogram()],
  ["AggregateError", new AggregateError([])],
  ["DOMException", new DOMException("x")],
  ["Money", new Money()],
])("refuses what v8.serialize changes: %s", (name, value) => {
  const places: unknown[] = [value, [value], { value }, new Map([[value, 1]]), new Map([[1, value]]), new Set([value])];
  places.push(new Error("x", { cause: value }));
  for (const place of places) {
    expect(() => checkPlainData(place, "it")).toThrow(
      expect.objectContaining({ code: "ERR_STATE_NOT_CLONEABLE", message: expect.stringContaining(`of ${name}`) }),
    );
  }
});

it("ends with values that hold themselves", () => {
  const ring: unknown[] = [];
  ring.push(ring, { ring });
  expect(() => checkPlainData(ring, "it")).not.toThrow();
});
