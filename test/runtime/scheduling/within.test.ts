import { expect, it } from "vitest";
import { within } from "../../../src/runtime/scheduling/within.ts";

const NEVER = new Promise<never>(() => {});

it.each([{ ref: true }, { ref: false }])("says whether a promise resolved in time, with %o", async (options) => {
  expect(await within(60_000, Promise.resolve(false), options)).toBe(true);
  // A timer with `ref` false doesn't keep the event loop alive; that of the test runner does.
  expect(await within(1, NEVER, options)).toBe(false);
});

it("rejects with the promise", async () => {
  await expect(within(60_000, Promise.reject(new Error("failed")))).rejects.toThrow("failed");
});
