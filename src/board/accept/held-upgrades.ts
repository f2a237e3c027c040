/**
 * Upgrades that come while another process takes over: they wait, and are then accepted here or passed on. Those that
 * come to a shard's thread after its replacement are passed on, too. Each thread with an acceptor has one
 * `HeldUpgrades`, which the acceptor and the fast handshakes ask.
 */

/**
 * - `open`: upgrades are accepted.
 * - `held`: upgrades wait for the outcome of a takeover.
 * - `passing`: another process has taken over, and gets all upgrades that come here.
 * - `retired`: another thread takes the place of this one, and gets the upgrades that come here. Upgrades that can't
 *   leave this thread, and those that `authorize` was already asked about, are accepted here.
 */
export type UpgradePhase = "open" | "held" | "passing" | "retired";

/**
 * Only sockets that were accepted before the takeover can have an upgrade that waits, with one request each. The
 * handshake timeout ends a wait that takes too long.
 */
export class HeldUpgrades {
  #phase: UpgradePhase = "open";
  #over = Promise.withResolvers<void>();
  readonly #released: (() => void)[] = [];

  get phase(): UpgradePhase {
    return this.#phase;
  }

  get isOpen(): boolean {
    return this.#phase === "open";
  }

  /** True if another process or another thread gets the upgrades that come here. */
  get isPassing(): boolean {
    return this.#phase === "passing" || this.#phase === "retired";
  }

  /** Lets upgrades wait from now on. */
  hold(): void {
    if (this.#phase !== "open") return;
    this.#phase = "held";
    this.#over = Promise.withResolvers();
  }

  /** Ends the wait: the takeover is over, or another thread takes the place of this one, which is for good. */
  release(phase: Exclude<UpgradePhase, "held">): void {
    if (phase === "open" && this.#phase === "retired") return;
    this.#phase = phase;
    this.#over.resolve();
    for (const released of this.#released) released();
  }

  /** Calls a function at the end of each wait. */
  onRelease(released: () => void): void {
    this.#released.push(released);
  }

  /** Resolves when no upgrade has to wait. */
  async settled(): Promise<void> {
    while (this.#phase === "held") await this.#over.promise;
  }
}
