/**
 * The table of a home: the places of the actors that have left this thread, and the letters that are kept while an
 * actor moves. `MovingMail` has one.
 */
import type { Address } from "../actor/address.ts";
import type { MailEnvelope, MailLink, Settle } from "./mail-link.ts";
import type { ActorPlace, HomeNote } from "./mail-notes.ts";

/** Time in ms after which a home takes an actor for not having moved. */
const KEEP_MS = 15_000;

/** A letter that waits for its receiver to arrive. */
export interface KeptLetter {
  readonly letter: MailEnvelope;
  /** Link that the letter came over; undefined for a letter of this thread. */
  readonly link: MailLink | undefined;
  readonly settle: Settle;
}

/** The thread of an actor that has left its home. */
interface Place {
  readonly life: number;
  /** Letters that wait while the actor moves; undefined when it has arrived. */
  readonly kept: KeptLetter[] | undefined;
  readonly timer: NodeJS.Timeout | undefined;
}

export class HomeTable {
  readonly #life: number;
  readonly #links: ReadonlyMap<number, MailLink>;
  readonly #take: (letter: KeptLetter) => void;
  readonly #places = new Map<Address, Place>();

  /**
   * @param life number of this thread
   * @param links links by the life of the other thread
   * @param take takes each letter that was kept, in order, once its receiver has a place
   */
  constructor(life: number, links: ReadonlyMap<number, MailLink>, take: (letter: KeptLetter) => void) {
    this.#life = life;
    this.#links = links;
    this.#take = take;
  }

  /** Returns the place of an actor; undefined for an actor that isn't known to be elsewhere. */
  placeOf(address: Address): Pick<Place, "life" | "kept"> | undefined {
    return this.#places.size === 0 ? undefined : this.#places.get(address);
  }

  /** Handles a note about an actor of this home. */
  noteReceived({ note, address }: HomeNote, life: number): void {
    const place = this.#places.get(address);
    switch (note) {
      case "keep":
        this.keep(address, life);
        this.#links.get(life)?.note({ note: "kept", address });
        return;
      case "here":
        clearTimeout(place?.timer);
        this.#settleAt(address, life, place?.kept);
        return;
      case "ended":
        if (place?.life !== life) return;
        this.#places.delete(address);
        clearTimeout(place.timer);
        for (const { settle } of place.kept ?? []) settle("gone");
    }
  }

  /** Keeps the letters of an actor until it tells where it is. */
  keep(address: Address, life: number): void {
    const before = this.#places.get(address);
    clearTimeout(before?.timer);
    const kept = before?.kept ?? [];
    // A thread that hangs may still have the actor.
    const timer = setTimeout(() => this.#settleAt(address, life, kept), KEEP_MS).unref();
    this.#places.set(address, { life, kept, timer });
  }

  /** The actor is in a thread: it gets what was kept, and all that follows. */
  #settleAt(address: Address, life: number, kept: readonly KeptLetter[] = []): void {
    if (life !== this.#life && this.#links.has(life)) {
      this.#places.set(address, { life, kept: undefined, timer: undefined });
    } else {
      this.#places.delete(address);
    }
    for (const letter of kept) this.#take(letter);
  }

  /** A thread has ended, and all actors that had arrived there. */
  threadEnded(life: number): void {
    for (const [address, place] of this.#places) {
      // An actor that was about to leave that thread may have arrived in another: its letters wait.
      if (place.life === life && place.kept === undefined) this.#places.delete(address);
    }
  }

  /** Takes over the places from the thread that had the table before. */
  load(places: readonly ActorPlace[]): void {
    for (const { address, life, moves } of places) {
      if (moves) this.keep(address, life);
      else this.#settleAt(address, life);
    }
  }

  /** Empties the table. Returns all places, and the letters that were kept, in order. */
  empty(): { places: ActorPlace[]; kept: KeptLetter[] } {
    const all = [...this.#places];
    this.#places.clear();
    for (const [, { timer }] of all) clearTimeout(timer);
    return {
      places: all.map(([address, { life, kept }]) => ({ address, life, moves: kept !== undefined })),
      kept: all.flatMap(([, { kept = [] }]) => kept),
    };
  }
}
