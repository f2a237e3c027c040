/**
 * Mail between actors. Each shard and the main thread have a router. A router puts mail into a mailbox of its thread,
 * sends it over a link to another thread, or gives it to the way to other nodes.
 */
import type { MessagePort } from "node:worker_threads";
import { reportError } from "../../errors.ts";
import { type Address, isForeign, shardOf } from "../actor/address.ts";
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
import { Asks, askFull, DEFAULT_TIMEOUT_MS } from "./asks.ts";
import { type Elsewhere, Gateway, type RemoteMail, type RemoteOutcome, serveGateway } from "./elsewhere.ts";
import { type MailEnvelope, MailLink, type MailLinkOwner } from "./mail-link.ts";
import { packMail, unpackMail } from "./packed-mail.ts";

/** Mail that nothing handled. */
export interface LostMail {
  readonly to: Address;
  readonly from: Address | undefined;
  readonly reason: DeadLetterReason;
}

export interface MailRouterOwner {
  /** Index of this shard; undefined in the main thread, which has no actors. */
  readonly shard: number | undefined;
  /** What the addresses of this node begin with. Default: "", no other node shares the engine. */
  readonly addressPrefix?: string;
  /** Way to other nodes, in the main thread. Shards go through the main thread. */
  readonly elsewhere?: Elsewhere;
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
  /** Way to other nodes; undefined if there are none. */
  #elsewhere: Elsewhere | undefined;

  constructor(owner: MailRouterOwner) {
    this.#owner = owner;
    this.#elsewhere = owner.elsewhere;
  }

  /**
   * Connects this thread to another, over the port that the bus uses as well.
   *
   * @param shard index of the other shard; undefined for the main thread
   */
  addLink(port: MessagePort, shard: number | undefined): void {
    const link = new MailLink(port, this.#linkOwner);
    if (shard === undefined) {
      if (this.#prefix !== "") this.#elsewhere = new Gateway(port);
      return;
    }
    this.#links.set(shard, link);
    if (this.#owner.elsewhere !== undefined) serveGateway(port, this.#owner.elsewhere);
  }

  get #prefix(): string {
    return this.#owner.addressPrefix ?? "";
  }

  tell<Value>(from: Address | undefined, to: Address, mail: Value): Promise<TellResult<Value>> {
    if (isForeign(to, this.#prefix)) return this.#tellElsewhere(from, to, mail);
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
    if (isForeign(to, this.#prefix)) return this.#askElsewhere(from, to, mail, options);
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

  /** Delivers mail from another node. `settle` is called once. Only for the main thread. */
  deliver({ kind, to, from, bytes: value, timeoutMs }: RemoteMail, settle: (outcome: RemoteOutcome) => void): void {
    const link = this.#links.get(shardOf(to));
    if (link === undefined) {
      settle({ kind: "gone" });
    } else if (kind === "tell") {
      link.send({ to, from, value, ask: undefined, isPacked: true }, (verdict) => settle({ kind: verdict }));
    } else {
      const begun = this.#asks.begin(to, link, { timeoutMs });
      if (begun === undefined) {
        settle({ kind: "full" });
        return;
      }
      const { ask, result } = begun;
      result.then(
        (answer) => settle({ kind: "answered", bytes: answer as Uint8Array }),
        (error) => settle(outcomeOf(error)),
      );
      link.send({ to, from, value, ask, isPacked: true }, (verdict) => {
        if (verdict !== "accepted") this.#asks.refuse(ask, verdict);
      });
    }
  }

  #tellElsewhere<Value>(from: Address | undefined, to: Address, mail: Value): Promise<TellResult<Value>> {
    const bytes = packMail(mail);
    return new Promise((resolve) => {
      this.#sendElsewhere({ kind: "tell", to, from, bytes, timeoutMs: DEFAULT_TIMEOUT_MS }, ({ kind }) => {
        if (kind === "accepted") resolve({ status: kind });
        else resolve(this.#refused({ to, from }, kind === "full" ? "full" : "gone", mail));
      });
    });
  }

  #askElsewhere(from: Address | undefined, to: Address, mail: unknown, options?: AskOptions): Promise<unknown> {
    const bytes = packMail(mail);
    const begun = this.#asks.begin(to, undefined, options);
    if (begun === undefined) return Promise.reject(askFull(to));
    const { ask, result } = begun;
    const timeoutMs = options?.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    this.#sendElsewhere({ kind: "ask", to, from, bytes, timeoutMs }, (outcome) => {
      switch (outcome.kind) {
        case "full":
        case "gone":
          this.#refused({ to, from }, outcome.kind, mail);
          this.#asks.refuse(ask, outcome.kind);
          return;
        case "answered":
          this.#asks.settle(ask, unpackAnswer(outcome.bytes));
          return;
        case "failed":
          this.#asks.settle(ask, outcome);
      }
      // An ask that has expired, or whose answer can't be, ends at its deadline.
    });
    return result;
  }

  #sendElsewhere(mail: RemoteMail, settle: (outcome: RemoteOutcome) => void): void {
    if (this.#elsewhere === undefined) settle({ kind: "gone" });
    else this.#elsewhere.send(mail, settle);
  }

  #refused<Value>(
    { to, from }: Pick<MailEnvelope, "to" | "from">,
    status: "full" | "gone",
    mail: Value,
  ): TellResult<Value> {
    if (status === "gone") this.#owner.mailUndelivered({ to, from, reason: "gone" });
    return { status, mail };
  }

  /** @param link the link that the letter came over; undefined for a letter of this thread */
  #receive({ to, from, value: sent, ask, isPacked }: MailEnvelope, link: MailLink | undefined): MailVerdict {
    let value = sent;
    try {
      if (isPacked) value = unpackMail(sent as Uint8Array);
    } catch {
      // Another node sent bytes that are no mail.
      return "gone";
    }
    const answer =
      ask === undefined
        ? undefined
        : (outcome: AskOutcome): void => {
            const sendable = copyOutcome(outcome, isPacked ? packMail : cloneMail);
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
function copyOutcome(outcome: AskOutcome, copy: (mail: unknown) => unknown): AskOutcome {
  if (outcome.kind !== "answered") return outcome;
  try {
    return { kind: "answered", value: copy(outcome.value) };
  } catch (error) {
    return { kind: "failed", error: reportError(error) };
  }
}

function unpackAnswer(bytes: Uint8Array): AskOutcome {
  try {
    return { kind: "answered", value: unpackMail(bytes) };
  } catch (error) {
    return { kind: "failed", error: reportError(error) };
  }
}

/** Returns the outcome for another node of an ask that was rejected here. */
function outcomeOf({ code, cause }: { readonly code: string; readonly cause?: unknown }): RemoteOutcome {
  switch (code) {
    case "ERR_ASK_FULL":
      return { kind: "full" };
    case "ERR_ASK_GONE":
      return { kind: "gone" };
    case "ERR_ASK_TIMEOUT":
      return { kind: "expired" };
    default:
      return { kind: "failed", error: reportError(cause) };
  }
}
