/** Gathers what leaves for the same thread in one tick. `Mover` has one. */

export class Departures<T> {
  readonly #depart: (life: number, leaving: readonly T[]) => void;
  readonly #byLife = new Map<number, T[]>();

  constructor(depart: (life: number, leaving: readonly T[]) => void) {
    this.#depart = depart;
  }

  add(life: number, one: T): void {
    if (this.#byLife.size === 0) setImmediate(this.#departAll);
    const leaving = this.#byLife.get(life);
    if (leaving === undefined) this.#byLife.set(life, [one]);
    else leaving.push(one);
  }

  readonly #departAll = (): void => {
    const all = [...this.#byLife];
    this.#byLife.clear();
    for (const [life, leaving] of all) this.#depart(life, leaving);
  };
}
