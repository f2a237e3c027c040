import fc from "fast-check";
import { expect, it } from "vitest";
import { Times } from "../../src/load/times.ts";

it("returns times in their order, whatever their number", () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.double({ noNaN: true }), fc.constant(undefined))),
      fc.integer({ min: 0, max: 9 }),
      (steps, capacity) => {
        const times = new Times(capacity);
        const model: number[] = [];
        for (const step of steps) {
          if (step !== undefined) {
            times.push(step);
            model.push(step);
          } else if (model.length > 0) {
            expect(times.shift()).toBe(model.shift());
          }
          expect(times.length).toBe(model.length);
        }
      },
    ),
  );
});

it("is empty after it was cleared", () => {
  const times = new Times();
  times.push(1);
  times.clear();
  expect(times.length).toBe(0);
  times.push(2);
  expect(times.shift()).toBe(2);
});
