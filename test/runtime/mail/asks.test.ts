import { expect, it, vi } from "vitest";
import { reportError } from "../../../src/errors.ts";
import type { Address } from "../../../src/runtime/actor/address.ts";
import type { AskOptions } from "../../../src/runtime/actor/mail.ts";
import { Asks } from "../../../src/runtime/mail/asks.ts";

const MAX_ASKS = 65_536;
const MAX_TIMEOUT_MS = 2 ** 31 - 1;
const to = "1-7" as Address;
/** Lives of two threads. */
const [threadA, threadB] = [1, 2];

function begin(asks: Asks, life?: number) {
  const begun = asks.begin(to, life);
  if (begun === undefined) throw new Error("too many asks");
  return begun;
}

it("resolves with the answer to its number, in whatever order answers come", async () => {
  const asks = new Asks();
  const [first, second] = [begin(asks), begin(asks)];
  asks.settle(second.ask, { kind: "answered", value: "two" });
  asks.settle(first.ask, { kind: "answered", value: "one" });
  expect(await Promise.all([first.result, second.result])).toEqual(["one", "two"]);
});

it.each([
  ["ERR_ASK_GONE", { kind: "gone" }],
  ["ERR_ASK_FAILED", { kind: "failed", error: reportError(new TypeError("boom")) }],
] as const)("rejects with %s for that outcome", async (code, outcome) => {
  const asks = new Asks();
  const { ask, result } = begin(asks);
  asks.settle(ask, outcome);
  await expect(result).rejects.toMatchObject({ code });
  if (outcome.kind === "failed") await expect(result).rejects.toMatchObject({ cause: { message: "boom" } });
});

it.each([
  ["full", "ERR_ASK_FULL"],
  ["gone", "ERR_ASK_GONE"],
] as const)("rejects when its mail is refused as %s", async (verdict, code) => {
  const asks = new Asks();
  const { ask, result } = begin(asks);
  asks.refuse(ask, verdict);
  await expect(result).rejects.toMatchObject({ code });
});

it("takes only the first outcome, and ignores unknown numbers", async () => {
  const asks = new Asks();
  const { ask, result } = begin(asks);
  asks.settle(ask, { kind: "answered", value: "first" });
  asks.settle(ask, { kind: "gone" });
  asks.refuse(ask, "full");
  asks.settle(99, { kind: "answered", value: "nobody's" });
  expect(await result).toBe("first");
});

it("rejects the asks that wait for a thread that ends, and no others", async () => {
  const asks = new Asks();
  const [a, b, here] = [begin(asks, threadA), begin(asks, threadB), begin(asks)];
  asks.threadEnded(threadA);
  await expect(a.result).rejects.toMatchObject({ code: "ERR_ASK_GONE" });
  asks.settle(b.ask, { kind: "answered", value: "b" });
  asks.settle(here.ask, { kind: "answered", value: "here" });
  expect(await Promise.all([b.result, here.result])).toEqual(["b", "here"]);
});

it("rejects after its timeout, and not before", async () => {
  vi.useFakeTimers();
  try {
    const asks = new Asks();
    const settled = vi.fn();
    const result = asks.begin(to, undefined, { timeoutMs: 100 })?.result;
    result?.catch(settled);
    await vi.advanceTimersByTimeAsync(99);
    expect(settled).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(1);
    await expect(result).rejects.toMatchObject({ code: "ERR_ASK_TIMEOUT" });
  } finally {
    vi.useRealTimers();
  }
});

it.each([0, -1, 1.5, Number.NaN, MAX_TIMEOUT_MS + 1])("refuses a timeout of %s ms", (timeoutMs) => {
  expect(() => new Asks().begin(to, undefined, { timeoutMs })).toThrow(expect.objectContaining({ code: "ERR_OPTION" }));
});

it.each([{ timeoutms: 100 }, null, 100])("refuses the options %o", (options) => {
  const error = expect.objectContaining({ code: "ERR_OPTION", message: expect.stringMatching(/^ask: .*option/) });
  expect(() => new Asks().begin(to, undefined, options as AskOptions)).toThrow(error);
});

it.each([1, MAX_TIMEOUT_MS])("takes a timeout of %s ms", async (timeoutMs) => {
  const asks = new Asks();
  const begun = asks.begin(to, undefined, { timeoutMs });
  asks.settle(begun?.ask ?? -1, { kind: "answered", value: "in time" });
  expect(await begun?.result).toBe("in time");
});

it(`accepts at most ${MAX_ASKS} pending asks, and another one after each answer`, async () => {
  const asks = new Asks();
  const all = Array.from({ length: MAX_ASKS }, () => begin(asks, threadA));
  expect(asks.begin(to, threadA)).toBeUndefined();
  asks.settle(all[0]?.ask ?? -1, { kind: "answered", value: "room" });
  const last = begin(asks, threadA);
  asks.threadEnded(threadA);
  const results = await Promise.allSettled([...all.map(({ result }) => result), last.result]);
  expect(results.filter(({ status }) => status === "rejected")).toHaveLength(MAX_ASKS);
});
