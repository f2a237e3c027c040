/**
 * Counts distinct texts over shards and nodes: each shard counts its own, and the counts are merged. Up to 10,000 texts
 * in each count the result is exact, apart from collisions of 53-bit hashes; beyond, it is an estimate with a standard
 * error of 1.6 %.
 *
 * Source: Flajolet et al., HyperLogLog, 2007, with 4,096 registers.
 */

/** Number of texts of one count that are counted exactly. */
export const MAX_EXACT = 10_000;

const REGISTER_BITS = 12;
const REGISTERS = 1 << REGISTER_BITS;
/** Bits of a hash after those that choose the register. */
const RANK_BITS = 41;
const ALPHA = 0.7213 / (1 + 1.079 / REGISTERS);

const EXACT = 0;
const ESTIMATED = 1;

export class DistinctCount {
  /** Hashes of the texts; undefined once there were too many. */
  #hashes: Set<number> | undefined = new Set();
  /** Largest rank of the hashes of each register; undefined while the count is exact. */
  #ranks: Uint8Array | undefined;
  /** Number of hashes at which the count becomes an estimate. */
  readonly #maxExact: number;

  /** @param maxExact number of texts that are counted exactly; Infinity for the count that others are merged into */
  constructor(maxExact = MAX_EXACT) {
    this.#maxExact = maxExact;
  }

  /** Returns the count that has all of the counts in it. Undefined for bytes that `toBytes` hasn't made. */
  static merge(all: readonly Uint8Array[]): DistinctCount | undefined {
    const sum = new DistinctCount(Number.POSITIVE_INFINITY);
    return all.every((bytes) => sum.#addAll(bytes)) ? sum : undefined;
  }

  add(text: string): void {
    this.#addHash(hashOf(text));
  }

  get value(): number {
    if (this.#hashes !== undefined) return this.#hashes.size;
    let sum = 0;
    let zeros = 0;
    for (const rank of this.#ranks as Uint8Array) {
      sum += 2 ** -rank;
      if (rank === 0) zeros++;
    }
    const estimate = (ALPHA * REGISTERS * REGISTERS) / sum;
    // Small counts are better told by the registers that no text has reached.
    const isSmall = estimate <= 2.5 * REGISTERS && zeros > 0;
    return Math.round(isSmall ? REGISTERS * Math.log(REGISTERS / zeros) : estimate);
  }

  /** Returns the count in a form for `merge`: at most about 80 KB. */
  toBytes(): Uint8Array {
    const isExact = this.#hashes !== undefined;
    const body = isExact
      ? new Uint8Array(Float64Array.from(this.#hashes as Set<number>).buffer)
      : (this.#ranks as Uint8Array);
    const bytes = new Uint8Array(1 + body.length);
    bytes[0] = isExact ? EXACT : ESTIMATED;
    bytes.set(body, 1);
    return bytes;
  }

  #addAll(bytes: Uint8Array): boolean {
    if (bytes[0] === EXACT && (bytes.length - 1) % 8 === 0) {
      for (const hash of new Float64Array(bytes.slice(1).buffer)) this.#addHash(hash);
      return true;
    }
    if (bytes[0] !== ESTIMATED || bytes.length !== 1 + REGISTERS) return false;
    const ranks = this.#estimate();
    for (let register = 0; register < REGISTERS; register++) {
      ranks[register] = Math.max(ranks[register] as number, bytes[register + 1] as number);
    }
    return true;
  }

  #addHash(hash: number): void {
    if (this.#hashes === undefined) {
      rank(this.#ranks as Uint8Array, hash);
      return;
    }
    this.#hashes.add(hash);
    if (this.#hashes.size > this.#maxExact) this.#estimate();
  }

  /** Turns the count into an estimate, from now on. */
  #estimate(): Uint8Array {
    if (this.#ranks !== undefined) return this.#ranks;
    const ranks = new Uint8Array(REGISTERS);
    for (const hash of this.#hashes ?? []) rank(ranks, hash);
    this.#ranks = ranks;
    this.#hashes = undefined;
    return ranks;
  }
}

function rank(ranks: Uint8Array, hash: number): void {
  const register = hash % REGISTERS;
  const rest = Math.floor(hash / REGISTERS);
  const high = Math.floor(rest / 2 ** 32);
  // Leading zeros of the 41 bits, and one more.
  const zeros = high === 0 ? RANK_BITS - 32 + Math.clz32(rest) : Math.clz32(high) - (32 - (RANK_BITS - 32));
  ranks[register] = Math.max(ranks[register] as number, zeros + 1);
}

/** Returns a hash of 53 bits: of two mixes of 32 bits, one as a whole and 21 bits of the other. */
function hashOf(text: string): number {
  let low = 0x9e3779b9;
  let high = 0x85ebca6b;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    low = Math.imul(low ^ unit, 0x01000193);
    low ^= low >>> 15;
    high = Math.imul(high ^ unit, 0xc2b2ae35);
    high ^= high >>> 13;
  }
  low = Math.imul(low ^ (low >>> 16), 0x85ebca6b) ^ high;
  high = Math.imul(high ^ (high >>> 15), 0x27d4eb2f) ^ low;
  low ^= low >>> 13;
  return (high >>> 11) * 2 ** 32 + (low >>> 0);
}
