/** The idempotency keys of a memory engine's publishes. `MemoryEngine` asks here before it publishes. */
import type { Position } from "../position.ts";

/** Time for which a key is known, in ms. */
export const IDEMPOTENCY_MS = 300_000;

export interface KnownKey {
  readonly position: Position;
  readonly expiresAtMs: number;
}

/** All keys live equally long: a `Map`, which keeps the order of insertion, has the next key to expire in front. */
export class IdempotencyKeys {
  readonly #max: number;
  readonly #keys = new Map<string, KnownKey>();
  #evicted = 0;
  /** Names of the keys that were added since `noteAdded`; undefined before. */
  #added: string[] | undefined;

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
    this.#added?.push(name);
    this.#keys.set(name, { position, expiresAtMs: nowMs + IDEMPOTENCY_MS });
    if (this.#keys.size > this.#max) this.#evict(nowMs);
  }

  #evict(nowMs: number): void {
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

  /** Notes which keys are added from now on, for `takeAdded`; or, with false, notes none any more. */
  noteAdded(isNoted: boolean): void {
    this.#added = isNoted ? [] : undefined;
  }

  /** Returns the keys, by name. Keys may be added meanwhile. */
  all(): Iterable<readonly [name: string, key: KnownKey]> {
    return this.#keys;
  }

  /** Returns the keys that were added since `noteAdded` and since the last call. */
  *takeAdded(): Generator<readonly [name: string, key: KnownKey]> {
    const added = this.#added ?? [];
    if (this.#added !== undefined) this.#added = [];
    for (const name of added) {
      const key = this.#keys.get(name);
      if (key !== undefined) yield [name, key];
    }
  }

  /** Remembers a key of another process, by the name that it has there. */
  put(name: string, key: KnownKey, nowMs: number): void {
    this.#keys.delete(name);
    this.#keys.set(name, key);
    if (this.#keys.size > this.#max) this.#evict(nowMs);
  }

  clear(): void {
    this.#keys.clear();
  }
}

/** A name that no other pair of topic and key has. */
function nameOf(topic: string, key: string): string {
  return `${topic.length}:${topic}${key}`;
}
