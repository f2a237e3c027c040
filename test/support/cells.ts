/** Settings and hosts for actor cells without a shard. Used by tests of cells and connections. */
import { ActorScopes } from "../../src/runtime/actor/actor-scopes.ts";
import type { CellSettings } from "../../src/runtime/actor/cell-host.ts";
import type { HandlerWatch } from "../../src/runtime/actor/handlers/handler-watch.ts";
import { MailboxCompactor, type MailboxLimits } from "../../src/runtime/actor/queue/mailbox.ts";
import { type LostMail, MailRouter } from "../../src/runtime/mail/mail-router.ts";
import { FairScheduler } from "../../src/runtime/scheduling/fair-scheduler.ts";

/** The parts that cells share. By default there is room for everything and a turn's time never ends. */
export function cellSettings(limits: Partial<MailboxLimits> = {}, clock = () => 0, watch?: HandlerWatch): CellSettings {
  return {
    limits: { messages: 1024, bytes: 1024 * 1024, mails: 1024, ...limits },
    turns: new FairScheduler(clock),
    scopes: new ActorScopes(),
    compactor: new MailboxCompactor(),
    ...(watch && { watch }),
  };
}

/** The part of a connection host for cells and mail. Nobody can be reached: every address is "gone". */
export function cellsWithoutMail(died: (lost: LostMail) => void = () => {}) {
  const mailer = new MailRouter({ shard: undefined, mailReceived: () => "gone", mailUndelivered: died });
  const cells = cellSettings();
  return {
    cells,
    turns: cells.turns,
    mailer,
    mailUndelivered: died,
    escalate: () => {},
    handlerTimedOut: () => {},
    actorEnded: () => {},
  };
}
