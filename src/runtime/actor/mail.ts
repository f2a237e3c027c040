/** The words of mail between actors, for senders and receivers. */
import { type ErrorReport, SwitchboardError } from "../../errors.ts";
import type { Address } from "./address.ts";

/**
 * Verdict of the receiver: in the mailbox, refused because the mailbox is full, or refused because the receiver is
 * gone.
 */
export type MailVerdict = "accepted" | "full" | "gone";

/**
 * Result of a `tell`. `accepted`: the mail is in the mailbox of the receiver. `full`: the mailbox, or the way there,
 * has no room. `gone`: the connection has closed, or its shard has ended. A refused mail comes back as it was given.
 */
export type TellResult<Mail = unknown> =
  | { readonly status: "accepted" }
  | { readonly status: "full" | "gone"; readonly mail: Mail };

export interface AskOptions {
  /** Milliseconds to wait for the answer. Default: 5,000. */
  readonly timeoutMs?: number;
}

/** Sends mail to actors on any shard. */
export interface Mailer {
  tell<Mail>(from: Address | undefined, to: Address, mail: Mail): Promise<TellResult<Mail>>;
  ask(from: Address | undefined, to: Address, mail: unknown, options?: AskOptions): Promise<unknown>;
}

/** Outcome of an accepted `ask`. */
export type AskOutcome =
  | { readonly kind: "answered"; readonly value: unknown }
  | { readonly kind: "failed"; readonly error: ErrorReport }
  /** The connection ended before the answer. */
  | { readonly kind: "gone" };

/** The asker that gets the answer to an `ask`: plain data, which moves with an actor. */
export interface AskedBy {
  /** Life of the asking thread. */
  readonly life: number;
  /** Number of the ask in the asking thread. */
  readonly number: number;
  /** True if the answer goes to another node. */
  readonly isPacked: boolean;
  /** Number of moves of the actor since the ask. */
  readonly moves: number;
}

/** Mail as plain data, for an actor that moves. `MailRouter.revive` makes mail of it. */
export interface MailData {
  readonly value: unknown;
  readonly from: Address | undefined;
  readonly askedBy: AskedBy | undefined;
}

/** Mail as its receiver gets it. */
export interface Mail {
  readonly kind: "mail";
  /** Content: the receiver's own copy. */
  readonly value: unknown;
  /** Address of the sender; undefined for the board. */
  readonly from: Address | undefined;
  /** Takes the answer to an `ask`; undefined for a `tell`. Called once, at the latest when the receiver ends. */
  readonly answer: ((outcome: AskOutcome) => void) | undefined;
  /** Asker that gets the answer; undefined for a `tell`. */
  readonly askedBy?: AskedBy | undefined;
}

/** Returns mail that waits in a mailbox as plain data. It must not be answered here afterwards. */
export function mailData({ value, from, askedBy }: Mail): MailData {
  return { value, from, askedBy };
}

/**
 * Reason why mail was not handled. `gone`: refused, because the receiver doesn't exist any more. `closed`: accepted,
 * but the connection ended first. `unhandled`: the actor has no `mailed`.
 */
export type DeadLetterReason = "gone" | "closed" | "unhandled";

/** Outcome of an `ask` whose actor has no `mailed`. */
export const UNHANDLED: AskOutcome = {
  kind: "failed",
  error: { name: "Error", message: "the actor that was asked has no mailed", stack: undefined, code: undefined },
};

/** Copies mail. Throws `ERR_MAIL_NOT_CLONEABLE`. */
export function cloneMail(mail: unknown): unknown {
  // Values that can't change need no copy.
  if (typeof mail === "string" || typeof mail === "number" || typeof mail === "boolean" || mail == null) return mail;
  try {
    return structuredClone(mail);
  } catch (cause) {
    const message = "mail must be cloneable: plain data, without functions or class instances";
    throw new SwitchboardError("ERR_MAIL_NOT_CLONEABLE", message, { cause });
  }
}
