/** The idempotency keys of a memory engine's publishes. `MemoryEngine` asks here before it publishes. */
import type { Position } from "../position.ts";

/** Time for which a key is known, in ms. */
export const IDEMPOTENCY_MS = 300_000;

interface KnownKey {
  readonly position: Position;
  readonly expiresAtMs: number;
}

/** All keys live equally long: a `Map`, which keeps the order of insertion, has the next key to expire in front. */
export class IdempotencyKeys {
  readonly #max: number;
  readonly #keys = new Map<string, KnownKey>();
  #evicted = 0;

  /** @param max number of keys that are known at most; the oldest goes first */
  constructor(max: number) {
    this.#max = max;
  }

  /** Numbers for metrics. */
  gauges(): Record<string, number> {
    return { idempotency_keys: this.#keys.size, evicted_idempotency_keys: this.#evicted };
  }

  /** Returns the position that the publish with a key got; undefined for a key that isn't known. */
  find(topic: string, key: string, nowMs: number): Position | undefined {
    const known = this.#keys.get(nameOf(topic, key));
    return known !== undefined && nowMs < known.expiresAtMs ? known.position : undefined;
  }

  /** Remembers a key that `find` doesn't know. */
  add(topic: string, key: string, position: Position, nowMs: number): void {
    const name = nameOf(topic, key);
    // A key that has expired stands at its old place: it must go to the end.
    this.#keys.delete(name);
    this.#keys.set(name, { position, expiresAtMs: nowMs + IDEMPOTENCY_MS });
    if (this.#keys.size <= this.#max) return;
    const [oldest] = this.#keys;
    if (oldest === undefined) return;
    if (nowMs < oldest[1].expiresAtMs) this.#evicted++;
    this.#keys.delete(oldest[0]);
  }

  /** Forgets up to `count` keys whose time is over. */
  sweep(count: number, nowMs: number): void {
    let visited = 0;
    for (const [name, { expiresAtMs }] of this.#keys) {
      if (nowMs < expiresAtMs || ++visited > count) return;
      this.#keys.delete(name);
    }
  }

  clear(): void {
    this.#keys.clear();
  }
}

/** A name that no other pair of topic and key has. */
function nameOf(topic: string, key: string): string {
  return `${topic.length}:${topic}${key}`;
}
