import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { Address } from "../../../src/runtime/actor/address.ts";
import { HomeTable, type KeptLetter } from "../../../src/runtime/mail/home-table.ts";
import type { MailLink } from "../../../src/runtime/mail/mail-link.ts";

const [HOME, OTHER] = [1, 2];
const A = "0-a" as Address;

const settled: string[] = [];

function letter(value: string): KeptLetter {
  return {
    letter: { to: A, from: undefined, value, ask: undefined },
    link: undefined,
    settle: (verdict) => settled.push(`${value}: ${verdict}`),
  };
}

const values = (letters: readonly KeptLetter[]): unknown[] => letters.map(({ letter: { value } }) => value);

function scene() {
  const note = vi.fn();
  const taken: KeptLetter[] = [];
  const links = new Map([[OTHER, { note } as unknown as MailLink]]);
  const table = new HomeTable(HOME, links, (one) => taken.push(one));
  const send = (value: string): unknown => table.placeOf(A)?.kept?.push(letter(value));
  return { table, links, note, taken, send };
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  settled.length = 0;
});
afterEach(() => void vi.useRealTimers());

it("keeps letters in order from keep to here, and knows the place from then on", () => {
  const { table, note, taken, send } = scene();
  expect(table.placeOf(A)).toBeUndefined();
  table.noteReceived({ note: "keep", address: A }, OTHER);
  expect(note).toHaveBeenCalledWith({ note: "kept", address: A });
  send("one");
  send("two");
  expect(taken).toEqual([]);
  table.noteReceived({ note: "here", address: A }, OTHER);
  expect(values(taken)).toEqual(["one", "two"]);
  expect(table.placeOf(A)).toMatchObject({ life: OTHER, kept: undefined });
});

it("keeps an actor's letters on when the actor moves again before it has arrived", () => {
  const { table, taken, send } = scene();
  table.keep(A, OTHER);
  send("one");
  table.keep(A, HOME);
  send("two");
  table.noteReceived({ note: "here", address: A }, HOME);
  expect(values(taken)).toEqual(["one", "two"]);
  expect(table.placeOf(A)).toBeUndefined();
});

it("takes an actor that tells nothing for 15 s for not having moved", () => {
  const { table, taken, send } = scene();
  table.keep(A, OTHER);
  send("one");
  vi.advanceTimersByTime(14_999);
  expect(taken).toEqual([]);
  vi.advanceTimersByTime(1);
  expect(values(taken)).toEqual(["one"]);
  expect(table.placeOf(A)).toMatchObject({ life: OTHER, kept: undefined });
});

it("refuses what was kept for an actor that has ended where it was last, and there only", () => {
  const { table, send } = scene();
  table.keep(A, OTHER);
  send("one");
  table.noteReceived({ note: "ended", address: A }, HOME);
  expect(settled).toEqual([]);
  table.noteReceived({ note: "ended", address: A }, OTHER);
  expect(settled).toEqual(["one: gone"]);
  expect(table.placeOf(A)).toBeUndefined();
});

it("forgets the actors of a thread that has ended, but not those that were about to leave it", () => {
  const { table } = scene();
  const B = "0-b" as Address;
  table.load([
    { address: A, life: OTHER, moves: false },
    { address: B, life: OTHER, moves: true },
  ]);
  table.threadEnded(OTHER);
  expect(table.placeOf(A)).toBeUndefined();
  expect(table.placeOf(B)).toMatchObject({ life: OTHER, kept: [] });
});

it("gives away its places and what was kept, and hands out nothing any more", () => {
  const { table, taken, send } = scene();
  table.keep(A, OTHER);
  send("one");
  const { places, kept } = table.empty();
  expect(places).toEqual([{ address: A, life: OTHER, moves: true }]);
  expect(values(kept)).toEqual(["one"]);
  expect(table.placeOf(A)).toBeUndefined();
  vi.advanceTimersByTime(15_000);
  expect(taken).toEqual([]);
});
