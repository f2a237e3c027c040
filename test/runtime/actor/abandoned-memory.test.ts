import { setImmediate as turn } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, it, vi } from "vitest";
import { ActorCell } from "../../../src/runtime/actor/actor-cell.ts";
import type { ActorContext } from "../../../src/runtime/actor/context/actor-context.ts";
import { cellSettings } from "../../support/cells.ts";
import { context, ManualWatch, message, Sync } from "./cell.ts";

setFlagsFromString("--expose-gc");

/** The promises that handlers wait for. They stay reachable as long as this module. */
const kept: (() => void)[] = [];

class Hanging extends Sync {
  override async received(): Promise<void> {
    await new Promise<void>((resolve) => kept.push(resolve));
    this.send("late");
  }
}

/**
 * Starts an actor, lets its handler hang and time out, and ends it. Returns weak references to everything that must be
 * collected.
 */
function hangAndGiveUp(strategy: "stop" | "restart", watch = new ManualWatch()): WeakRef<object>[] {
  const own: ActorContext = { ...context, withoutConnection: () => context };
  const owner = {
    actorFailed() {},
    messagesAnswered() {},
    mailboxHasRoom() {},
    actorResumed() {},
    mailUndelivered() {},
    handlerTimedOut() {},
    actorEnded() {},
  };
  const cell = new ActorCell(cellSettings({}, undefined, watch), owner);
  cell.open(Object.assign(class extends Hanging {}, { supervision: { strategy } }), own);
  cell.deliver(message("hang"));
  watch.actor?.handlerTimedOut(50);
  watch.actor = undefined;
  cell.end(1006, "");
  return [new WeakRef(cell), new WeakRef(own), new WeakRef(owner)];
}

it.each(["stop", "restart"] as const)(
  "frees cell and connection of a handler that timed out, with %s, whatever the handler waits for",
  async (strategy) => {
    const refs = hangAndGiveUp(strategy);
    const collect = runInNewContext("gc") as () => void;
    await vi.waitFor(async () => {
      await turn();
      collect();
      expect(refs.map((ref) => ref.deref() === undefined)).toEqual([true, true, true]);
    });
    expect(kept.length).toBeGreaterThan(0);
    for (const resolve of kept) resolve();
    await turn();
  },
);
