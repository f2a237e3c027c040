import { expect, it, vi } from "vitest";
import { Message } from "../../../src/wire/protocol/message.ts";
import { Inbox } from "../../../src/wire/websocket/inbox.ts";

const owner = { drained: () => {}, answered: () => {} };

function message(size: number): Message {
  return new Message(Buffer.alloc(2 + size), 0, 2, 2 + size);
}

it.each([
  ["messages", { maxInboxMessages: 4, maxInboxBytes: 1_000 }, 10],
  ["bytes", { maxInboxMessages: 1_000, maxInboxBytes: 40 }, 10],
])("is full at its limit of %s, and reports when half of it is taken", async (_, limits, size) => {
  const [drained, answered] = [vi.fn(), vi.fn()];
  const inbox = new Inbox(limits, { drained, answered });
  for (let i = 0; i < 4; i++) {
    expect(inbox.full).toBe(false);
    inbox.push(message(size));
  }
  expect(inbox.full).toBe(true);
  await inbox.next();
  expect(drained).not.toHaveBeenCalled();
  await inbox.next();
  expect(drained).toHaveBeenCalled();
});

it("gives messages to waiting readers in their order", async () => {
  const inbox = new Inbox({ maxInboxMessages: 1, maxInboxBytes: 1 }, owner);
  const waiting = [inbox.next(), inbox.next()];
  inbox.push(message(1));
  inbox.push(message(2));
  expect((await Promise.all(waiting)).map(({ value }) => value?.byteLength)).toEqual([1, 2]);
  expect(inbox.full).toBe(false);
});

it("gives the remaining messages after its end, and then is done", async () => {
  const inbox = new Inbox({ maxInboxMessages: 2, maxInboxBytes: 100 }, owner);
  inbox.push(message(1));
  inbox.end();
  inbox.push(message(2));
  expect((await inbox.next()).value?.byteLength).toBe(1);
  expect(await inbox.next()).toEqual({ done: true, value: undefined });
});

it("is answered when no message waits, and no loop has one", async () => {
  const answered = vi.fn();
  const inbox = new Inbox({ maxInboxMessages: 4, maxInboxBytes: 100 }, { drained: () => {}, answered });
  const [loop, left] = [inbox.loop(), inbox.loop()];
  expect(inbox.isAnswered).toBe(true);
  const first = loop.next();
  for (let i = 0; i < 3; i++) inbox.push(message(1));
  await Promise.all([first, left.next(), inbox.next()]);
  expect(inbox.isAnswered).toBe(false);
  void loop.next();
  expect(answered).not.toHaveBeenCalled();
  await left.return?.();
  expect(inbox.isAnswered).toBe(true);
  expect(answered).toHaveBeenCalledOnce();
});

it("ends waiting readers", async () => {
  const inbox = new Inbox({ maxInboxMessages: 2, maxInboxBytes: 100 }, owner);
  const waiting = inbox.next();
  inbox.end();
  expect(await waiting).toEqual({ done: true, value: undefined });
});
