/**
 * Mail that nothing handled: counted always, reported up to a limit. Each thread has one.
 */
import { ReportLimit } from "../stats/report-limit.ts";
import type { LostMail } from "./mail-router.ts";

export class DeadLetters {
  readonly #count: () => void;
  readonly #report: (lost: LostMail) => void;
  readonly #limit = new ReportLimit();

  constructor(count: () => void, report: (lost: LostMail) => void) {
    this.#count = count;
    this.#report = report;
  }

  add(lost: LostMail): void {
    this.#count();
    if (this.#limit.allows()) this.#report(lost);
  }
}
