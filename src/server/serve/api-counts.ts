/** Counts commands of the API for `/metrics`. `server.ts` gives it what the API answered. */

/** Number of different methods that are counted: backends may send names that no method has. */
const MAX_METHODS = 32;
const OTHER = "other";

export interface ApiCount {
  readonly method: string;
  /** Code of the error; 0 for a result. */
  readonly code: number;
  readonly count: number;
}

export class ApiCounts {
  readonly #methods = new Map<string, Map<number, number>>();

  answered(method: string, code: number): void {
    const name = this.#methods.has(method) || this.#methods.size < MAX_METHODS ? method : OTHER;
    const codes = this.#methods.get(name) ?? new Map<number, number>();
    codes.set(code, (codes.get(code) ?? 0) + 1);
    this.#methods.set(name, codes);
  }

  *[Symbol.iterator](): Iterator<ApiCount> {
    for (const [method, codes] of this.#methods) {
      for (const [code, count] of codes) yield { method, code, count };
    }
  }
}
