import { expect, it, vi } from "vitest";
import { Actor, type ActorClass, type ActorContext, constructActor } from "../../src/actor/actor.ts";
import { ActorCell, type ActorCellOwner } from "../../src/actor/actor-cell.ts";
import { Message } from "../../src/protocol/message.ts";

const context: ActorContext = {
  id: "0-0",
  shard: 0,
  session: undefined,
  params: {},
  protocol: "",
  send: () => "sent",
  slowConsumers: "close",
  whenDrained: async () => {},
  publish: () => ({ delivered: 0, buffered: 0, dropped: 0, closed: 0, remote: 0, remoteDropped: 0 }),
  subscribe: async () => {},
  unsubscribe: () => {},
  close: () => {},
};

function message(text: string): Message {
  const payload = Buffer.from(text);
  const block = Buffer.concat([Buffer.from([0x81, payload.length]), payload]);
  return new Message(block, 0, 2, block.length);
}

interface Started {
  readonly cell: ActorCell;
  /** What the actor's handlers noted, with what its owner was told. */
  readonly log: string[];
}

let log: string[] = [];

function start(actorClass: ActorClass, limits = { messages: 100, bytes: 100_000 }): Started {
  log = [];
  const owner: ActorCellOwner = {
    actorFailed: (handler, error) => log.push(`failed ${handler}: ${(error as Error).message}`),
    mailboxDrained: () => log.push("drained"),
  };
  return { cell: new ActorCell(constructActor(actorClass, context), limits, owner), log };
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
  const { cell, log } = start(Sync);
  cell.open();
  cell.deliver(message("a"));
  expect(log).toEqual(["opened", "a"]);
});

it("never fills the mailbox of an actor whose handlers are synchronous", () => {
  const { cell, log } = start(Sync, { messages: 1, bytes: 1 });
  cell.open();
  for (let i = 0; i < 1000; i++) {
    cell.deliver(message(`${i}`));
    expect(cell.full).toBe(false);
  }
  expect(log).toEqual(["opened", ...Array.from({ length: 1000 }, (_, i) => `${i}`)]);
});

it("finishes an async handler before the next message, and keeps the order", async () => {
  gate = new Gate();
  const { cell, log } = start(Async);
  cell.open();
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
  const { cell, log } = start(SlowOpened);
  cell.open();
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
  started.cell.open();
  started.cell.deliver(message("a"));
  started.cell.deliver(message("b"));
  await gate.release();
  expect(started.log).toEqual(["opened begins", "opened ends", "a", "b", "c"]);
});

it("calls closed once, after every message that came before", async () => {
  gate = new Gate();
  const { cell, log } = start(Async);
  cell.open();
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
  const { cell, log } = start(Sync);
  cell.open();
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
  started.cell.open();
  started.cell.deliver(message("a"));
  expect(started.log).toEqual(["opened", "a ends", "closed 1000 within"]);
});

it("hands over no message after stop, queued ones included, but still closed", async () => {
  gate = new Gate();
  const { cell, log } = start(Async);
  cell.open();
  for (const name of ["a", "b"]) cell.deliver(message(name));
  cell.stop();
  cell.deliver(message("c"));
  cell.end(1000, "");
  await gate.release();
  expect(log).toEqual(["opened", "a begins", "a ends", "closed 1000 "]);
});

it("is full at the limit and tells when half is handled", async () => {
  gate = new Gate();
  const { cell, log } = start(Async, { messages: 4, bytes: 100_000 });
  cell.open();
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
  const { cell, log } = start(Sync);
  cell.open();
  cell.deliver(message("throw"));
  cell.deliver(message("next"));
  cell.end(1011, "");
  expect(log).toEqual(["opened", "throw", "failed received: thrown", "closed 1011 "]);
});

it("reports a message handler that rejects, and drops what waits", async () => {
  gate = new Gate();
  const { cell, log } = start(Async);
  cell.open();
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
  const { cell, log } = start(Failing);
  cell.open();
  cell.deliver(message("a"));
  expect(log).toEqual(["failed opened: can't open"]);
});

it("reports an opened that rejects, and drops what waits", async () => {
  gate = new Gate();
  const { cell, log } = start(SlowOpened);
  cell.open();
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
  const { cell, log } = start(Failing);
  cell.open();
  cell.end(1000, "");
  cell.end(1000, "");
  await vi.waitFor(() => expect(log).toEqual(["opened", "failed closed: can't close"]));
});
