/**
 * Everything that comes to an actor: messages, mail, notices and expired timers, and its turns of the shard.
 * `ActorCell` extends the queue by the actor.
 */
import type { Message } from "../../../wire/protocol/message.ts";
import { type ScheduledTask, TURN_BUDGET } from "../../scheduling/fair-scheduler.ts";
import { type ActorTimer, ActorTimers, type TimerCall } from "../actor-timers.ts";
import type { ActorCellOwner, CellSettings } from "../cell-host.ts";
import { type Mail, type MailVerdict, UNHANDLED } from "../mail.ts";
import { type CellState, loadWaiting, saveWaiting } from "../moving/cell-state.ts";
import type { Notice, Work } from "../work.ts";
import { Mailbox } from "./mailbox.ts";

/** Handlers that an actor may run in any turn, even if the time of the turn is used up. */
const LIGHT_HANDLERS = 16;

/** Work that may wait in the mailbox. */
export type QueuedWork = Message | Mail | ActorTimer | Notice;

/**
 * Decides what an actor handles at once and what waits. While the actor is idle and its mailbox empty, a message goes
 * straight to its handler and no mailbox exists. After a budget of handlers, or when the time of a turn is over, the
 * queue rests: everything waits for the next turn.
 */
export abstract class CellQueue implements ScheduledTask {
  protected readonly owner: ActorCellOwner;
  protected readonly settings: CellSettings;
  #mailbox: Mailbox<QueuedWork> | undefined;
  #wasFull = false;
  /** True while the budget of this turn is spent. */
  #resting = false;
  #awaitsTurn = false;
  /** Last turn in which the actor handled something, and its budget left in that turn. */
  #turn = -1;
  #budget = 0;
  #timers: ActorTimers | undefined;
  /** Topics of which the actor is yet to be told that it missed changes of presence. */
  #missed: Set<string> | undefined;

  /** True while a handler runs, or the actor is suspended. */
  protected abstract readonly isBusy: boolean;
  /** True if the actor gets nothing new. */
  protected abstract readonly isOver: boolean;

  constructor(settings: CellSettings, owner: ActorCellOwner) {
    this.settings = settings;
    this.owner = owner;
  }

  /** Handles one piece of work. The actor is idle, and nothing waits. */
  protected abstract handleNow(work: Work): void;

  /** Handles what waits, as far as the actor is free and its budget lasts. */
  protected abstract proceed(): void;

  /** Gives one message to the actor, at once or when its turn comes. Check `full` before the next message. */
  deliver(message: Message): void {
    if (this.isOver) return;
    if (!this.mustWait()) {
      this.handleNow(message);
      return;
    }
    this.#wasFull ||= this.#push(message.toOwned()).full;
  }

  /**
   * Puts mail into the mailbox. The mail is handled in a later turn, never within this call: the sender may be in the
   * middle of a handler.
   */
  mail(mail: Mail): MailVerdict {
    if (this.isOver) return "gone";
    if (this.#openMailbox().mailFull) return "full";
    this.#push(mail);
    this.#awaitTurn();
    return "accepted";
  }

  /** Gives the actor news of a topic, in a later turn. */
  notify(notice: Notice): void {
    if (this.isOver) return;
    if (notice.handler === "presenceChanged" && this.#openMailbox().noticesFull) {
      // One notice more for each topic, in the place of all changes from here to the time when the actor reads it.
      const { topic } = notice.event;
      this.#missed ??= new Set();
      if (this.#missed.has(topic)) return;
      this.#missed.add(topic);
      this.#push({ kind: "notice", handler: "presenceChanged", event: { kind: "missed", topic } });
    } else {
      this.#push(notice);
    }
    this.#awaitTurn();
  }

  /** True while the peer must wait because the actor has too much to do. `mailboxHasRoom` tells the end of that. */
  get full(): boolean {
    return this.#wasFull || this.#resting;
  }

  /** Arguments of the timers that move with the actor. */
  get timerArguments(): unknown[] {
    return this.#timers?.all.map(({ call }) => (typeof call === "function" ? undefined : call.argument)) ?? [];
  }

  /** Called by the `FairScheduler`. */
  takeTurn(): void {
    this.#awaitsTurn = false;
    const rested = this.#resting;
    this.#resting = false;
    this.proceed();
    if (rested && !this.full) this.owner.mailboxHasRoom();
  }

  /** True while nothing is handled before the next turn. */
  protected get isResting(): boolean {
    return this.#resting;
  }

  /** True if a new message or mail has to wait. */
  protected mustWait(): boolean {
    return this.isBusy || this.#resting || (this.#mailbox !== undefined && this.#mailbox.length > 0);
  }

  /** True if messages of the peer wait. */
  protected get hasMessages(): boolean {
    return this.#mailbox?.hasMessages === true;
  }

  /** Takes what has waited longest. */
  protected next(): QueuedWork | undefined {
    const next = this.#mailbox?.shift();
    if (next?.kind === "notice" && next.handler === "presenceChanged" && next.event.kind === "missed") {
      this.#missed?.delete(next.event.topic);
    }
    return next;
  }

  /** Takes one handler from the budget of this turn. Call `spend` before the handler. */
  protected spend(): void {
    const { turns } = this.settings;
    if (this.#turn !== turns.now) {
      this.#turn = turns.enter();
      this.#budget = TURN_BUDGET;
    }
    if (--this.#budget === 0) this.#rest();
  }

  /** Looks at the mailbox and the clock after a handler: tells the owner of room, and rests if the turn is over. */
  protected spent(): void {
    if (this.#wasFull && this.#mailbox?.roomy) {
      this.#wasFull = false;
      if (!this.#resting) this.owner.mailboxHasRoom();
    }
    if (this.#mayRest() && this.settings.turns.over) this.#rest();
  }

  /** Starts a timer. Returns a function that cancels it. Throws `ERR_TIMER`. */
  protected addTimer(delayMs: number, call: TimerCall, repeats: boolean): () => void {
    this.#timers ??= this.#newTimers();
    return this.#timers.add(delayMs, call, repeats);
  }

  protected clearTimers(): void {
    this.#timers?.clear();
  }

  /** Cancels all timers that call this method, and calls that wait. Returns the number of both. */
  protected cancelCallsOf(method: string): number {
    let count = this.#timers?.cancelCallsOf(method) ?? 0;
    for (const one of this.#mailbox ?? []) {
      if (one.kind !== "timer" || one.cancelled || typeof one.call === "function" || one.call.method !== method)
        continue;
      one.cancelled = true;
      count++;
    }
    return count;
  }

  /**
   * Cancels the timers that call functions of the actor object. Returns true if there were any, or if their calls wait.
   */
  protected clearFunctionTimers(): boolean {
    let any = (this.#timers?.clearFunctions() ?? 0) > 0;
    for (const one of this.#mailbox ?? []) {
      if (one.kind !== "timer" || one.cancelled || typeof one.call !== "function") continue;
      one.cancelled = true;
      any = true;
    }
    return any;
  }

  /** Drops everything that waits, and ends all timers. */
  protected dropWaiting(): void {
    this.clearTimers();
    // The owner may wait for `mailboxHasRoom`.
    if (this.#wasFull) this.#rest();
    this.#wasFull = false;
    this.#missed = undefined;
    for (const one of this.#mailbox?.clear() ?? []) if (one.kind === "mail") this.deadLetter(one, "closed");
  }

  /** Mail won't be handled. */
  protected deadLetter(mail: Mail, reason: "closed" | "unhandled"): void {
    this.owner.mailUndelivered(mail, reason);
    mail.answer?.(reason === "closed" ? { kind: "gone" } : UNHANDLED);
  }

  /** Takes out what waits, and ends all timers, for `loadQueue` in another thread. */
  protected saveQueue(): Pick<CellState, "waiting" | "timers"> {
    const timers = this.#timers?.all.filter(({ call }) => typeof call !== "function") ?? [];
    const waiting = saveWaiting(this.#mailbox?.clear() ?? [], timers);
    const saved = { waiting, timers: this.#timers?.save(timers) ?? [] };
    this.clearTimers();
    return saved;
  }

  /** Lets wait what waited for another cell, and starts its timers. */
  protected loadQueue({ waiting, timers }: Pick<CellState, "waiting" | "timers">): void {
    if (timers.length === 0 && waiting.length === 0) return;
    this.#timers = this.#newTimers();
    this.#timers.load(timers);
    const mailbox = this.#openMailbox();
    for (const one of loadWaiting(waiting, this.#timers, this.settings.revive)) mailbox.push(one);
    this.#wasFull = mailbox.full;
  }

  #push(work: Message | Mail | Notice): Mailbox<QueuedWork> {
    const mailbox = this.#openMailbox();
    mailbox.push(work);
    this.settings.waiting?.(mailbox.length);
    return mailbox;
  }

  #openMailbox(): Mailbox<QueuedWork> {
    this.#mailbox ??= new Mailbox(this.settings.limits, this.settings.compactor);
    return this.#mailbox;
  }

  #newTimers(): ActorTimers {
    return new ActorTimers((timer) => this.#timerExpired(timer));
  }

  #timerExpired(timer: ActorTimer): void {
    if (timer.waits) return;
    if (!this.mustWait()) {
      this.handleNow(timer);
      return;
    }
    timer.waits = true;
    this.#openMailbox().push(timer);
  }

  /** True if the actor has handled something in this turn and has more to do. */
  #mayRest(): boolean {
    return TURN_BUDGET - this.#budget >= LIGHT_HANDLERS && !this.#resting && (this.#mailbox?.length ?? 0) > 0;
  }

  #rest(): void {
    this.#resting = true;
    this.#awaitTurn();
  }

  #awaitTurn(): void {
    if (this.#awaitsTurn) return;
    this.#awaitsTurn = true;
    this.settings.turns.add(this);
  }
}
