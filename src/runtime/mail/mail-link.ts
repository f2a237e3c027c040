import type { MessagePort } from "node:worker_threads";
import type { Address } from "../actor/address.ts";
import type { AskOutcome, MailVerdict } from "../actor/mail.ts";

/** Mail on its way to another thread. */
export interface Letter {
  readonly to: Address;
  readonly from: Address | undefined;
  readonly value: unknown;
  /** The sender's number for the ask that it is; undefined for a tell. */
  readonly ask: number | undefined;
}

export interface Answer {
  readonly ask: number;
  readonly outcome: AskOutcome;
}

/** All that one thread has for another at the end of a tick. The port carries the bus, too: each takes its own kinds. */
interface MailBatch {
  readonly kind: "mail";
  readonly letters: readonly Letter[];
  /** How many letters of the other side were taken in since the last batch, in order. */
  readonly taken: number;
  /** Those among them that were refused, by their place. */
  readonly refused: readonly { readonly at: number; readonly verdict: "full" | "gone" }[];
  /** To asks of the other side. */
  readonly answers: readonly Answer[];
}

export interface MailLinkOwner {
  letterCame(letter: Letter, link: MailLink): MailVerdict;
  answerCame(answer: Answer): void;
  linkClosed(link: MailLink): void;
}

/** Letters to one thread whose verdict isn't known yet. More are refused as `full`. */
export const MAX_LETTERS_UNDER_WAY = 8_192;

/** One end of the direct way for mail between two threads: what a tick has to say is one post. */
export class MailLink {
  readonly #port: MessagePort;
  readonly #owner: MailLinkOwner;
  /** Who waits for the verdicts on letters sent, in order. */
  #awaiting: ((verdict: MailVerdict) => void)[] = [];
  #letters: Letter[] = [];
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

  /** Sends a letter at the end of the tick; calls back with its verdict, within the call if that is known. */
  send(letter: Letter, settle: (verdict: MailVerdict) => void): void {
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
    for (const answer of answers) this.#owner.answerCame(answer);
    for (const letter of letters) {
      const verdict = this.#owner.letterCame(letter, this);
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
