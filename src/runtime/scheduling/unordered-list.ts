/**
 * A list for members that come and go by the thousand. The timer wheel, the handshakes of a shard and the scopes of
 * actors use it.
 */

/** A member of at most one list. */
export interface Listed {
  /** Index of the member in its list, which owns the field; -1 outside of a list. */
  place: number;
}

/**
 * A list without an order, in which each member knows its place: to add and to delete are O(1).
 *
 * A `Set` that lives long would keep its deleted members in memory. When its table is full, V8 moves the members to a
 * new table and leaves a reference from the old table to the new one. Once one table is in the old generation, no
 * scavenge frees the tables after it, nor their members, until a collection of the whole heap. In a storm of
 * connections each connection then outlives two scavenges, for a fifth of all CPU.
 */
export class UnorderedList<T extends Listed> {
  readonly #members: T[] = [];

  get length(): number {
    return this.#members.length;
  }

  at(place: number): T | undefined {
    return this.#members[place];
  }

  add(member: T): void {
    member.place = this.#members.length;
    this.#members.push(member);
  }

  /** Takes the last member out. */
  pop(): T | undefined {
    const last = this.#members.pop();
    if (last !== undefined) last.place = -1;
    return last;
  }

  /** Puts the last member in the place of a member of this list. Returns false for an object outside of all lists. */
  delete(member: T): boolean {
    const { place } = member;
    if (place < 0) return false;
    const last = this.#members.pop() as T;
    if (last !== member) {
      this.#members[place] = last;
      last.place = place;
    }
    member.place = -1;
    return true;
  }
}
