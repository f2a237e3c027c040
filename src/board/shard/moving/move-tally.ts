/** Counts what becomes of the connections of one order to move. `Mover.move` makes one for each order. */
import type { MoveCounts, MoveFailureReason } from "./messages.ts";

export class MoveTally {
  readonly #stayed: Partial<Record<MoveFailureReason, number>> = {};
  #moved = 0;
  /** Connections that have left, and whose `resumed` hasn't ended. */
  #resuming = 0;
  #allResumed: (() => void) | undefined;

  get counts(): MoveCounts {
    return { moved: this.#moved, stayed: this.#stayed };
  }

  moved(): void {
    this.#moved++;
  }

  stayed(reason: MoveFailureReason): void {
    this.#stayed[reason] = (this.#stayed[reason] ?? 0) + 1;
  }

  /** A connection has left. It counts as moved, unless `resumed` is told that it is lost. */
  left(): void {
    this.#moved++;
    this.#resuming++;
  }

  /** `resumed` of a connection that has left has ended. */
  readonly resumed = (isLost: boolean): void => {
    if (isLost) {
      this.#moved--;
      this.stayed("lost");
    }
    if (--this.#resuming === 0) this.#allResumed?.();
  };

  /** Resolves when no `resumed` is under way any more, or at the limit. */
  async allResumed(limitMs: number): Promise<void> {
    if (this.#resuming === 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#allResumed = resolve;
    const timer = setTimeout(resolve, limitMs);
    await promise;
    clearTimeout(timer);
  }
}
