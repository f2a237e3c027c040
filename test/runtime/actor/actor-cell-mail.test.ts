import { setImmediate as turn } from "node:timers/promises";
import { expect, it, vi } from "vitest";
import type { AskOutcome, Mail } from "../../../src/runtime/actor/mail.ts";
import type { Message } from "../../../src/wire/protocol/message.ts";
import { log, message, Sync, start } from "./cell.ts";

function mail(value: unknown, answer?: (outcome: AskOutcome) => void): Mail {
  return { kind: "mail", value, from: undefined, answer };
}

class Mailed extends Sync {
  override mailed(value: unknown): unknown {
    log.push(`mail ${value}`);
    if (value === "throw") throw new Error("thrown");
    return `re: ${value}`;
  }
}

it("handles mail in a later turn, never within the call that delivers it", async () => {
  const { cell, open, log } = start(Mailed);
  open();
  expect(cell.mail(mail("a"))).toBe("accepted");
  expect(log).toEqual(["opened"]);
  await turn();
  expect(log).toEqual(["opened", "mail a"]);
});

it("keeps the order of mail and messages", async () => {
  const { cell, open, log } = start(Mailed);
  open();
  cell.deliver(message("a"));
  cell.mail(mail("b"));
  cell.deliver(message("c"));
  cell.mail(mail("d"));
  await turn();
  expect(log).toEqual(["opened", "a", "mail b", "c", "mail d"]);
});

it("accepts mail from the actor to itself", async () => {
  class Selfish extends Mailed {
    override received({ text }: Message): void {
      started.cell.mail(mail(text));
      log.push(`${text} sent`);
    }
  }
  const started = start(Selfish);
  started.open();
  started.cell.deliver(message("a"));
  await turn();
  expect(started.log).toEqual(["opened", "a sent", "mail a"]);
});

it("refuses mail beyond its limit, whatever messages there are, and accepts mail again when there is room", async () => {
  const { cell, open, log } = start(Mailed, { messages: 1, mails: 2 });
  open();
  expect([1, 2, 3].map((value) => cell.mail(mail(value)))).toEqual(["accepted", "accepted", "full"]);
  expect(cell.full).toBe(false);
  cell.deliver(message("a"));
  expect(cell.full).toBe(true);
  await turn();
  expect(cell.mail(mail(4))).toBe("accepted");
  await turn();
  expect(log).toEqual(["opened", "mail 1", "mail 2", "a", "drained", "mail 4"]);
});

it("returns gone for mail once it is stopped or ended", () => {
  const stopped = start(Mailed);
  stopped.open();
  stopped.cell.stop();
  expect(stopped.cell.mail(mail("a"))).toBe("gone");
  const ended = start(Mailed);
  ended.open();
  ended.cell.end(1000, "");
  expect(ended.cell.mail(mail("a"))).toBe("gone");
});

it("answers with the return value of mailed, or the result of its promise", async () => {
  const outcomes: AskOutcome[] = [];
  const sync = start(Mailed);
  sync.open();
  sync.cell.mail(mail("a", (outcome) => outcomes.push(outcome)));
  await turn();
  class Later extends Mailed {
    override async mailed(value: unknown): Promise<unknown> {
      await turn();
      return `later: ${value}`;
    }
  }
  const later = start(Later);
  later.open();
  later.cell.mail(mail("b", (outcome) => outcomes.push(outcome)));
  await vi.waitFor(() =>
    expect(outcomes).toEqual([
      { kind: "answered", value: "re: a" },
      { kind: "answered", value: "later: b" },
    ]),
  );
});

it("answers with the error when mailed throws", async () => {
  const outcomes: AskOutcome[] = [];
  const { cell, open, log } = start(Mailed);
  open();
  cell.mail(mail("throw", (outcome) => outcomes.push(outcome)));
  await turn();
  expect(outcomes).toMatchObject([{ kind: "failed", error: { message: "thrown" } }]);
  expect(log).toEqual(["opened", "mail throw", "failed mailed: thrown"]);
});

it("reports queued mail as undelivered when it is stopped, and answers its asks", () => {
  const outcomes: AskOutcome[] = [];
  const { cell, open, log } = start(Mailed);
  open();
  cell.mail(mail("a"));
  cell.mail(mail("b", (outcome) => outcomes.push(outcome)));
  cell.stop();
  expect(log).toEqual(["opened", "dead a: closed", "dead b: closed"]);
  expect(outcomes).toEqual([{ kind: "gone" }]);
});

it("handles mail that came before the end, and then calls closed", async () => {
  const { cell, open, log } = start(Mailed);
  open();
  cell.mail(mail("a"));
  cell.end(1000, "");
  await turn();
  expect(log).toEqual(["opened", "mail a", "closed 1000 "]);
});

it("reports mail to an actor without mailed as undelivered, once also for an ask", async () => {
  const outcomes: AskOutcome[] = [];
  const { cell, open, log } = start(Sync);
  open();
  cell.mail(mail("a"));
  cell.mail(mail("b", (outcome) => outcomes.push(outcome)));
  await turn();
  expect(log).toEqual(["opened", "dead a: unhandled", "dead b: unhandled"]);
  expect(outcomes).toMatchObject([{ kind: "failed" }]);
});
