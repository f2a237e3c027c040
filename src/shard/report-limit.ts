/** Reports of one kind within one second and thread; more are only counted. */
const REPORTS_PER_SECOND = 100;

/** Keeps a flood of small misfortunes from flooding the main thread with reports of them. */
export class ReportLimit {
  #second = 0;
  #reported = 0;

  allows(): boolean {
    const second = Math.floor(performance.now() / 1_000);
    if (second !== this.#second) {
      this.#second = second;
      this.#reported = 0;
    }
    return this.#reported++ < REPORTS_PER_SECOND;
  }
}
