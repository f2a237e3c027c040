/**
 * The travellers' side of moves: actors that have come to this thread from another home, and actors that are about to
 * leave it. Tells their homes where they are. `MovingMail` has one.
 */
import { type Address, shardOf } from "../actor/address.ts";
import type { AskedBy } from "../actor/mail.ts";
import type { Asks } from "./asks.ts";
import type { MailLink } from "./mail-link.ts";
import type { HomeNote, MovedAsk } from "./mail-notes.ts";

export interface TravellingActorsHost {
  readonly life: number;
  readonly asks: Asks;
  /** Links by the life of the other thread. */
  readonly links: ReadonlyMap<number, MailLink>;
  /** Returns the life of the thread that takes the letters of an address. */
  homeOf(address: Address): number | undefined;
  /** Resolves when this thread has the table of its shard; undefined if nothing is to be waited for. */
  tablePassed(): Promise<void> | undefined;
  /** An actor whose home is here is on its way to a thread. */
  keepAtHome(address: Address, life: number): void;
  /** Handles a note about an actor whose home is here. */
  noteAtHome(note: HomeNote, life: number): void;
}

/** Actors that are about to leave for another thread. */
export interface LeavingActors {
  /** Resolves when all letters that were sent to this thread before are in their mailboxes. Never rejects. */
  readonly ready: Promise<void>;
  /** An actor has been posted, with the asks in its mailbox. */
  left(address: Address, asks: readonly AskedBy[]): void;
  /** An actor stays, or has ended: letters come here. */
  stays(address: Address): void;
}

export class TravellingActors {
  readonly #host: TravellingActorsHost;
  /** Actors of other homes that are here. */
  readonly #guests = new Set<Address>();
  /** Actors that wait for `kept`, by address. */
  readonly #leaving = new Map<Address, { readonly home: number; readonly resolve: () => void }>();
  /** Actors at home here that are about to leave. */
  readonly #leavingHome = new Set<Address>();

  constructor(host: TravellingActorsHost) {
    this.#host = host;
  }

  /** Actors are about to leave for another thread: their homes keep letters. */
  leaveFor(life: number, addresses: readonly Address[]): LeavingActors {
    const kept = addresses.map((address) => this.#askToKeep(address));
    return {
      ready: Promise.all(kept).then(() => {}),
      left: (address, asks) => this.#left(address, life, asks),
      stays: (address) => this.#stays(address),
    };
  }

  /** Resolves when the home of an actor keeps its letters, and has sent everything before. */
  #askToKeep(address: Address): Promise<void> | undefined {
    const home = this.#host.homeOf(address);
    const link = home === undefined ? undefined : this.#host.links.get(home);
    if (home === this.#host.life) {
      this.#leavingHome.add(address);
      // At home, the actor's letters are taken until it leaves.
      return this.#host.tablePassed();
    }
    if (home === undefined || link === undefined) return undefined;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#leaving.set(address, { home, resolve });
    link.note({ note: "keep", address });
    return promise;
  }

  /** The home of an actor that is about to leave keeps the actor's letters. */
  kept(address: Address): void {
    this.#leaving.get(address)?.resolve();
    this.#leaving.delete(address);
  }

  #left(address: Address, to: number, asks: readonly AskedBy[]): void {
    this.#guests.delete(address);
    this.#leavingHome.delete(address);
    if (this.#host.homeOf(address) === this.#host.life) this.#host.keepAtHome(address, to);
    const byThread = new Map<number, MovedAsk[]>();
    for (const { life, number, moves } of asks) {
      const others = byThread.get(life) ?? [];
      byThread.set(life, [...others, { number, moves: moves + 1 }]);
    }
    for (const [life, moved] of byThread) {
      if (life === this.#host.life) this.asksMoved(moved, to);
      else this.#host.links.get(life)?.note({ note: "asksMoved", asks: moved, to });
    }
  }

  /** Asks of this thread have moved to another thread, in the mailbox of an actor. */
  asksMoved(asks: readonly MovedAsk[], to: number): void {
    for (const { number, moves } of asks) this.#host.asks.moved(number, to, moves);
  }

  #stays(address: Address): void {
    this.#leaving.delete(address);
    this.#leavingHome.delete(address);
    // An actor that has ended meanwhile has told so.
    if (this.#guests.has(address)) this.#tellHome({ note: "here", address });
  }

  /** An actor comes to this thread from another process. If its home is here, its letters wait until `arrived`. */
  expect(address: Address): void {
    const { life } = this.#host;
    if (this.#host.homeOf(address) === life) this.#host.keepAtHome(address, life);
  }

  /** An actor has arrived in this thread, and takes letters. */
  arrived(address: Address): void {
    if (this.#host.homeOf(address) !== this.#host.life) this.#guests.add(address);
    this.#tellHome({ note: "here", address });
  }

  /**
   * An actor stays in this thread, which isn't its home any more. Returns true if the actor is about to leave, so that
   * its new home has to keep its letters.
   */
  staysBehind(address: Address): boolean {
    this.#guests.add(address);
    return this.#leavingHome.delete(address);
  }

  /** The connection of an actor has closed in this thread. */
  ended(address: Address): void {
    this.#leavingHome.delete(address);
    if (this.#guests.size === 0 && this.#leaving.size === 0) return;
    this.kept(address);
    if (this.#guests.delete(address)) this.#tellHome({ note: "ended", address });
  }

  #tellHome(note: HomeNote): void {
    const home = this.#host.homeOf(note.address);
    if (home === this.#host.life) this.#host.noteAtHome(note, home);
    else if (home !== undefined) this.#host.links.get(home)?.note(note);
  }

  /** Tells a home that knows nothing which of its actors are here. */
  report(link: MailLink, shard: number | undefined): void {
    for (const address of this.#guests) if (shardOf(address) === shard) link.note({ note: "here", address });
    link.note({ note: "reported" });
  }

  /** A thread has ended: nothing is kept there. */
  threadEnded(life: number): void {
    for (const [address, { home, resolve }] of this.#leaving) {
      if (home !== life) continue;
      this.#leaving.delete(address);
      resolve();
    }
  }

  /** This thread has become the home of a shard: actors of that shard are at home here. */
  becameHome(shard: number): void {
    for (const address of this.#guests) if (shardOf(address) === shard) this.#guests.delete(address);
  }
}
