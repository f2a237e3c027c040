/** The rules of recovery in a few lines: what a stream keeps, and what a subscriber is told. */

export interface StreamRules {
  readonly size: number;
  readonly mode: "stream" | "cache";
  /** True if new subscribers get the newest publication unasked. */
  readonly auto: boolean;
  /** Number of missed publications that a subscriber gets at most. */
  readonly cap: number;
}

export interface Request {
  readonly recover: boolean;
  readonly epoch: string;
  readonly offset: number;
  /** True for a client that wants error 112 in place of a subscription without recovery. */
  readonly rejects: boolean;
}

/** An answer: error 112, or a subscription. `next` is the offset of the first live publication. */
export type Answer =
  | { readonly kind: "rejected" }
  | {
      readonly kind: "subscribed";
      readonly recovered: boolean;
      readonly missed: readonly number[];
      readonly next: number;
    };

export class StreamModel {
  readonly #rules: StreamRules;
  /** Undefined until the server has told it. */
  epoch: string | undefined;
  top = 0;
  /** Offsets of the publications that are kept. */
  list: number[] = [];

  constructor(rules: StreamRules) {
    this.#rules = rules;
  }

  publish(): number {
    this.list = [...this.list, ++this.top].slice(-this.#rules.size);
    return this.top;
  }

  /** What `history_remove` and expiry do: the position stays. */
  empty(): void {
    this.list = [];
  }

  copy(): StreamModel {
    const copy = new StreamModel(this.#rules);
    return Object.assign(copy, { epoch: this.epoch, top: this.top, list: this.list });
  }

  subscribe({ recover, epoch, offset, rejects }: Request): Answer {
    const { mode, auto } = this.#rules;
    const { recovered, missed } = mode === "cache" ? this.#newest(epoch, offset, recover) : this.#all(epoch, offset);
    if (rejects && recover && !recovered) return { kind: "rejected" };
    const gets = recover || (mode === "cache" && auto);
    return { kind: "subscribed", recovered: recover && recovered, missed: gets ? missed : [], next: this.top + 1 };
  }

  #all(epoch: string, offset: number): { readonly recovered: boolean; readonly missed: readonly number[] } {
    const missed = this.list.filter((one) => one > offset);
    const isWhole = missed.length === 0 ? offset === this.top : missed[0] === offset + 1 && missed.at(-1) === this.top;
    const recovered = (epoch === "" || epoch === this.epoch) && isWhole && missed.length <= this.#rules.cap;
    return { recovered, missed: recovered ? missed : [] };
  }

  #newest(
    epoch: string,
    offset: number,
    recover: boolean,
  ): { readonly recovered: boolean; readonly missed: readonly number[] } {
    const newest = this.list.at(-1);
    if (newest === undefined) return { recovered: false, missed: [] };
    const has = recover && epoch === this.epoch && offset === newest;
    return { recovered: true, missed: has ? [] : [newest] };
  }
}
