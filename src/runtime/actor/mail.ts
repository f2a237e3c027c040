import { type ErrorReport, SwitchboardError } from "../../errors.ts";
import type { Address } from "./address.ts";

/** What becomes of mail at its receiver: in its mailbox; refused because that is full; or nobody is there any more. */
export type MailVerdict = "accepted" | "full" | "gone";

/**
 * What became of a `tell`. `accepted`: it is in the receiver's mailbox. `full`: the mailbox, or the way there, has no room. `gone`: the
 * connection has closed, or its shard has ended. A refused mail is handed back as it was given.
 */
export type TellResult<Mail = unknown> =
  | { readonly status: "accepted" }
  | { readonly status: "full" | "gone"; readonly mail: Mail };

export interface AskOptions {
  /** How long to wait for the answer. Default: 5,000 ms. */
  readonly timeoutMs?: number;
}

/** Sends mail to actors, wherever they are. */
export interface Mailer {
  tell<Mail>(from: Address | undefined, to: Address, mail: Mail): Promise<TellResult<Mail>>;
  ask(from: Address | undefined, to: Address, mail: unknown, options?: AskOptions): Promise<unknown>;
}

/** What an accepted `ask` comes to. */
export type AskOutcome =
  | { readonly kind: "answered"; readonly value: unknown }
  | { readonly kind: "failed"; readonly error: ErrorReport }
  /** The connection ended first. */
  | { readonly kind: "gone" };

/** Mail in the hands of its receiver. */
export interface Mail {
  readonly kind: "mail";
  /** The receiver's own copy. */
  readonly value: unknown;
  /** Undefined when the board itself sent it. */
  readonly from: Address | undefined;
  /** Where an answer is awaited. Called once, at the latest when the receiver ends. */
  readonly answer: ((outcome: AskOutcome) => void) | undefined;
}

/**
 * Why mail wasn't handled. `gone`: refused, its receiver isn't there. `closed`: accepted, but the connection ended before its turn came.
 * `unhandled`: the actor has no `mailed`.
 */
export type DeadLetterReason = "gone" | "closed" | "unhandled";

/** What an `ask` comes to whose actor has no `mailed`. */
export const UNHANDLED: AskOutcome = {
  kind: "failed",
  error: { name: "Error", message: "the actor that was asked has no mailed", stack: undefined, code: undefined },
};

/** A copy that shares nothing. Throws `ERR_MAIL_NOT_CLONEABLE`. */
export function cloneMail(mail: unknown): unknown {
  // What can't change needs no copy.
  if (typeof mail === "string" || typeof mail === "number" || typeof mail === "boolean" || mail == null) return mail;
  try {
    return structuredClone(mail);
  } catch (cause) {
    const message = "mail must be cloneable: plain data, without functions or class instances";
    throw new SwitchboardError("ERR_MAIL_NOT_CLONEABLE", message, { cause });
  }
}
