/** A list in the order of last use. `StreamStore` finds in it what goes first when room is needed. */

/** Base of what stands in a recency list, in one list at a time. The list owns the fields. */
export class RecencyItem {
  list: object | undefined = undefined;
  older: RecencyItem | undefined = undefined;
  newer: RecencyItem | undefined = undefined;
}

/** A doubly linked list through its items: each step takes the same time, however many items there are. */
export class RecencyList<T extends RecencyItem> {
  #oldest: RecencyItem | undefined = undefined;
  #newest: RecencyItem | undefined = undefined;
  /** The item that a walk visits next. */
  #next: RecencyItem | undefined = undefined;

  /** The item that was touched least recently. */
  get oldest(): T | undefined {
    return this.#oldest as T | undefined;
  }

  /** Makes an item, which is in no other list, the newest of this one. */
  touch(item: T): void {
    if (this.#newest === item) return;
    this.remove(item);
    item.list = this;
    item.older = this.#newest;
    if (this.#newest === undefined) this.#oldest = item;
    else this.#newest.newer = item;
    this.#newest = item;
  }

  /** Makes an item, which is in no list, the oldest of this one. */
  append(item: T): void {
    item.list = this;
    item.newer = this.#oldest;
    if (this.#oldest === undefined) this.#newest = item;
    else this.#oldest.older = item;
    this.#oldest = item;
  }

  /**
   * Walks from the newest item to the oldest, one walk at a time. Items may be touched and removed meanwhile: the walk
   * doesn't come back to those that are touched.
   */
  *walk(): Generator<T> {
    this.#next = this.#newest;
    for (let item = this.#next; item !== undefined; item = this.#next) {
      this.#next = item.older;
      yield item as T;
    }
  }

  /** Takes an item out. Does nothing to an item that isn't in this list. */
  remove(item: T): void {
    if (item.list !== this) return;
    const { older, newer } = item;
    if (this.#next === item) this.#next = older;
    if (older === undefined) this.#oldest = newer;
    else older.newer = newer;
    if (newer === undefined) this.#newest = older;
    else newer.older = older;
    item.list = undefined;
    item.older = undefined;
    item.newer = undefined;
  }
}
