import { setImmediate as turn } from "node:timers/promises";
import { expect, it, onTestFinished, vi } from "vitest";
import type { ActorClass } from "../../../src/runtime/actor/actor.ts";
import { HandlerWatch } from "../../../src/runtime/actor/handlers/handler-watch.ts";
import type { AskOutcome, Mail } from "../../../src/runtime/actor/mail.ts";
import type { Supervision } from "../../../src/runtime/actor/supervision.ts";
import { TimerWheel } from "../../../src/runtime/scheduling/timer-wheel.ts";
import type { Message } from "../../../src/wire/protocol/message.ts";
import { ends, log, ManualWatch, message, Sync, start } from "./cell.ts";

/** Promises that a test settles, by the handler that waits for them. */
const gates: Record<string, PromiseWithResolvers<void>> = {};

function gate(name: string): Promise<void> {
  const opened = Promise.withResolvers<void>();
  gates[name] = opened;
  return opened.promise;
}

/** Waits in `received` for messages that begin with "hold", and in `closed` if its class says so. */
class Holding extends Sync {
  protected holdsClosed = false;

  override received({ text }: Message): void | Promise<void> {
    log.push(text);
    if (!text.startsWith("hold")) return;
    return gate(text).then(() => {
      log.push(`${text} done, ${this.send("late")}`);
    });
  }

  override restarted(error: unknown): void {
    log.push(`restarted after ${(error as { code?: string }).code}`);
  }

  override mailed(mail: unknown): Promise<void> {
    log.push(`${mail}`);
    return gate(`${mail}`);
  }

  override closed(code: number, reason: string): void | Promise<void> {
    super.closed(code, reason);
    if (!this.holdsClosed) return;
    return gate("closed").then(() => void log.push("closed done"));
  }
}

class HoldingClosed extends Holding {
  protected override holdsClosed = true;
}

function supervised(strategy: Supervision["strategy"], base: ActorClass = Holding): ActorClass {
  return class extends base {
    static readonly supervision = { strategy };
  };
}

function mail(value: string, outcomes: AskOutcome[] = []): Mail {
  return { kind: "mail", value, from: undefined, answer: (outcome) => void outcomes.push(outcome) };
}

it("is done when closed has returned", () => {
  const { cell, open, log } = start(Holding);
  open();
  expect(ends).toBe(0);
  cell.end(1000, "");
  expect(log).toEqual(["opened", "closed 1000 "]);
  expect(ends).toBe(1);
});

it("is done when the promise of closed has settled, and once", async () => {
  const { cell, open, log } = start(HoldingClosed);
  open();
  cell.end(1000, "");
  cell.end(1000, "");
  await turn();
  expect(ends).toBe(0);
  gates["closed"]?.resolve();
  await turn();
  expect(log.at(-1)).toBe("closed done");
  expect(ends).toBe(1);
});

it("is done after the handler that was running, and closed", async () => {
  const { cell, open, log } = start(HoldingClosed);
  open();
  cell.deliver(message("hold"));
  cell.end(1001, "");
  await turn();
  expect(log).toEqual(["opened", "hold"]);
  gates["hold"]?.resolve();
  await turn();
  expect(log.slice(2)).toEqual(["hold done, sent", "closed 1001 "]);
  expect(ends).toBe(0);
  gates["closed"]?.resolve();
  await turn();
  expect(ends).toBe(1);
});

it("is done even if closed throws or rejects", async () => {
  class Throwing extends Sync {
    override closed(): void {
      throw new Error("thrown");
    }
  }
  const throwing = start(Throwing);
  throwing.open();
  throwing.cell.end(1000, "");
  expect(ends).toBe(1);
  const rejecting = start(HoldingClosed);
  rejecting.open();
  rejecting.cell.end(1000, "");
  gates["closed"]?.reject(new Error("rejected"));
  await turn();
  expect(rejecting.log).toEqual(["opened", "closed 1000 ", "failed closed: rejected"]);
  expect(ends).toBe(1);
});

it("is done at its end if it was never constructed", () => {
  class Unmade extends Sync {
    constructor() {
      super();
      throw new Error("not today");
    }
  }
  const { cell, open, log } = start(Unmade);
  open();
  expect(ends).toBe(0);
  cell.end(1011, "");
  expect(log).toEqual(["failed constructor: not today"]);
  expect(ends).toBe(1);
});

const GIVEN_UP = [
  "received timed out after 50 ms",
  "failed received: received was still running after 50 ms, and is waited for no longer",
];

it("stops when a handler times out, and calls closed even though the handler still runs", async () => {
  const watch = new ManualWatch();
  const { cell, open, log } = start(supervised("stop"), {}, watch);
  open();
  cell.deliver(message("hold"));
  cell.deliver(message("waits"));
  watch.actor?.handlerTimedOut(50);
  cell.end(1011, "");
  expect(log).toEqual(["opened", "hold", ...GIVEN_UP, "closed 1011 "]);
  expect(ends).toBe(1);
  gates["hold"]?.resolve();
  await turn();
  expect(log.slice(5)).toEqual(["hold done, closed"]);
  expect(ends).toBe(1);
});

it("ignores a late rejection of a handler that timed out", async () => {
  const watch = new ManualWatch();
  const { cell, open, log } = start(supervised("resume"), {}, watch);
  open();
  cell.deliver(message("hold"));
  watch.actor?.handlerTimedOut(50);
  gates["hold"]?.reject(new Error("late"));
  await turn();
  expect(log).toEqual(["opened", "hold", ...GIVEN_UP]);
});

it("continues with the next message after a timeout with the strategy resume", async () => {
  const watch = new ManualWatch();
  const { cell, open, log } = start(supervised("resume"), {}, watch);
  open();
  cell.deliver(message("hold 1"));
  cell.deliver(message("hold 2"));
  cell.deliver(message("next"));
  watch.actor?.handlerTimedOut(50);
  expect(log).toEqual(["opened", "hold 1", ...GIVEN_UP, "hold 2"]);
  // The end of the timed-out call isn't taken for the end of the next one.
  gates["hold 1"]?.resolve();
  await turn();
  expect(log.slice(5)).toEqual(["hold 1 done, sent"]);
  gates["hold 2"]?.resolve();
  await turn();
  expect(log.slice(6)).toEqual(["hold 2 done, sent", "next"]);
});

it("constructs a new actor after a timeout with the strategy restart, and the old one can't send any more", async () => {
  const watch = new ManualWatch();
  const { cell, open, log } = start(supervised("restart"), {}, watch);
  open();
  cell.deliver(message("hold"));
  cell.deliver(message("next"));
  watch.actor?.handlerTimedOut(50);
  gates["hold"]?.resolve();
  await turn();
  expect(log).toEqual([
    "opened",
    "hold",
    ...GIVEN_UP,
    "restarted after ERR_HANDLER_TIMEOUT",
    "next",
    "hold done, closed",
  ]);
});

it("handles queued messages after the end, as the strategy says, and then calls closed", async () => {
  const watch = new ManualWatch();
  const { cell, open, log } = start(supervised("resume"), {}, watch);
  open();
  cell.deliver(message("hold"));
  cell.deliver(message("next"));
  cell.end(1001, "");
  watch.actor?.handlerTimedOut(50);
  expect(log).toEqual(["opened", "hold", ...GIVEN_UP, "next", "closed 1001 "]);
  expect(ends).toBe(1);
});

it("is done when closed itself times out", async () => {
  const watch = new ManualWatch();
  const { cell, open, log } = start(supervised("restart", HoldingClosed), {}, watch);
  open();
  cell.end(1000, "");
  expect(ends).toBe(0);
  watch.actor?.handlerTimedOut(50);
  expect(log.slice(2)).toEqual([
    "closed timed out after 50 ms",
    "failed closed: closed was still running after 50 ms, and is waited for no longer",
  ]);
  expect(ends).toBe(1);
  gates["closed"]?.resolve();
  await turn();
  expect(ends).toBe(1);
});

it("answers the ask of a handler that times out", async () => {
  const outcomes: AskOutcome[] = [];
  const watch = new ManualWatch();
  const { cell, open } = start(supervised("resume"), {}, watch);
  open();
  cell.mail(mail("hold", outcomes));
  await turn();
  watch.actor?.handlerTimedOut(50);
  expect(outcomes).toMatchObject([{ kind: "failed", error: { code: "ERR_HANDLER_TIMEOUT" } }]);
  gates["hold"]?.resolve();
  await turn();
  expect(outcomes).toHaveLength(1);
});

it("closes a connection whose shuttingDown times out", () => {
  class Drained extends Sync {
    static override readonly supervision = { strategy: "resume" as const };
    override shuttingDown(): Promise<void> {
      return gate("shuttingDown");
    }
  }
  const watch = new ManualWatch();
  const { cell, open, log } = start(Drained, {}, watch);
  open();
  cell.announceShutdown();
  cell.afterShutdownNotice(() => log.push("may close"));
  expect(log).toEqual(["opened"]);
  watch.actor?.handlerTimedOut(50);
  expect(log.at(-1)).toBe("may close");
});

function watchOf(limits: { handlerTimeoutMs?: number; handlerTimeoutAfterCloseMs?: number }): HandlerWatch {
  const wheel = new TimerWheel(2);
  onTestFinished(() => wheel.stop());
  return new HandlerWatch(wheel, { handlerTimeoutMs: 0, handlerTimeoutAfterCloseMs: 0, ...limits });
}

it("times out a handler that exceeds handlerTimeoutMs while the connection is open, and not before", async () => {
  const { cell, open, log } = start(supervised("resume"), {}, watchOf({ handlerTimeoutMs: 50 }));
  open();
  const begun = performance.now();
  cell.deliver(message("hold"));
  cell.deliver(message("next"));
  await vi.waitFor(() => expect(log).toEqual(["opened", "hold", ...GIVEN_UP, "next"]), 5_000);
  expect(performance.now() - begun).toBeGreaterThanOrEqual(49);
});

it("times out a running handler, and then closed, some time after the end of the connection, without a limit before", async () => {
  const watch = watchOf({ handlerTimeoutAfterCloseMs: 50 });
  const { cell, open, log } = start(supervised("stop", HoldingClosed), {}, watch);
  open();
  cell.deliver(message("hold"));
  expect(watch.size).toBe(0);
  cell.end(1006, "");
  expect(watch.size).toBe(1);
  await vi.waitFor(() => expect(ends).toBe(1), 5_000);
  expect(log).toEqual([
    "opened",
    "hold",
    ...GIVEN_UP,
    "closed 1006 ",
    "closed timed out after 50 ms",
    "failed closed: closed was still running after 50 ms, and is waited for no longer",
  ]);
  expect(watch.size).toBe(0);
});

it("times out no handler that ends in time, however many there are, and doesn't check idle actors", async () => {
  const watch = watchOf({ handlerTimeoutMs: 100 });
  class Quick extends Sync {
    override async received({ text }: Message): Promise<void> {
      await turn();
      log.push(text);
    }
  }
  const { cell, open, log } = start(Quick, {}, watch);
  open();
  const begun = performance.now();
  let sent = 0;
  while (performance.now() - begun < 300) {
    cell.deliver(message(`${sent++}`));
    await turn();
  }
  await vi.waitFor(() => expect(log).toHaveLength(1 + sent));
  await vi.waitFor(() => expect(watch.size).toBe(0));
  expect(log.some((line) => line.includes("timed out"))).toBe(false);
});
