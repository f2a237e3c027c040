/** The well-behaved connections on a server under attack. Used by `trial.ts`. */
import { text } from "../support/frames.ts";
import { Peer } from "./attacks/peer.ts";

const EVERY_MS = 5;

/** Echo times of the bystanders during one period. */
export interface Observation {
  /** Time from when an echo was due to be requested until it came, in ms, in rising order. */
  readonly echoMs: readonly number[];
}

/** A well-behaved connection: requests echoes, one at a time, and times them. */
class Bystander {
  readonly peer: Peer;
  readonly shard: number;
  #busy = false;

  constructor(peer: Peer, shard: number) {
    this.peer = peer;
    this.shard = shard;
  }

  get busy(): boolean {
    return this.#busy;
  }

  /** Time from `dueAt` until the echo came, in ms; undefined if the connection ends first. */
  async echo(dueAt: number): Promise<number | undefined> {
    this.#busy = true;
    await this.peer.write(text("echo 0123456789abcdef"));
    const answer = await this.peer.text();
    this.#busy = false;
    return answer === undefined ? undefined : performance.now() - dueAt;
  }
}

/** The other connections on a server under attack. They send at fixed times, even if the server doesn't keep up. */
export class Bystanders {
  readonly #all: readonly Bystander[];

  private constructor(all: readonly Bystander[]) {
    this.#all = all;
  }

  static async join(port: number, count: number): Promise<Bystanders> {
    const all: Bystander[] = [];
    for (let i = 0; i < count; i++) {
      const peer = await Peer.open(port);
      all.push(new Bystander(peer, Number(await peer.ask("where"))));
    }
    return new Bystanders(all);
  }

  /** Number of bystanders lost so far, on one shard or on all. */
  lost(shard?: number): number {
    return this.#all.filter((one) => one.peer.closed && (shard === undefined || one.shard === shard)).length;
  }

  get survived(): number {
    return this.#all.length - this.lost();
  }

  /** Times echoes until `over` settles, in turn on every connection that is still open. */
  async observe(over: Promise<unknown>): Promise<Observation> {
    const echoMs: number[] = [];
    const pending = new Set<Promise<void>>();
    let turn = 0;
    let askedAt = performance.now();
    const timer = setInterval(() => {
      const now = performance.now();
      // A late timer sends all requests that became due meanwhile.
      const due = Math.max(1, Math.floor((now - askedAt) / EVERY_MS));
      askedAt = now;
      for (let late = due - 1; late >= 0; late--) {
        const one = this.#next(turn++);
        if (one === undefined) continue;
        const asked = one.echo(now - late * EVERY_MS).then((ms) => {
          if (ms !== undefined) echoMs.push(ms);
          pending.delete(asked);
        });
        pending.add(asked);
      }
    }, EVERY_MS);
    await Promise.allSettled([over]);
    clearInterval(timer);
    await Promise.all(pending);
    return { echoMs: echoMs.toSorted((a, b) => a - b) };
  }

  leave(): void {
    for (const { peer } of this.#all) peer.leave("done");
  }

  /**
   * The next connection that waits for no echo. When all wait, no further request is needed: their echo times already
   * show the delay.
   */
  #next(turn: number): Bystander | undefined {
    const { length } = this.#all;
    for (let i = 0; i < length; i++) {
      const one = this.#all[(turn + i) % length] as Bystander;
      if (!one.busy && !one.peer.closed) return one;
    }
    return undefined;
  }
}

/** The quantile of sorted values: the value that this share of the values doesn't exceed. */
export function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}
