/** How far an actor is with what it does when the board closes: its `shuttingDown`. Exists once it is to be called. */
export class ShutdownNotice {
  #step: "due" | "running" | "done" = "due";
  #ended: (() => void) | undefined;

  /** Whether it is to be called now; it runs then. */
  begin(): boolean {
    if (this.#step !== "due") return false;
    this.#step = "running";
    return true;
  }

  /** It isn't called any more, unless it was. */
  cancel(): void {
    if (this.#step === "due") this.#step = "done";
  }

  end(): void {
    this.#step = "done";
    const ended = this.#ended;
    this.#ended = undefined;
    ended?.();
  }

  /** Calls back when it has ended, at once if it has. */
  whenEnded(callback: () => void): void {
    if (this.#step === "done") callback();
    else this.#ended = callback;
  }
}
