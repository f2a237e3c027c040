import { setImmediate as turn } from "node:timers/promises";
import { expect, it, vi } from "vitest";
import { Actor, type ActorClass, type ActorContext } from "../../src/actor/actor.ts";
import { ActorCell, type ActorCellOwner } from "../../src/actor/actor-cell.ts";
import type { Address } from "../../src/actor/address.ts";
import type { AskOutcome, Mail } from "../../src/actor/mail.ts";
import type { MailboxLimits } from "../../src/actor/mailbox.ts";
import { TURN_BUDGET } from "../../src/actor/turns.ts";
import { Message } from "../../src/protocol/message.ts";
import { cellSettings } from "../support/cells.ts";

const context: ActorContext = {
  address: "0-0" as Address,
  shard: 0,
  session: undefined,
  params: {},
  protocol: "",
  mailer: {
    tell: async () => ({ status: "accepted" }),
    ask: async () => undefined,
  },
  send: () => "sent",
  slowConsumers: "close",
  whenDrained: async () => {},
  publish: () => ({ delivered: 0, buffered: 0, dropped: 0, closed: 0, remote: 0, remoteDropped: 0 }),
  subscribe: async () => {},
  unsubscribe: () => {},
  close: () => {},
  schedule: () => () => {},
};

function message(text: string): Message {
  const payload = Buffer.from(text);
  const block = Buffer.concat([Buffer.from([0x81, payload.length]), payload]);
  return new Message(block, 0, 2, block.length);
}

interface Started {
  readonly cell: ActorCell;
  readonly open: () => void;
  /** What the actor's handlers noted, with what its owner was told. */
  readonly log: string[];
}

let log: string[] = [];

function start(actorClass: ActorClass, limits: Partial<MailboxLimits> = {}): Started {
  log = [];
  const owner: ActorCellOwner = {
    actorFailed: (handler, error) => log.push(`failed ${handler}: ${(error as Error).message}`),
    mailboxDrained: () => log.push("drained"),
    mailDied: ({ value }, reason) => log.push(`dead ${value}: ${reason}`),
  };
  const cell = new ActorCell(cellSettings(limits), owner);
  return { cell, open: () => cell.open(actorClass, context), log };
}

function mail(value: unknown, answer?: (outcome: AskOutcome) => void): Mail {
  return { kind: "mail", value, from: undefined, answer };
}

/** Lets go one handler at a time, so that a test decides when a handler is done. */
class Gate {
  readonly #waiting: PromiseWithResolvers<void>[] = [];
  pass(): Promise<void> {
    const one = Promise.withResolvers<void>();
    this.#waiting.push(one);
    return one.promise;
  }
  async release(): Promise<void> {
    this.#waiting.shift()?.resolve();
    await new Promise(setImmediate);
  }
  async fail(error: Error): Promise<void> {
    this.#waiting.shift()?.reject(error);
    await new Promise(setImmediate);
  }
}

let gate = new Gate();

class Sync extends Actor {
  override opened(): void {
    log.push("opened");
  }
  override received({ text }: Message): void {
    log.push(text);
    if (text === "throw") throw new Error("thrown");
  }
  override closed(code: number, reason: string): void {
    log.push(`closed ${code} ${reason}`);
  }
}

class Async extends Sync {
  override async received({ text }: Message): Promise<void> {
    log.push(`${text} begins`);
    await gate.pass();
    log.push(`${text} ends`);
  }
}

class SlowOpened extends Sync {
  override async opened(): Promise<void> {
    log.push("opened begins");
    await gate.pass();
    log.push("opened ends");
  }
}

it("hands a message to an idle actor within the call", () => {
  const { cell, open, log } = start(Sync);
  open();
  cell.deliver(message("a"));
  expect(log).toEqual(["opened", "a"]);
});

it("lets its peer wait when the budget of a turn is spent, and handles the rest in later turns", async () => {
  const { cell, open, log } = start(Sync);
  open();
  for (let i = 0; i < TURN_BUDGET; i++) {
    expect(cell.full).toBe(false);
    cell.deliver(message(`${i}`));
  }
  expect(cell.full).toBe(true);
  // What is delivered all the same waits.
  for (let i = TURN_BUDGET; i < 3 * TURN_BUDGET; i++) cell.deliver(message(`${i}`));
  const numbers = (): string[] => log.filter((line) => line !== "drained" && line !== "opened");
  for (const turns of [1, 2]) {
    expect(numbers()).toHaveLength(turns * TURN_BUDGET);
    await turn();
  }
  await turn();
  expect(numbers()).toEqual(Array.from({ length: 3 * TURN_BUDGET }, (_, i) => `${i}`));
  expect(cell.full).toBe(false);
  expect(log.at(-1)).toBe("drained");
});

it("gives async handlers that never wait for anything no more turns than others", async () => {
  class Eager extends Sync {
    override async received({ text }: Message): Promise<void> {
      log.push(text);
    }
  }
  const { cell, open, log } = start(Eager, { messages: 10_000 });
  open();
  for (let i = 0; i < 1_000; i++) cell.deliver(message(`${i}`));
  const handled = (): number => log.filter((line) => line !== "opened" && line !== "drained").length;
  for (let before = 0; before < 1_000; before = handled()) {
    await turn();
    // Two at most: this turn's, and what began before it was counted.
    expect(handled() - before).toBeLessThanOrEqual(2 * TURN_BUDGET);
  }
});

it("finishes an async handler before the next message, and keeps the order", async () => {
  gate = new Gate();
  const { cell, open, log } = start(Async);
  open();
  for (const name of ["a", "b", "c"]) cell.deliver(message(name));
  expect(log).toEqual(["opened", "a begins"]);
  await gate.release();
  expect(log.slice(2)).toEqual(["a ends", "b begins"]);
  await gate.release();
  await gate.release();
  expect(log.slice(4)).toEqual(["b ends", "c begins", "c ends"]);
});

it("lets messages wait for an async opened", async () => {
  gate = new Gate();
  const { cell, open, log } = start(SlowOpened);
  open();
  cell.deliver(message("a"));
  cell.deliver(message("b"));
  expect(log).toEqual(["opened begins"]);
  await gate.release();
  expect(log).toEqual(["opened begins", "opened ends", "a", "b"]);
});

it("keeps the order of a message that arrives while earlier ones are being taken from the mailbox", async () => {
  gate = new Gate();
  class Feeding extends SlowOpened {
    override received({ text }: Message): void {
      log.push(text);
      if (text === "a") started.cell.deliver(message("c"));
    }
  }
  const started = start(Feeding);
  started.open();
  started.cell.deliver(message("a"));
  started.cell.deliver(message("b"));
  await gate.release();
  expect(started.log).toEqual(["opened begins", "opened ends", "a", "b", "c"]);
});

it("calls closed once, after every message that came before", async () => {
  gate = new Gate();
  const { cell, open, log } = start(Async);
  open();
  cell.deliver(message("a"));
  cell.deliver(message("b"));
  cell.end(1001, "bye");
  cell.end(1006, "again");
  cell.deliver(message("too late"));
  await gate.release();
  await gate.release();
  cell.end(1006, "and again");
  expect(log).toEqual(["opened", "a begins", "a ends", "b begins", "b ends", "closed 1001 bye"]);
});

it("calls closed once when the actor is idle", () => {
  const { cell, open, log } = start(Sync);
  open();
  cell.end(1000, "");
  cell.end(1000, "");
  expect(log).toEqual(["opened", "closed 1000 "]);
});

it("calls closed after the handler in which the connection ended", () => {
  class Ending extends Sync {
    override received({ text }: Message): void {
      started.cell.end(1000, "within");
      log.push(`${text} ends`);
    }
  }
  const started = start(Ending);
  started.open();
  started.cell.deliver(message("a"));
  expect(started.log).toEqual(["opened", "a ends", "closed 1000 within"]);
});

it("hands over no message after stop, queued ones included, but still closed", async () => {
  gate = new Gate();
  const { cell, open, log } = start(Async);
  open();
  for (const name of ["a", "b"]) cell.deliver(message(name));
  cell.stop();
  cell.deliver(message("c"));
  cell.end(1000, "");
  await gate.release();
  expect(log).toEqual(["opened", "a begins", "a ends", "closed 1000 "]);
});

it("is full at the limit and tells when half is handled", async () => {
  gate = new Gate();
  const { cell, open, log } = start(Async, { messages: 4 });
  open();
  for (const name of ["a", "b", "c", "d"]) cell.deliver(message(name));
  expect(cell.full).toBe(false);
  cell.deliver(message("e"));
  expect(cell.full).toBe(true);
  await gate.release();
  expect(cell.full).toBe(true);
  expect(log).not.toContain("drained");
  await gate.release();
  expect(cell.full).toBe(false);
  expect(log.filter((line) => line === "drained")).toHaveLength(1);
});

it("reports a message handler that throws, and hands over only closed after it", () => {
  const { cell, open, log } = start(Sync);
  open();
  cell.deliver(message("throw"));
  cell.deliver(message("next"));
  cell.end(1011, "");
  expect(log).toEqual(["opened", "throw", "failed received: thrown", "closed 1011 "]);
});

it("reports a message handler that rejects, and drops what waits", async () => {
  gate = new Gate();
  const { cell, open, log } = start(Async);
  open();
  cell.deliver(message("a"));
  cell.deliver(message("b"));
  await gate.fail(new Error("rejected"));
  cell.end(1011, "");
  expect(log).toEqual(["opened", "a begins", "failed received: rejected", "closed 1011 "]);
});

it("reports an opened that throws", () => {
  class Failing extends Sync {
    override opened(): void {
      throw new Error("can't open");
    }
  }
  const { cell, open, log } = start(Failing);
  open();
  cell.deliver(message("a"));
  expect(log).toEqual(["failed opened: can't open"]);
});

it("reports an opened that rejects, and drops what waits", async () => {
  gate = new Gate();
  const { cell, open, log } = start(SlowOpened);
  open();
  cell.deliver(message("a"));
  await gate.fail(new Error("can't open"));
  expect(log).toEqual(["opened begins", "failed opened: can't open"]);
});

it.each([
  {
    name: "throws",
    closed: () => {
      throw new Error("can't close");
    },
  },
  {
    name: "rejects",
    closed: async () => {
      throw new Error("can't close");
    },
  },
])("reports a closed that $name, once", async ({ closed }) => {
  class Failing extends Sync {
    override closed(): void | Promise<void> {
      return closed();
    }
  }
  const { cell, open, log } = start(Failing);
  open();
  cell.end(1000, "");
  cell.end(1000, "");
  await vi.waitFor(() => expect(log).toEqual(["opened", "failed closed: can't close"]));
});

class Mailed extends Sync {
  override mailed(value: unknown): unknown {
    log.push(`mail ${value}`);
    if (value === "throw") throw new Error("thrown");
    return `re: ${value}`;
  }
}

it("handles mail in a later turn, never within the call that brings it", async () => {
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

it("takes mail that an actor sends to itself", async () => {
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

it("refuses mail when so much of it waits, whatever messages there are, and takes it again when there is room", async () => {
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

it("has nobody there for mail once it is stopped or ended", () => {
  const stopped = start(Mailed);
  stopped.open();
  stopped.cell.stop();
  expect(stopped.cell.mail(mail("a"))).toBe("gone");
  const ended = start(Mailed);
  ended.open();
  ended.cell.end(1000, "");
  expect(ended.cell.mail(mail("a"))).toBe("gone");
});

it("gives what mailed returns, or its promise comes to, as the answer", async () => {
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

it("tells who asked when mailed throws", async () => {
  const outcomes: AskOutcome[] = [];
  const { cell, open, log } = start(Mailed);
  open();
  cell.mail(mail("throw", (outcome) => outcomes.push(outcome)));
  await turn();
  expect(outcomes).toMatchObject([{ kind: "failed", error: { message: "thrown" } }]);
  expect(log).toEqual(["opened", "mail throw", "failed mailed: thrown"]);
});

it("tells of mail that waits when it is stopped, and who asked gets an answer", () => {
  const outcomes: AskOutcome[] = [];
  const { cell, open, log } = start(Mailed);
  open();
  cell.mail(mail("a"));
  cell.mail(mail("b", (outcome) => outcomes.push(outcome)));
  cell.stop();
  expect(log).toEqual(["opened", "dead a: closed", "dead b: closed"]);
  expect(outcomes).toEqual([{ kind: "gone" }]);
});

it("handles mail that came before the end, then closes", async () => {
  const { cell, open, log } = start(Mailed);
  open();
  cell.mail(mail("a"));
  cell.end(1000, "");
  await turn();
  expect(log).toEqual(["opened", "mail a", "closed 1000 "]);
});

it("tells of mail to an actor that has no mailed, once for an ask, too", async () => {
  const outcomes: AskOutcome[] = [];
  const { cell, open, log } = start(Sync);
  open();
  cell.mail(mail("a"));
  cell.mail(mail("b", (outcome) => outcomes.push(outcome)));
  await turn();
  expect(log).toEqual(["opened", "dead a: unhandled", "dead b: unhandled"]);
  expect(outcomes).toMatchObject([{ kind: "failed" }]);
});
