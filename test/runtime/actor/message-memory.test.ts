import { expect, it } from "vitest";
import { Actor } from "../../../src/index.ts";
import { messagesOf } from "../../../src/runtime/actor/message-memory.ts";

it("is owned unless the class says that it borrows", () => {
  expect(messagesOf(class extends Actor {})).toBe("owned");
  class Borrower extends Actor {
    static override readonly messages = "borrowed";
  }
  expect(messagesOf(Borrower)).toBe("borrowed");
  expect(messagesOf(class extends Borrower {})).toBe("borrowed");
  // An `Actor` of an older copy of the package.
  expect(messagesOf(class {})).toBe("owned");
});

it.each(["lent", undefined, true, null])("refuses %s with ERR_MESSAGES", (messages) => {
  expect(() => messagesOf({ messages })).toThrow(
    expect.objectContaining({ kind: "configuration", code: "ERR_MESSAGES" }),
  );
});
