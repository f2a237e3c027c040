/** The home of each shard: the thread that has the table of the shard's actors. `MovingMail` has one of these. */

export class Homes {
  readonly #shard: number | undefined;
  readonly #life: number;
  readonly #links: ReadonlyMap<number, unknown>;
  /** Life of the home, by the shard's index. */
  readonly #homes = new Map<number, number>();
  /** Index of the shard of each linked thread, by its life; the oldest thread first. */
  readonly #shards = new Map<number, number>();
  /**
   * Life from which on threads of a shard may be its home, by the shard's index: older ones have passed on the table.
   */
  readonly #oldest = new Map<number, number>();

  /**
   * @param shard index of this thread's shard; undefined in the main thread
   * @param life number of this thread
   * @param links links by the life of the other thread
   */
  constructor(shard: number | undefined, life: number, links: ReadonlyMap<number, unknown>) {
    this.#shard = shard;
    this.#life = life;
    this.#links = links;
    if (shard !== undefined) this.#homes.set(shard, life);
  }

  /** Returns the life of a shard's home; undefined if none is known. */
  of(shard: number): number | undefined {
    return this.#homes.get(shard);
  }

  /** Returns the shard of a linked thread; undefined for the main thread. */
  shardOfThread(life: number): number | undefined {
    return this.#shards.get(life);
  }

  /**
   * Another thread is linked. Returns false if it is never a home.
   *
   * @param isSucceeded true if the thread has passed on its table, or is about to
   */
  opened(life: number, shard: number, isSucceeded: boolean): boolean {
    this.#shards.set(life, shard);
    if (isSucceeded) this.leaveOut(shard, life + 1);
    if (!this.#mayBeHome(shard, life)) return false;
    const home = this.#homes.get(shard);
    // The older one of a shard's two threads is its home until `succeed`, in whichever order they are linked.
    const isThere = home !== undefined && (home === this.#life || this.#links.has(home));
    const isTaken = isThere && life > home;
    if (!isTaken) this.#homes.set(shard, life);
    return true;
  }

  /**
   * A thread has ended. Another thread of its shard, if there is one, takes its place as home. Returns true if that is
   * this thread.
   */
  closed(ended: number): boolean {
    const shard = this.#shards.get(ended);
    this.#shards.delete(ended);
    if (shard === undefined || this.#homes.get(shard) !== ended) return false;
    this.#homes.delete(shard);
    if (shard === this.#shard && this.#mayBeHome(shard, this.#life)) {
      this.#homes.set(shard, this.#life);
      return true;
    }
    const lives = [...this.#shards].filter(([life, its]) => its === shard && this.#mayBeHome(shard, life));
    if (lives.length > 0) this.#homes.set(shard, Math.min(...lives.map(([life]) => life)));
    return false;
  }

  /** Threads of a shard that are older than a life aren't its home from now on. */
  leaveOut(shard: number, before: number): void {
    if (this.#mayBeHome(shard, before)) this.#oldest.set(shard, before);
  }

  /** Sets the home of a shard. */
  set(shard: number, life: number): void {
    this.#homes.set(shard, life);
  }

  /** The home of a shard has ended, or this thread doesn't know it yet. */
  forget(shard: number): void {
    this.#homes.delete(shard);
  }

  #mayBeHome(shard: number, life: number): boolean {
    return life >= (this.#oldest.get(shard) ?? 0);
  }
}
