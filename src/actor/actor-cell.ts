import type { Message } from "../protocol/message.ts";
import { Actor } from "./actor.ts";
import { Mailbox, type MailboxLimits } from "./mailbox.ts";

export type HandlerName = "opened" | "received" | "draining" | "closed";

export interface ActorCellOwner {
  /** A handler threw or rejected. After any but `closed` the actor gets no more messages, only its `closed`. */
  actorFailed(handler: HandlerName, error: unknown): void;
  /** The mailbox was full and has drained to half. */
  mailboxDrained(): void;
}

/**
 * Runs one actor, one message at a time: the invariant that a handler, async or not, is finished before the next starts.
 * While the actor is idle and its mailbox empty, a message goes straight to the handler and no queue exists.
 */
export class ActorCell {
  readonly #actor: Actor;
  readonly #owner: ActorCellOwner;
  readonly #limits: MailboxLimits;
  #mailbox: Mailbox<Message> | undefined;
  #busy = false;
  #stopped = false;
  #wasFull = false;
  /** How the connection ended, until `closed` has been called with it. */
  #ending: { readonly code: number; readonly reason: string } | undefined;
  #ended = false;
  /** How far its `draining` is; undefined: not asked for. */
  #draining: "due" | "running" | "done" | undefined;
  #drained: (() => void) | undefined;

  constructor(actor: Actor, limits: MailboxLimits, owner: ActorCellOwner) {
    this.#actor = actor;
    this.#limits = limits;
    this.#owner = owner;
  }

  open(): void {
    this.#run("opened", undefined);
    this.#proceed();
  }

  /** Hands one message to the actor, now or when its turn comes. Check `full` before the next. */
  deliver(message: Message): void {
    if (this.#stopped || this.#ending !== undefined || this.#ended) return;
    if (this.#busy || (this.#mailbox !== undefined && this.#mailbox.length > 0)) {
      this.#mailbox ??= new Mailbox(this.#limits);
      // What a mailbox holds is what its bounds say: not also the blocks that its messages came in.
      this.#mailbox.push(message.compact());
      this.#wasFull ||= this.#mailbox.full;
      return;
    }
    this.#run("received", message);
    if (this.#ending !== undefined) this.#proceed();
  }

  /** Tells the actor that the board is closing: now, or as soon as it is free, before messages that wait. */
  drain(): void {
    if (this.#draining !== undefined || this.#stopped || this.#ending !== undefined || this.#ended) return;
    // An actor that doesn't want to know isn't waited for.
    if (this.#actor.draining === Actor.prototype.draining) return;
    this.#draining = "due";
    this.#proceed();
  }

  /** Calls back when the actor has been told and is done with that; at once when it isn't being told. */
  afterDraining(callback: () => void): void {
    if (this.#draining === "due" || this.#draining === "running") this.#drained = callback;
    else callback();
  }

  /** Whether the actor has so much to do that its peer must wait; `mailboxDrained` tells when that is over. */
  get full(): boolean {
    return this.#wasFull;
  }

  /** The actor gets no more messages, queued ones included; only its `closed`. */
  stop(): void {
    this.#stopped = true;
    this.#mailbox?.clear();
    this.#wasFull = false;
    if (this.#draining === "due") this.#draining = "done";
  }

  /** The connection is closed: `closed` is called when every message before has been handled. Only the first call counts. */
  end(code: number, reason: string): void {
    if (this.#ending !== undefined || this.#ended) return;
    this.#ending = { code, reason };
    if (this.#draining === "due") this.#draining = "done";
    this.#proceed();
  }

  /** Does what waits, as far as the actor is free: `draining`, messages, then `closed`. */
  #proceed(): void {
    if (this.#draining === "due" && !this.#busy) this.#runDraining();
    const mailbox = this.#mailbox;
    while (!this.#busy && mailbox !== undefined && mailbox.length > 0) {
      this.#run("received", mailbox.shift());
      if (this.#wasFull && mailbox.roomy) {
        this.#wasFull = false;
        this.#owner.mailboxDrained();
      }
    }
    if (this.#busy || this.#ending === undefined) return;
    this.#ended = true;
    const { code, reason } = this.#ending;
    this.#ending = undefined;
    try {
      const result = this.#actor.closed(code, reason);
      if (isPromise(result)) result.then(undefined, (error) => this.#owner.actorFailed("closed", error));
    } catch (error) {
      this.#owner.actorFailed("closed", error);
    }
  }

  #runDraining(): void {
    this.#draining = "running";
    this.#run("draining", undefined);
    if (!this.#busy) this.#endDraining();
  }

  #endDraining(): void {
    this.#draining = "done";
    const drained = this.#drained;
    this.#drained = undefined;
    drained?.();
  }

  #run(handler: "opened" | "received" | "draining", message: Message | undefined): void {
    this.#busy = true;
    try {
      const result = handler === "received" ? this.#actor.received(message as Message) : this.#actor[handler]();
      if (isPromise(result)) {
        result.then(this.#settled, (error) => {
          this.#fail(handler, error);
          this.#settled();
        });
        return;
      }
    } catch (error) {
      this.#fail(handler, error);
    }
    this.#busy = false;
  }

  readonly #settled = (): void => {
    this.#busy = false;
    if (this.#draining === "running") this.#endDraining();
    this.#proceed();
  };

  #fail(handler: HandlerName, error: unknown): void {
    this.stop();
    this.#owner.actorFailed(handler, error);
  }
}

function isPromise(result: unknown): result is PromiseLike<void> {
  return typeof result === "object" && result !== null && typeof (result as PromiseLike<void>).then === "function";
}
