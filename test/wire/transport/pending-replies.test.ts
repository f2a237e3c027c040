import { expect, it } from "vitest";
import { PendingReplies } from "../../../src/wire/transport/pending-replies.ts";

it("gives each request its own serial, and returns each request once", () => {
  const replies = new PendingReplies<string>();
  const first = replies.addUntil("first", 60_000, () => {});
  const second = replies.addUntil("second", 60_000, () => {});
  expect(second).toBe(first + 1);
  expect(replies.size).toBe(2);
  expect(replies.take(second)).toBe("second");
  expect(replies.take(second)).toBeUndefined();
  expect(replies.take(first)).toBe("first");
  expect(replies.take(77)).toBeUndefined();
  expect(replies.size).toBe(0);
});

it("returns a request and all older ones, the oldest first, and keeps the newer ones", () => {
  const replies = new PendingReplies<string>();
  const [, second, third] = ["first", "second", "third"].map((request) => replies.add(request)) as [
    number,
    number,
    number,
  ];
  expect(replies.takeThrough(third + 1)).toEqual([]);
  expect(replies.takeThrough(second)).toEqual(["first", "second"]);
  expect(replies.takeThrough(second)).toEqual([]);
  expect(replies.take(third)).toBe("third");
  expect(replies.size).toBe(0);
});

it("returns all requests that match, the oldest first, and keeps the others", () => {
  const replies = new PendingReplies<string>();
  for (const request of ["a1", "b1", "a2"]) replies.addUntil(request, 60_000, () => {});
  expect(replies.takeAll((request) => request.startsWith("a"))).toEqual(["a1", "a2"]);
  expect(replies.takeAll()).toEqual(["b1"]);
  expect(replies.size).toBe(0);
});

it("forgets a request at its deadline, and calls back only for one that still waits", async () => {
  const replies = new PendingReplies<string>();
  const expired: string[] = [];
  const last = Promise.withResolvers<void>();
  const answered = replies.addUntil("answered", 1, (request) => expired.push(request));
  const late = replies.addUntil("late", 1, (request) => expired.push(request));
  replies.take(answered);
  replies.addUntil("last", 2, () => last.resolve());
  await last.promise;
  expect(expired).toEqual(["late"]);
  expect(replies.take(late)).toBeUndefined();
});
