/**
 * One end of the mail between two threads. It shares its port with the bus: each takes the messages of its own kinds.
 */
import type { MessagePort } from "node:worker_threads";
import type { Address } from "../actor/address.ts";
import type { AskOutcome, MailVerdict } from "../actor/mail.ts";
import type { MailNote } from "./mail-notes.ts";

/** Mail on its way to another thread. */
export interface MailEnvelope {
  readonly to: Address;
  readonly from: Address | undefined;
  readonly value: unknown;
  /** Number of the ask in the asking thread; undefined for a tell. */
  readonly ask: number | undefined;
  /** Life of the asking thread, if the mail was passed on; otherwise the thread that the mail comes from. */
  readonly askedBy?: number | undefined;
  /** True for mail from another node: `value` is packed, and so is the value of the answer. */
  readonly isPacked?: true;
}

export interface Answer {
  readonly ask: number;
  readonly outcome: AskOutcome;
}

/**
 * Takes the verdict on a letter, once.
 *
 * @param life thread in which the letter was accepted, if it was passed on
 */
export type Settle = (verdict: MailVerdict, life?: number | undefined) => void;

/** The verdict on a letter that was kept or passed on, by the number of the letter on its link. */
interface LaterVerdict {
  readonly number: number;
  readonly verdict: MailVerdict;
  readonly life: number | undefined;
}

/** All mail that one thread has for another at the end of a tick. */
interface MailBatch {
  readonly kind: "mail";
  /** Letters, and notes about actors that move, in the order of the calls. */
  readonly letters: readonly (MailEnvelope | MailNote)[];
  /** Number of letters of the other side that were looked at since the last batch, in order. */
  readonly taken: number;
  /** Refused letters among the `taken`, by position. `later`: another thread will tell the verdict. */
  readonly refused: readonly { readonly at: number; readonly verdict: "full" | "gone" | "later" }[];
  /** Answers to asks of the other side. */
  readonly answers: readonly Answer[];
  /** Verdicts on letters that were taken before; undefined, as nearly always, if there are none. */
  readonly later: readonly LaterVerdict[] | undefined;
}

export interface MailLinkOwner {
  /** @param settle takes the verdict if none is returned */
  letterReceived(letter: MailEnvelope, link: MailLink, settle: Settle): MailVerdict | undefined;
  noteReceived(note: MailNote, link: MailLink): void;
  answerReceived(answer: Answer): void;
  linkClosed(link: MailLink): void;
}

/** Number of letters to one thread without a verdict. More are refused as `full`. */
export const MAX_LETTERS_UNDER_WAY = 8_192;

/** Posts the mail of a tick as one message. */
export class MailLink {
  /** Life of the thread at the other end. */
  readonly life: number;
  readonly #port: MessagePort;
  readonly #owner: MailLinkOwner;
  /** Callbacks for the verdicts on letters that were sent, in order. */
  #awaiting: Settle[] = [];
  /** Number of the first letter in `#awaiting`. */
  #firstAwaiting = 0;
  /** Callbacks for later verdicts, by the number of the letter. */
  readonly #awaitingLater = new Map<number, Settle>();
  #letters: (MailEnvelope | MailNote)[] = [];
  #answers: Answer[] = [];
  #taken = 0;
  #refused: { at: number; verdict: "full" | "gone" | "later" }[] = [];
  #later: LaterVerdict[] | undefined;
  /** Number of letters that were received. */
  #received = 0;
  #scheduled = false;
  #closed = false;

  constructor(port: MessagePort, life: number, owner: MailLinkOwner) {
    this.life = life;
    this.#port = port;
    this.#owner = owner;
    port.on("message", (message: { readonly kind: string }) => {
      if (message.kind === "mail") this.#handle(message as MailBatch);
    });
    port.on("close", () => this.#handleClose());
  }

  /** Sends a letter at the end of the tick. `settle` gets the verdict, within this call if it is already known. */
  send(letter: MailEnvelope, settle: Settle): void {
    if (this.#closed) {
      settle("gone");
    } else if (this.#awaiting.length + this.#awaitingLater.size >= MAX_LETTERS_UNDER_WAY) {
      settle("full");
    } else {
      this.#awaiting.push(settle);
      this.#letters.push(letter);
      this.#schedule();
    }
  }

  /** Sends a note, in line with the letters. */
  note(note: MailNote): void {
    if (this.#closed) return;
    this.#letters.push(note);
    this.#schedule();
  }

  answer(answer: Answer): void {
    if (this.#closed) return;
    this.#answers.push(answer);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(this.#flush);
  }

  readonly #flush = (): void => {
    this.#scheduled = false;
    if (this.#closed) return;
    const batch: MailBatch = {
      kind: "mail",
      letters: this.#letters,
      taken: this.#taken,
      refused: this.#refused,
      answers: this.#answers,
      later: this.#later,
    };
    this.#letters = [];
    this.#taken = 0;
    this.#refused = [];
    this.#answers = [];
    this.#later = undefined;
    this.#port.postMessage(batch);
  };

  #handle({ letters, taken, refused, answers, later }: MailBatch): void {
    this.#settle(taken, refused);
    for (const { number, verdict, life } of later ?? []) this.#takeLater(number)?.(verdict, life);
    for (const answer of answers) this.#owner.answerReceived(answer);
    for (const letter of letters) {
      if ("note" in letter) this.#owner.noteReceived(letter, this);
      else this.#receive(letter);
    }
    if (this.#taken > 0) this.#schedule();
  }

  #receive(letter: MailEnvelope): void {
    const number = this.#received++;
    const verdict = this.#owner.letterReceived(letter, this, (later, life) => {
      this.#later ??= [];
      this.#later.push({ number, verdict: later, life });
      this.#schedule();
    });
    if (verdict !== "accepted") this.#refused.push({ at: this.#taken, verdict: verdict ?? "later" });
    this.#taken++;
  }

  #settle(taken: number, refused: MailBatch["refused"]): void {
    if (taken === 0) return;
    const first = this.#firstAwaiting;
    this.#firstAwaiting += taken;
    const settled = this.#awaiting.splice(0, taken);
    const verdicts = new Map(refused.map(({ at, verdict }) => [at, verdict]));
    for (const [at, settle] of settled.entries()) {
      const verdict = verdicts.get(at) ?? "accepted";
      if (verdict === "later") this.#awaitingLater.set(first + at, settle);
      else settle(verdict);
    }
  }

  #takeLater(number: number): Settle | undefined {
    const settle = this.#awaitingLater.get(number);
    this.#awaitingLater.delete(number);
    return settle;
  }

  #handleClose(): void {
    this.#closed = true;
    const awaiting = [...this.#awaitingLater.values(), ...this.#awaiting];
    this.#awaiting = [];
    this.#awaitingLater.clear();
    for (const settle of awaiting) settle("gone");
    this.#owner.linkClosed(this);
  }
}
