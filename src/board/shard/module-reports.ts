/** Sends what the code of actor modules reports to the main thread. The shard has one. */
import type { Address } from "../../runtime/actor/address.ts";
import { cloneMail } from "../../runtime/actor/mail.ts";
import type { ModuleReport } from "./messages.ts";

/** Number of reports of a shard that the main thread may not have handled yet. More are refused. */
export const MAX_REPORTS = 65_536;

export class ModuleReports {
  readonly #post: (reports: readonly ModuleReport[]) => void;
  readonly #refused: () => void;
  #batch: ModuleReport[] = [];
  /** Number of reports in the batch, on their way, or in the main thread's queue. */
  #unhandled = 0;

  /**
   * @param post sends the reports of one tick to the main thread, which calls `handled` for them
   * @param refused is called for each report that there is no room for
   */
  constructor(post: (reports: readonly ModuleReport[]) => void, refused: () => void) {
    this.#post = post;
    this.#refused = refused;
  }

  /** Takes a copy of a value. Returns false if there is no room. Throws `ERR_MAIL_NOT_CLONEABLE`. */
  report(value: unknown, address: Address | undefined): boolean {
    if (this.#unhandled >= MAX_REPORTS) {
      this.#refused();
      return false;
    }
    this.#batch.push({ address, value: cloneMail(value) });
    this.#unhandled++;
    if (this.#batch.length === 1) setImmediate(() => this.flush());
    return true;
  }

  /** The main thread has handled so many reports. */
  handled(count: number): void {
    this.#unhandled -= count;
  }

  /** Sends the reports that wait for the end of the tick. */
  flush(): void {
    if (this.#batch.length === 0) return;
    const batch = this.#batch;
    this.#batch = [];
    this.#post(batch);
  }
}
