/**
 * The replacement of one process by another, until it is certain which of the two has the connections. The supervisor
 * has one at a time.
 */
import { setTimeout as delay, setImmediate } from "node:timers/promises";
import type { Program } from "./program.ts";

/** Time in ms in which the old process tells what it has lost when the new one has ended. */
const TELL_TIMEOUT_MS = 5_000;

/** Which process has the connections. */
export type Outcome =
  | { readonly kind: "taken" }
  /**
   * The new process has ended.
   *
   * `why`: "was ended by SIGKILL"
   *
   * `lost`: number of connections that ended with the new process; undefined if it may have had some, and the old
   * process hasn't told, or if the old process had ended before
   */
  | { readonly kind: "failed"; readonly why: string; readonly lost: number | undefined };

/**
 * The old process says when it begins to give its connections (`gives`). From then on the new one may have all of them,
 * and this process doesn't end it: the two boards have deadlines of their own, and the old one says when it has
 * everything back (`goesOn`). What has stopped one of the two (SIGSTOP) ends at the end of the new one's time.
 */
export class Replacement {
  readonly old: Program;
  readonly next: Program;
  readonly #readyTimeoutMs: number;
  readonly #report: (line: string) => void;
  readonly #goesOn = Promise.withResolvers<number>();
  #hasGiven = false;

  constructor(old: Program, next: Program, readyTimeoutMs: number, report: (line: string) => void) {
    this.old = old;
    this.next = next;
    this.#readyTimeoutMs = readyTimeoutMs;
    this.#report = report;
  }

  /** The old process has begun to give its connections to the new one. */
  gives(): void {
    this.#hasGiven = true;
  }

  /** The old process has everything back but the connections that ended with the new one. */
  goesOn(lost: number): void {
    this.#goesOn.resolve(lost);
  }

  /** Resolves when one of the two has the connections, and the other one doesn't run, or is about to end. */
  async outcome(): Promise<Outcome> {
    const { next } = this;
    let readiness = await next.ready;
    // Messages that the old process sent before may wait in its channel.
    if (readiness.kind === "silent") await setImmediate();
    if (readiness.kind === "silent" && (this.#hasGiven || this.old.ended)) {
      this.#letGoOn();
      const hasBack = this.#goesOn.promise.then(() => readiness);
      readiness = await Promise.race([next.untilReady(Number.POSITIVE_INFINITY), hasBack]);
    }
    if (readiness.kind === "listening") return { kind: "taken" };
    next.kill();
    await next.exit;
    const why = readiness.kind === "ended" ? readiness.text : `wasn't ready within ${seconds(this.#readyTimeoutMs)}`;
    return { kind: "failed", why, lost: await this.#lost() };
  }

  /** Lets processes go on that a signal has stopped: connections wait in one of them. */
  #letGoOn(): void {
    const { old, next } = this;
    const why = this.#hasGiven ? `may have the connections of pid ${old.pid} already` : `pid ${old.pid} has ended`;
    this.#report(`pid ${next.pid} isn't ready after ${seconds(this.#readyTimeoutMs)} and ${why}, so it isn't killed`);
    for (const program of [old, next]) {
      if (!program.isStopped) continue;
      this.#report(`pid ${program.pid} is stopped: it gets SIGCONT`);
      program.signal("SIGCONT");
    }
  }

  async #lost(): Promise<number | undefined> {
    const { old } = this;
    if (!this.#hasGiven) return old.ended ? undefined : 0;
    const nothingTold = Promise.race([old.exit, delay(TELL_TIMEOUT_MS)]).then(() => undefined);
    return Promise.race([this.#goesOn.promise, nothingTold]);
  }
}

/** "6.0 s" */
export function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(ms < 10_000 ? 1 : 0)} s`;
}
