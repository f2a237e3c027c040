import type { LostMail } from "./mail-router.ts";

/** Reports within one second and thread; the others are only counted. */
const REPORTS_PER_SECOND = 100;

/** Counts mail that nobody handled, and reports as much of it as does no harm. */
export class DeadLetters {
  readonly #count: () => void;
  readonly #report: (lost: LostMail) => void;
  #second = 0;
  #reported = 0;

  constructor(count: () => void, report: (lost: LostMail) => void) {
    this.#count = count;
    this.#report = report;
  }

  add(lost: LostMail): void {
    this.#count();
    const second = Math.floor(performance.now() / 1_000);
    if (second !== this.#second) {
      this.#second = second;
      this.#reported = 0;
    }
    if (this.#reported++ < REPORTS_PER_SECOND) this.#report(lost);
  }
}
