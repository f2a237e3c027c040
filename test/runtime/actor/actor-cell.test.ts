import { setImmediate as turn } from "node:timers/promises";
import { expect, it, vi } from "vitest";
import { TURN_BUDGET } from "../../../src/runtime/scheduling/fair-scheduler.ts";
import { Message } from "../../../src/wire/protocol/message.ts";
import { log, message, Sync, start } from "./cell.ts";

/** Releases one handler at a time, so that a test decides when a handler is done. */
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

it("is full when the budget of a turn is spent, and handles the rest in later turns", async () => {
  const { cell, open, log } = start(Sync);
  open();
  for (let i = 0; i < TURN_BUDGET; i++) {
    expect(cell.full).toBe(false);
    cell.deliver(message(`${i}`));
  }
  expect(cell.full).toBe(true);
  // Messages that are delivered all the same are queued.
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

it("gives async handlers that never wait no more turns than others", async () => {
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
    // At most two: this turn's, and the one that began before the count.
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

it("queues messages while an async opened runs", async () => {
  gate = new Gate();
  const { cell, open, log } = start(SlowOpened);
  open();
  cell.deliver(message("a"));
  cell.deliver(message("b"));
  expect(log).toEqual(["opened begins"]);
  await gate.release();
  expect(log).toEqual(["opened begins", "opened ends", "a", "b"]);
});

it("moves messages that wait at the end of a turn out of the blocks that they share, and no others", async () => {
  const received: Message[] = [];
  class Waits extends Sync {
    override async received(message: Message): Promise<void> {
      received.push(message);
      await gate.pass();
    }
  }
  gate = new Gate();
  const { cell, open } = start(Waits);
  open();
  const block = Buffer.concat([message("a").block, message("b").block, Buffer.alloc(64 * 1024)]);
  const [first, second] = [new Message(block, 0, 2, 3), new Message(block, 3, 5, 6)];
  cell.deliver(first);
  cell.deliver(second);
  await gate.release();
  expect(received[0]).toBe(first);
  expect(received[1]).toBe(second);
  cell.deliver(first);
  cell.deliver(second);
  await turn();
  await gate.release();
  await gate.release();
  expect(received.slice(2).map(({ text }) => text)).toEqual(["a", "b"]);
  expect(received.slice(2).map((one) => one.block.length)).toEqual([3, 3]);
});

it("keeps the order of a message that arrives while earlier ones leave the mailbox", async () => {
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

it("calls closed after the handler during which the connection ended", () => {
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

it("handles no message after stop, not even queued ones, but still calls closed", async () => {
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

it("is full at the limit, and reports room when half is handled", async () => {
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

it("reports a message handler that throws, and then calls only closed", () => {
  const { cell, open, log } = start(Sync);
  open();
  cell.deliver(message("throw"));
  cell.deliver(message("next"));
  cell.end(1011, "");
  expect(log).toEqual(["opened", "throw", "failed received: thrown", "closed 1011 "]);
});

it("reports a message handler that rejects, and drops queued messages", async () => {
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

it("reports an opened that rejects, and drops queued messages", async () => {
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
