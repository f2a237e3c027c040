import { setImmediate as turn } from "node:timers/promises";
import { expect, it } from "vitest";
import { Actor } from "../../../src/runtime/actor/actor.ts";
import { ActorCell } from "../../../src/runtime/actor/actor-cell.ts";
import type { ActorContext } from "../../../src/runtime/actor/context/actor-context.ts";
import { TURN_MS } from "../../../src/runtime/scheduling/fair-scheduler.ts";
import { cellSettings } from "../../support/cells.ts";

/** Actors of a thread, with a clock that moves by `takesMs` at each mail. */
function setUp(takesMs: number) {
  let now = 0;
  const settings = cellSettings({}, () => now);
  const log: string[] = [];
  const start = (name: string): ActorCell => {
    const mailboxHasRoom = (): number => log.push(`${name} drained`);
    const owner = {
      actorFailed() {},
      messagesAnswered() {},
      mailboxHasRoom,
      actorResumed() {},
      mailUndelivered() {},
      handlerTimedOut() {},
      actorEnded() {},
    };
    const cell = new ActorCell(settings, owner);
    cell.open(
      class extends Actor {
        override mailed(): void {
          log.push(name);
          now += takesMs;
        }
      },
      {} as ActorContext,
    );
    return cell;
  };
  return { log, start };
}

it("ends an actor's turn when the shared time is over, but not before it has handled a few mails", async () => {
  const { log, start } = setUp(TURN_MS / 4);
  const cells = ["a", "b"].map((name) => ({ name, cell: start(name) }));
  for (let i = 0; i < 40; i++) {
    for (const { name, cell } of cells) cell.mail({ kind: "mail", value: name, from: undefined, answer: undefined });
  }
  const turns: string[] = [];
  while (turns.join("").length < 80) {
    await turn();
    turns.push(
      log
        .splice(0)
        .filter((line) => line.length === 1)
        .join(""),
    );
  }
  expect(turns).toEqual(["a", "b", "a", "b", "a", "b"].map((name, i) => name.repeat(i < 4 ? 16 : 8)));
});
