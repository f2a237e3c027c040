/** The state of one call of `shuttingDown`. `ActorCell` creates it when the board closes. */
/** Tells how far an actor is with its `shuttingDown`. */
export class ShutdownNotice {
  #step: "due" | "running" | "done" = "due";
  #ended: (() => void) | undefined;

  /** Returns true if `shuttingDown` is to be called now. It counts as running then. */
  begin(): boolean {
    if (this.#step !== "due") return false;
    this.#step = "running";
    return true;
  }

  /** Cancels the call, unless it has begun. */
  cancel(): void {
    if (this.#step === "due") this.#step = "done";
  }

  end(): void {
    this.#step = "done";
    const ended = this.#ended;
    this.#ended = undefined;
    ended?.();
  }

  /** Calls back when the call has ended; at once if it has. */
  whenEnded(callback: () => void): void {
    if (this.#step === "done") callback();
    else this.#ended = callback;
  }
}
