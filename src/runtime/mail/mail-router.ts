/**
 * Mail between actors. Each shard and the main thread have one: it puts mail into a mailbox of its thread, or sends it
 * over a link.
 */
import type { MessagePort } from "node:worker_threads";
import { reportError } from "../../errors.ts";
import { type Address, shardOf } from "../actor/address.ts";
import {
  type AskOptions,
  type AskOutcome,
  cloneMail,
  type DeadLetterReason,
  type Mail,
  type Mailer,
  type MailVerdict,
  type TellResult,
} from "../actor/mail.ts";
import { Asks, askFull } from "./asks.ts";
import { type MailEnvelope, MailLink, type MailLinkOwner } from "./mail-link.ts";

/** Mail that nothing handled. */
export interface LostMail {
  readonly to: Address;
  readonly from: Address | undefined;
  readonly reason: DeadLetterReason;
}

export interface MailRouterOwner {
  /** Index of this shard; undefined in the main thread, which has no actors. */
  readonly shard: number | undefined;
  /** Puts mail into the mailbox of an actor of this thread. */
  mailReceived(to: Address, mail: Mail): MailVerdict;
  /** Mail from this thread was refused because its receiver doesn't exist any more. */
  mailUndelivered(lost: LostMail): void;
}

const ACCEPTED = Promise.resolve({ status: "accepted" } as const);

export class MailRouter implements Mailer {
  readonly #owner: MailRouterOwner;
  readonly #links = new Map<number, MailLink>();
  readonly #asks = new Asks();

  constructor(owner: MailRouterOwner) {
    this.#owner = owner;
  }

  /**
   * Connects this thread to another, over the port that the bus uses as well.
   *
   * @param shard index of the other shard; undefined for the main thread
   */
  addLink(port: MessagePort, shard: number | undefined): void {
    const link = new MailLink(port, this.#linkOwner);
    if (shard !== undefined) this.#links.set(shard, link);
  }

  tell<Value>(from: Address | undefined, to: Address, mail: Value): Promise<TellResult<Value>> {
    const letter: MailEnvelope = { to, from, value: cloneMail(mail), ask: undefined };
    if (shardOf(to) === this.#owner.shard) {
      const verdict = this.#receive(letter, undefined);
      return verdict === "accepted" ? ACCEPTED : Promise.resolve(this.#refused(letter, verdict, mail));
    }
    const link = this.#links.get(shardOf(to));
    if (link === undefined) return Promise.resolve(this.#refused(letter, "gone", mail));
    return new Promise((resolve) => {
      link.send(letter, (verdict) =>
        resolve(verdict === "accepted" ? { status: verdict } : this.#refused(letter, verdict, mail)),
      );
    });
  }

  ask(from: Address | undefined, to: Address, mail: unknown, options?: AskOptions): Promise<unknown> {
    const value = cloneMail(mail);
    const isLocal = shardOf(to) === this.#owner.shard;
    const link = isLocal ? undefined : this.#links.get(shardOf(to));
    const begun = this.#asks.begin(to, link, options);
    if (begun === undefined) return Promise.reject(askFull(to));
    const { ask, result } = begun;
    const letter: MailEnvelope = { to, from, value, ask };
    const settle = (verdict: MailVerdict): void => {
      if (verdict === "accepted") return;
      this.#refused(letter, verdict, mail);
      this.#asks.refuse(ask, verdict);
    };
    if (isLocal) settle(this.#receive(letter, undefined));
    else if (link === undefined) settle("gone");
    else link.send(letter, settle);
    return result;
  }

  #refused<Value>({ to, from }: MailEnvelope, status: "full" | "gone", mail: Value): TellResult<Value> {
    if (status === "gone") this.#owner.mailUndelivered({ to, from, reason: "gone" });
    return { status, mail };
  }

  /** @param link the link that the letter came over; undefined for a letter of this thread */
  #receive({ to, from, value, ask }: MailEnvelope, link: MailLink | undefined): MailVerdict {
    const answer =
      ask === undefined
        ? undefined
        : (outcome: AskOutcome): void => {
            const sendable = cloneOutcome(outcome);
            if (link === undefined) this.#asks.settle(ask, sendable);
            else link.answer({ ask, outcome: sendable });
          };
    return this.#owner.mailReceived(to, { kind: "mail", value, from, answer });
  }

  readonly #linkOwner: MailLinkOwner = {
    letterReceived: (letter, link) => this.#receive(letter, link),
    answerReceived: ({ ask, outcome }) => this.#asks.settle(ask, outcome),
    linkClosed: (link) => {
      for (const [shard, one] of this.#links) if (one === link) this.#links.delete(shard);
      this.#asks.linkClosed(link);
    },
  };
}

/** Copies an answer, as mail is copied. */
function cloneOutcome(outcome: AskOutcome): AskOutcome {
  if (outcome.kind !== "answered") return outcome;
  try {
    return { kind: "answered", value: cloneMail(outcome.value) };
  } catch (error) {
    return { kind: "failed", error: reportError(error) };
  }
}
