import fc from "fast-check";
import { expect, it } from "vitest";
import { Mailbox } from "../../../../src/runtime/actor/queue/mailbox.ts";

interface Letter {
  readonly kind: "message";
  readonly name: number;
  readonly byteLength: number;
}

const letter = (name: number, byteLength = 1): Letter => ({ kind: "message", name, byteLength });

function takeAll(mailbox: Mailbox<Letter>): number[] {
  const names: number[] = [];
  for (let taken = mailbox.shift(); taken !== undefined; taken = mailbox.shift()) names.push(taken.name);
  return names;
}

it("returns messages in order", () => {
  const mailbox = new Mailbox<Letter>({ messages: 10, bytes: 100, mails: 10 });
  for (const name of [3, 1, 2]) mailbox.push(letter(name));
  expect(takeAll(mailbox)).toEqual([3, 1, 2]);
});

it("returns nothing when it is empty", () => {
  const mailbox = new Mailbox<Letter>({ messages: 10, bytes: 100, mails: 10 });
  expect(mailbox.shift()).toBeUndefined();
  mailbox.push(letter(1));
  mailbox.shift();
  expect(mailbox.shift()).toBeUndefined();
  expect(mailbox.length).toBe(0);
});

it.each([
  { name: "one message below the limit", letters: [1, 1], full: false },
  { name: "the limit of messages", letters: [1, 1, 1], full: true },
  { name: "one byte below the limit", letters: [50, 49], full: false },
  { name: "the limit of bytes", letters: [50, 50], full: true },
  { name: "one message larger than the limit of bytes", letters: [1000], full: true },
  { name: "no message", letters: [], full: false },
])("is full ($full) with $name", ({ letters, full }) => {
  const mailbox = new Mailbox<Letter>({ messages: 3, bytes: 100, mails: 10 });
  for (const bytes of letters) mailbox.push(letter(0, bytes));
  expect(mailbox.full).toBe(full);
});

it.each([
  { name: "more than half of the messages", letters: [1, 1, 1], roomy: false },
  { name: "half of the messages", letters: [1, 1], roomy: true },
  { name: "more than half of the bytes", letters: [51], roomy: false },
  { name: "half of the bytes", letters: [50], roomy: true },
])("is roomy ($roomy) with $name left", ({ letters, roomy }) => {
  const mailbox = new Mailbox<Letter>({ messages: 4, bytes: 100, mails: 10 });
  for (const bytes of letters) mailbox.push(letter(0, bytes));
  expect(mailbox.roomy).toBe(roomy);
});

it("is empty and accepts messages again after clear", () => {
  const mailbox = new Mailbox<Letter>({ messages: 2, bytes: 100, mails: 10 });
  mailbox.push(letter(1, 60));
  mailbox.push(letter(2, 60));
  mailbox.clear();
  expect(mailbox).toMatchObject({ length: 0, full: false, roomy: true });
  mailbox.push(letter(3));
  expect(takeAll(mailbox)).toEqual([3]);
});

it("behaves like a plain list, whatever is pushed, taken and cleared", () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant("push" as const), bytes: fc.integer({ min: 0, max: 60 }) }),
    fc.record({ kind: fc.constant("shift" as const) }),
    fc.record({ kind: fc.constant("clear" as const) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const mailbox = new Mailbox<Letter>({ messages: 5, bytes: 100, mails: 10 });
      const model: Letter[] = [];
      let name = 0;
      for (const one of steps) {
        if (one.kind === "push") {
          const pushed = letter(name++, one.bytes);
          mailbox.push(pushed);
          model.push(pushed);
        } else if (one.kind === "shift") {
          expect(mailbox.shift()).toBe(model.shift());
        } else {
          mailbox.clear();
          model.length = 0;
        }
        const bytes = model.reduce((sum, { byteLength }) => sum + byteLength, 0);
        expect(mailbox.length).toBe(model.length);
        expect(mailbox.full).toBe(model.length >= 5 || bytes >= 100);
        expect(mailbox.roomy).toBe(model.length <= 2.5 && bytes <= 50);
      }
    }),
  );
});

it("limits mail separately from messages", () => {
  const mailbox = new Mailbox({ messages: 1, bytes: 100, mails: 2 });
  mailbox.push({ kind: "mail" });
  mailbox.push({ kind: "timer" });
  expect(mailbox).toMatchObject({ full: false, mailFull: false });
  mailbox.push({ kind: "mail" });
  expect(mailbox).toMatchObject({ full: false, roomy: true, mailFull: true });
  mailbox.push({ kind: "message", byteLength: 1 });
  expect(mailbox).toMatchObject({ full: true, mailFull: true, length: 4 });
  mailbox.shift();
  expect(mailbox).toMatchObject({ full: true, mailFull: false });
});

it("returns its content when it is cleared", () => {
  const mailbox = new Mailbox<Letter>({ messages: 10, bytes: 100, mails: 10 });
  for (const name of [1, 2, 3]) mailbox.push(letter(name));
  mailbox.shift();
  expect(mailbox.clear().map(({ name }) => name)).toEqual([2, 3]);
  expect(mailbox.clear()).toEqual([]);
});

it("limits notices separately from mail and messages, by the limit of mails", () => {
  const mailbox = new Mailbox({ messages: 1, bytes: 100, mails: 2 });
  for (const kind of ["notice", "mail", "mail"] as const) mailbox.push({ kind });
  expect(mailbox).toMatchObject({ full: false, mailFull: true, noticesFull: false });
  mailbox.push({ kind: "notice" });
  expect(mailbox.noticesFull).toBe(true);
  mailbox.shift();
  expect(mailbox.noticesFull).toBe(false);
  mailbox.push({ kind: "notice" });
  mailbox.clear();
  expect(mailbox).toMatchObject({ length: 0, noticesFull: false });
});
