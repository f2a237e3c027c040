/**
 * A map that holds one entry most of the time. The subscriptions of connections are in such maps: most connections have
 * one, and an empty `Map` of V8 already takes 184 bytes.
 */

/** The methods of `Map` that the users of small maps need. The order of iteration is that of `Map`. */
export class SmallMap<K extends string, V> {
  /** Key of the only entry; undefined if there is none, or more than one. */
  #key: K | undefined;
  #value: V | undefined;
  /** All entries, once there was more than one. */
  #map: Map<K, V> | undefined;

  get size(): number {
    return this.#map?.size ?? (this.#key === undefined ? 0 : 1);
  }

  has(key: K): boolean {
    return this.#map === undefined ? this.#key === key : this.#map.has(key);
  }

  get(key: K): V | undefined {
    if (this.#map !== undefined) return this.#map.get(key);
    return this.#key === key ? this.#value : undefined;
  }

  set(key: K, value: V): void {
    if (this.#map === undefined && this.#key !== undefined && this.#key !== key) {
      this.#map = new Map([[this.#key, this.#value as V]]);
      this.#key = undefined;
      this.#value = undefined;
    }
    if (this.#map === undefined) {
      this.#key = key;
      this.#value = value;
    } else {
      this.#map.set(key, value);
    }
  }

  /** Returns true if there was an entry. */
  delete(key: K): boolean {
    if (this.#map === undefined) {
      if (this.#key !== key) return false;
      this.#key = undefined;
      this.#value = undefined;
      return true;
    }
    const deleted = this.#map.delete(key);
    if (this.#map.size === 0) this.#map = undefined;
    return deleted;
  }

  keys(): IterableIterator<K> {
    return this.#map?.keys() ?? (this.#key === undefined ? [] : [this.#key]).values();
  }

  values(): IterableIterator<V> {
    return this.#map?.values() ?? (this.#key === undefined ? [] : [this.#value as V]).values();
  }

  entries(): IterableIterator<[K, V]> {
    return this.#map?.entries() ?? (this.#key === undefined ? [] : [[this.#key, this.#value as V] as [K, V]]).values();
  }
}
