/** Waits for conditions on what a peer has received. Used by both hostile clients. */
const MAY_TAKE_MS = 60_000;

/** Lets an attacker wait for something that the server sends. */
export class Waiting {
  #wake: (() => void)[] = [];

  /** Wakes the waiting attackers: something has changed. */
  notify(): void {
    const wake = this.#wake;
    this.#wake = [];
    for (const one of wake) one();
  }

  /** Resolves when the condition holds. Rejects after a minute. */
  async until(so: () => boolean): Promise<void> {
    const tooLate = performance.now() + MAY_TAKE_MS;
    while (!so()) {
      await new Promise<void>((resolve) => {
        this.#wake.push(resolve);
      });
      if (performance.now() > tooLate) throw new Error("the server kept an attacker waiting for a minute");
    }
  }
}
