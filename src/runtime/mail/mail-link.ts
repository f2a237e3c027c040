/**
 * One end of the mail between two threads. It shares its port with the bus: each takes the messages of its own kinds.
 */
import type { MessagePort } from "node:worker_threads";
import type { Address } from "../actor/address.ts";
import type { AskOutcome, MailVerdict } from "../actor/mail.ts";

/** Mail on its way to another thread. */
export interface MailEnvelope {
  readonly to: Address;
  readonly from: Address | undefined;
  readonly value: unknown;
  /** Number of the ask in the sending thread; undefined for a tell. */
  readonly ask: number | undefined;
  /** True for mail from another node: `value` is packed, and so is the value of the answer. */
  readonly isPacked?: true;
}

export interface Answer {
  readonly ask: number;
  readonly outcome: AskOutcome;
}

/** All mail that one thread has for another at the end of a tick. */
interface MailBatch {
  readonly kind: "mail";
  readonly letters: readonly MailEnvelope[];
  /** Number of letters of the other side that were looked at since the last batch, in order. */
  readonly taken: number;
  /** The refused ones among the `taken`, by position. */
  readonly refused: readonly { readonly at: number; readonly verdict: "full" | "gone" }[];
  /** Answers to asks of the other side. */
  readonly answers: readonly Answer[];
}

export interface MailLinkOwner {
  letterReceived(letter: MailEnvelope, link: MailLink): MailVerdict;
  answerReceived(answer: Answer): void;
  linkClosed(link: MailLink): void;
}

/** Number of letters to one thread without a verdict. More are refused as `full`. */
export const MAX_LETTERS_UNDER_WAY = 8_192;

/** Posts the mail of a tick as one message. */
export class MailLink {
  readonly #port: MessagePort;
  readonly #owner: MailLinkOwner;
  /** Callbacks for the verdicts on letters that were sent, in order. */
  #awaiting: ((verdict: MailVerdict) => void)[] = [];
  #letters: MailEnvelope[] = [];
  #answers: Answer[] = [];
  #taken = 0;
  #refused: { at: number; verdict: "full" | "gone" }[] = [];
  #scheduled = false;
  #closed = false;

  constructor(port: MessagePort, owner: MailLinkOwner) {
    this.#port = port;
    this.#owner = owner;
    port.on("message", (message: { readonly kind: string }) => {
      if (message.kind === "mail") this.#handle(message as MailBatch);
    });
    port.on("close", () => this.#handleClose());
  }

  /** Sends a letter at the end of the tick. `settle` gets the verdict, within this call if it is already known. */
  send(letter: MailEnvelope, settle: (verdict: MailVerdict) => void): void {
    if (this.#closed) {
      settle("gone");
    } else if (this.#awaiting.length >= MAX_LETTERS_UNDER_WAY) {
      settle("full");
    } else {
      this.#awaiting.push(settle);
      this.#letters.push(letter);
      this.#schedule();
    }
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
    };
    this.#letters = [];
    this.#taken = 0;
    this.#refused = [];
    this.#answers = [];
    this.#port.postMessage(batch);
  };

  #handle({ letters, taken, refused, answers }: MailBatch): void {
    this.#settle(taken, refused);
    for (const answer of answers) this.#owner.answerReceived(answer);
    for (const letter of letters) {
      const verdict = this.#owner.letterReceived(letter, this);
      if (verdict !== "accepted") this.#refused.push({ at: this.#taken, verdict });
      this.#taken++;
    }
    if (letters.length > 0) this.#schedule();
  }

  #settle(taken: number, refused: MailBatch["refused"]): void {
    if (taken === 0) return;
    const settled = this.#awaiting.splice(0, taken);
    const verdicts = new Map(refused.map(({ at, verdict }) => [at, verdict]));
    for (const [at, settle] of settled.entries()) settle(verdicts.get(at) ?? "accepted");
  }

  #handleClose(): void {
    this.#closed = true;
    const awaiting = this.#awaiting;
    this.#awaiting = [];
    for (const settle of awaiting) settle("gone");
    this.#owner.linkClosed(this);
  }
}
