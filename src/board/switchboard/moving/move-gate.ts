/**
 * Says when connections may move between the shards: not while threads are being replaced, and not while another
 * process takes over. `ShardPool` has one `MoveGate`.
 */
import { SwitchboardError } from "../../../errors.ts";
import type { Renewals } from "./renewals.ts";

export class MoveGate {
  readonly #renewals: Renewals;
  #isPaused = false;
  /** Moves that are under way. */
  readonly #moves = new Set<Promise<unknown>>();

  constructor(renewals: Renewals) {
    this.#renewals = renewals;
  }

  /** True while another process takes over: no connection moves between shards, and no thread is replaced. */
  get isPaused(): boolean {
    return this.#isPaused;
  }

  /** True while no thread can be replaced: others are being replaced, or another process takes over. */
  get isBusy(): boolean {
    return this.#isPaused || this.#renewals.isBusy;
  }

  /** Lets no connection move and no thread be replaced. Resolves when no move and no replacement is under way. */
  async pause(): Promise<void> {
    this.#isPaused = true;
    await this.#renewals.current;
    await this.movesEnded();
  }

  resume(): void {
    this.#isPaused = false;
  }

  /** Throws `ERR_MOVE_FAILED` while another process takes over. */
  check(): void {
    if (!this.#isPaused) return;
    throw new SwitchboardError(
      "ERR_MOVE_FAILED",
      "no thread is replaced, and no connection moves between shards, while another process takes over",
    );
  }

  /**
   * Moves connections. Waits while threads are being replaced. A replacement waits for the moves under way: a
   * connection that comes to a thread which others leave would be closed with it.
   */
  async run<Result>(move: () => Promise<Result>): Promise<Result> {
    while (this.#renewals.isBusy) await this.#renewals.current;
    this.check();
    const result = move();
    this.#moves.add(result);
    const ended = (): boolean => this.#moves.delete(result);
    result.then(ended, ended);
    return result;
  }

  /** Resolves when no move is under way. */
  async movesEnded(): Promise<void> {
    while (this.#moves.size > 0) await Promise.allSettled(this.#moves);
  }
}
