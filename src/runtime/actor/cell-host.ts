/** The surroundings of a cell: the settings of its shard, and the owner that gets its reports, a `Connection`. */
import type { FairScheduler } from "../scheduling/fair-scheduler.ts";
import type { ActorScopes } from "./actor-scopes.ts";
import type { HandlerWatch } from "./handlers/handler-watch.ts";
import type { DeadLetterReason, Mail, MailData } from "./mail.ts";
import type { MailboxCompactor, MailboxLimits } from "./queue/mailbox.ts";
import type { FailureOutcome } from "./supervision.ts";
import type { HandlerName } from "./work.ts";

export interface ActorCellOwner {
  /**
   * A handler threw, rejected or timed out, or a promise that it left alone rejected. A stopped or escalated actor gets
   * only its `closed`.
   */
  actorFailed(handler: HandlerName, error: unknown, outcome: FailureOutcome): void;
  /** The actor's `resumed` has ended. */
  actorResumed(): void;
  /** The cell's `isAnswered` may have become true. */
  messagesAnswered(): void;
  /** The cell's `full` was true and is false now. */
  mailboxHasRoom(): void;
  /** Mail was accepted but won't be handled. */
  mailUndelivered(mail: Mail, reason: DeadLetterReason): void;
  /** A handler took longer than its limit. `actorFailed` follows. */
  handlerTimedOut(handler: HandlerName, limitMs: number): void;
  /** The actor is done: its `closed` has ended or was given up. Called once, after `end`. */
  actorEnded(): void;
}

/** Everything that the cells of a shard share. */
export interface CellSettings {
  readonly limits: MailboxLimits;
  /** Scheduler of the cells that have more to do than fits into a turn. */
  readonly turns: FairScheduler;
  readonly scopes: ActorScopes;
  readonly compactor: MailboxCompactor;
  /** Watch that gives up handlers that take too long; undefined for no limits. */
  readonly watch?: HandlerWatch;
  /** Makes mail of what came with an actor from another thread. Default: mail whose answers are lost. */
  readonly revive?: (data: MailData) => Mail;
  /** Takes the number of messages and mails that wait in one mailbox, whenever one more waits. */
  readonly waiting?: (length: number) => void;
}
