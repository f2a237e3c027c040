/**
 * Mail between actors. Each shard and the main thread have a router. A router puts mail into a mailbox of its thread,
 * sends it over a link to another thread, or gives it to `MailToNodes`.
 */
import type { MessagePort } from "node:worker_threads";
import { reportError } from "../../errors.ts";
import type { Address } from "../actor/address.ts";
import {
  type AskedBy,
  type AskOptions,
  type AskOutcome,
  cloneMail,
  type DeadLetterReason,
  type Mail,
  type MailData,
  type Mailer,
  type MailVerdict,
  type TellResult,
} from "../actor/mail.ts";
import { Asks, askFull } from "./asks.ts";
import { type Elsewhere, type RemoteMail, type RemoteOutcome, serveGateway } from "./elsewhere.ts";
import { type MailEnvelope, MailLink, type MailLinkOwner, type Settle } from "./mail-link.ts";
import { MailToNodes } from "./mail-to-nodes.ts";
import { MovingMail } from "./moving-mail.ts";
import { packMail, unpackMail } from "./packed-mail.ts";
import type { LeavingActors } from "./travelling-actors.ts";

/** Mail that nothing handled. */
export interface LostMail {
  readonly to: Address;
  readonly from: Address | undefined;
  readonly reason: DeadLetterReason;
}

export interface MailRouterOwner {
  /** Index of this shard; undefined in the main thread, which has no actors. */
  readonly shard: number | undefined;
  /**
   * Number of this thread, unique among all that are ever linked. Default: 0 in the main thread, else the index + 1.
   */
  readonly life?: number;
  /** Beginning of the addresses of this node. Default: "", no other node shares the engine. */
  readonly addressPrefix?: string;
  /** Way to other nodes, in the main thread. Shards go through the main thread. */
  readonly elsewhere?: Elsewhere;
  /** Puts mail into the mailbox of an actor of this thread. */
  mailReceived(to: Address, mail: Mail): MailVerdict;
  /** Mail from this thread was refused because its receiver doesn't exist any more. */
  mailUndelivered(lost: LostMail): void;
  /** Returns the addresses of all connections of this thread. Default: none, as in the main thread. */
  addresses?(): Iterable<Address>;
}

const ACCEPTED = Promise.resolve({ status: "accepted" } as const);

export class MailRouter implements Mailer {
  readonly #owner: MailRouterOwner;
  /** Links by the life of the other thread. */
  readonly #links = new Map<number, MailLink>();
  readonly #asks = new Asks();
  readonly #life: number;
  readonly #moving: MovingMail;
  /** Other nodes: which addresses lead there, and the mail to them. */
  readonly nodes: MailToNodes;

  constructor(owner: MailRouterOwner) {
    this.#owner = owner;
    this.#life = owner.life ?? defaultLife(owner.shard);
    this.#moving = new MovingMail({
      shard: owner.shard,
      life: this.#life,
      asks: this.#asks,
      links: this.#links,
      deliver: (letter, link) => this.#deliver(letter, link),
      addresses: () => owner.addresses?.() ?? [],
    });
    this.nodes = new MailToNodes({
      get addressPrefix() {
        return owner.addressPrefix ?? "";
      },
      asks: this.#asks,
      elsewhere: owner.elsewhere,
      refused: (letter, status, mail) => this.#refused(letter, status, mail),
    });
  }

  /**
   * Connects this thread to another, over the port that the bus uses as well.
   *
   * @param shard index of the other shard; undefined for the main thread
   * @param life number of the other thread
   * @param isSucceeded true for a thread whose shard another thread has taken over by `succeed`
   */
  addLink(port: MessagePort, shard: number | undefined, life = defaultLife(shard), isSucceeded = false): void {
    const link = new MailLink(port, life, this.#linkOwner);
    this.#links.set(life, link);
    this.#moving.linkOpened(link, shard, isSucceeded);
    if (shard === undefined) this.nodes.goThrough(port);
    else if (this.#owner.elsewhere !== undefined) serveGateway(port, this.#owner.elsewhere);
  }

  tell<Value>(from: Address | undefined, to: Address, mail: Value): Promise<TellResult<Value>> {
    if (this.nodes.isElsewhere(to)) return this.nodes.tell(from, to, mail);
    const letter: MailEnvelope = { to, from, value: cloneMail(mail), ask: undefined };
    let result: TellResult<Value> | undefined;
    let resolve: ((result: TellResult<Value>) => void) | undefined;
    this.#send(letter, (verdict) => {
      result = verdict === "accepted" ? { status: verdict } : this.#refused(letter, verdict, mail);
      resolve?.(result);
    });
    if (result !== undefined) return result.status === "accepted" ? ACCEPTED : Promise.resolve(result);
    return new Promise((settle) => {
      resolve = settle;
    });
  }

  ask(from: Address | undefined, to: Address, mail: unknown, options?: AskOptions): Promise<unknown> {
    if (this.nodes.isElsewhere(to)) return this.nodes.ask(from, to, mail, options);
    const value = cloneMail(mail);
    const begun = this.#asks.begin(to, this.#moving.homeOf(to), options);
    if (begun === undefined) return Promise.reject(askFull(to));
    const { ask, result } = begun;
    const letter: MailEnvelope = { to, from, value, ask };
    this.#send(letter, (verdict, life) => {
      if (verdict === "accepted") {
        if (life !== undefined) this.#asks.moved(ask, life, 0);
        return;
      }
      this.#refused(letter, verdict, mail);
      this.#asks.refuse(ask, verdict);
    });
    return result;
  }

  /** Delivers mail from another node. `settle` is called once. Only for the main thread. */
  deliver({ kind, to, from, bytes: value, timeoutMs }: RemoteMail, settle: (outcome: RemoteOutcome) => void): void {
    if (kind === "tell") {
      this.#send({ to, from, value, ask: undefined, isPacked: true }, (verdict) => settle({ kind: verdict }));
      return;
    }
    const begun = this.#asks.begin(to, this.#moving.homeOf(to), { timeoutMs });
    if (begun === undefined) {
      settle({ kind: "full" });
      return;
    }
    const { ask, result } = begun;
    result.then(
      (answer) => settle({ kind: "answered", bytes: answer as Uint8Array }),
      (error) => settle(outcomeOf(error)),
    );
    this.#send({ to, from, value, ask, isPacked: true }, (verdict, life) => {
      if (verdict !== "accepted") this.#asks.refuse(ask, verdict);
      else if (life !== undefined) this.#asks.moved(ask, life, 0);
    });
  }

  /** Sends a letter to the home of its receiver. */
  #send(letter: MailEnvelope, settle: Settle): void {
    const home = this.#moving.homeOf(letter.to);
    if (home === this.#life) {
      const verdict = this.#moving.take(letter, undefined, settle);
      if (verdict !== undefined) settle(verdict);
      return;
    }
    const link = home === undefined ? undefined : this.#links.get(home);
    if (link === undefined) settle("gone");
    else link.send(letter, settle);
  }

  // ── actors that move to another thread ─────────────────────────────────────────────────────────────────

  /**
   * Asks all other threads which actors with addresses of this shard live there. For a new thread, once it has its
   * links.
   */
  rebuild(): void {
    this.#moving.rebuild();
  }

  /** Actors are about to leave for another thread: their homes keep letters. README.md has the steps. */
  leaveFor(life: number, addresses: readonly Address[]): LeavingActors {
    return this.#moving.travellers.leaveFor(life, addresses);
  }

  /** An actor comes from another process: letters wait for it until `arrived`. */
  expect(address: Address): void {
    this.#moving.travellers.expect(address);
  }

  /** An actor has come from another thread or process, and takes letters. */
  arrived(address: Address): void {
    this.#moving.travellers.arrived(address);
  }

  /** A connection has closed in this thread. */
  ended(address: Address): void {
    this.#moving.travellers.ended(address);
  }

  /** A second thread takes new connections of this shard from now on: it gets letters to addresses unknown here. */
  retire(to: number): void {
    this.#moving.retire(to);
  }

  /**
   * A second thread takes the place of a shard's first: call it in every thread, when all actors that can move have
   * left the first. In the first thread it resolves when the thread may end; elsewhere at once.
   */
  succeed(shard: number, life: number): Promise<void> {
    return this.#moving.succeed(shard, life);
  }

  /** Makes mail of what came with an actor. An answer finds its way from here. */
  revive({ value, from, askedBy: before }: MailData): Mail {
    if (before === undefined) return { kind: "mail", value, from, answer: undefined };
    const askedBy = { ...before, moves: before.moves + 1 };
    return { kind: "mail", value, from, askedBy, answer: (outcome) => this.#answer(askedBy, outcome) };
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
  #deliver(
    { to, from, value: sent, ask, askedBy: asker, isPacked }: MailEnvelope,
    link: MailLink | undefined,
  ): MailVerdict {
    let value = sent;
    try {
      if (isPacked) value = unpackMail(sent as Uint8Array);
    } catch {
      // Another node sent bytes that are no mail.
      return "gone";
    }
    if (ask === undefined) return this.#owner.mailReceived(to, { kind: "mail", value, from, answer: undefined });
    const life = asker ?? link?.life ?? this.#life;
    const askedBy: AskedBy = { life, number: ask, isPacked: isPacked === true, moves: 0 };
    const answer = (outcome: AskOutcome): void => this.#answer(askedBy, outcome);
    return this.#owner.mailReceived(to, { kind: "mail", value, from, askedBy, answer });
  }

  #answer({ life, number: ask, isPacked }: AskedBy, outcome: AskOutcome): void {
    const sendable = copyOutcome(outcome, isPacked ? packMail : cloneMail);
    if (life === this.#life) this.#asks.settle(ask, sendable);
    else this.#links.get(life)?.answer({ ask, outcome: sendable });
  }

  readonly #linkOwner: MailLinkOwner = {
    letterReceived: (letter, link, settle) => this.#moving.take(letter, link, settle),
    noteReceived: (note, link) => this.#moving.noteReceived(note, link),
    answerReceived: ({ ask, outcome }) => this.#asks.settle(ask, outcome),
    linkClosed: (link) => {
      if (this.#links.get(link.life) === link) this.#links.delete(link.life);
      this.#moving.linkClosed(link);
      this.#asks.threadEnded(link.life);
    },
  };
}

function defaultLife(shard: number | undefined): number {
  return shard === undefined ? 0 : shard + 1;
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
