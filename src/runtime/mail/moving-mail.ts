/**
 * The home's side of moves: letters go to the places of their receivers, and a shard's table to the shard's next
 * thread. `MailRouter` has one.
 */
import { type Address, shardOf } from "../actor/address.ts";
import type { MailVerdict } from "../actor/mail.ts";
import type { Asks } from "./asks.ts";
import { HomeTable, type KeptLetter } from "./home-table.ts";
import { Homes } from "./homes.ts";
import { MAX_LETTERS_UNDER_WAY, type MailEnvelope, type MailLink, type Settle } from "./mail-link.ts";
import type { MailNote } from "./mail-notes.ts";
import { TravellingActors } from "./travelling-actors.ts";

export interface MovingMailHost {
  /** Index of this shard; undefined in the main thread. */
  readonly shard: number | undefined;
  readonly life: number;
  readonly asks: Asks;
  /** Links by the life of the other thread. */
  readonly links: ReadonlyMap<number, MailLink>;
  /** Puts a letter into a mailbox of this thread. */
  deliver(letter: MailEnvelope, link: MailLink | undefined): MailVerdict;
  /** Returns the addresses of all connections of this thread. */
  addresses(): Iterable<Address>;
}

export class MovingMail {
  readonly #host: MovingMailHost;
  readonly #homes: Homes;
  readonly #table: HomeTable;
  /** The travellers' side: actors that have come here, and actors that are about to leave. */
  readonly travellers: TravellingActors;
  /** Letters and notes for this shard that come before the table has changed its thread, in order. */
  readonly #early: (() => void)[] = [];
  /** First thread of this shard, from `succeed` until its table has come; set in the second. */
  #predecessor: { readonly life: number; readonly passed: PromiseWithResolvers<void> } | undefined;
  /** Threads that haven't reported yet, and letters to unknown addresses meanwhile. */
  readonly #unreported = new Set<number>();
  #unknown: KeptLetter[] = [];
  /** Life of the second thread of this shard, which takes its new connections; set in the first. */
  #successor: number | undefined;
  /** Set in the old thread of a shard: its successor, and the threads that still send letters here. */
  #succession: { readonly to: number; readonly awaited: Set<number>; readonly passed: () => void } | undefined;
  /** Resolves when nothing that was passed on waits for its verdict; undefined before the table was passed on. */
  #passedAll: (() => void) | undefined;
  /** Threads that have switched to the successor before this thread was told. */
  readonly #switched = new Set<number>();
  /** Letters that were passed on and have no verdict. */
  #passing = 0;

  constructor(host: MovingMailHost) {
    this.#host = host;
    this.#homes = new Homes(host.shard, host.life, host.links);
    this.#table = new HomeTable(host.life, host.links, (letter) => this.#takeLate(letter));
    this.travellers = new TravellingActors({
      life: host.life,
      asks: host.asks,
      links: host.links,
      homeOf: (address) => this.homeOf(address),
      tablePassed: () => this.#predecessor?.passed.promise,
      keepAtHome: (address, life) => this.#whenHome(() => this.#table.keep(address, life)),
      noteAtHome: (note, life) => this.#whenHome(() => this.#table.noteReceived(note, life)),
    });
  }

  /** Life of the thread that takes the letters of a shard's addresses. */
  homeOf(address: Address): number | undefined {
    return this.#homes.of(shardOf(address));
  }

  /** True if this thread has the table of its shard. */
  get #isHome(): boolean {
    const { shard, life } = this.#host;
    return shard !== undefined && this.#homes.of(shard) === life && this.#predecessor === undefined;
  }

  /** Does something to the table, at once or when the table has come. */
  #whenHome(act: () => void): void {
    if (this.#isHome) act();
    else this.#early.push(act);
  }

  /**
   * @param shard index of the other shard; undefined for the main thread
   * @param isSucceeded true if the other thread has passed on its table, or is about to
   */
  linkOpened(link: MailLink, shard: number | undefined, isSucceeded: boolean): void {
    if (shard === undefined) return;
    if (!this.#homes.opened(link.life, shard, isSucceeded)) link.note({ note: "switched" });
  }

  /**
   * Asks all threads which actors of this home live there. Call it in a new thread of a shard, once it has its links.
   */
  rebuild(): void {
    if (!this.#isHome) return;
    for (const [life, link] of this.#host.links) {
      this.#unreported.add(life);
      link.note({ note: "report" });
    }
  }

  linkClosed({ life }: MailLink): void {
    // The first thread of this shard has ended without passing on its table, before `succeed` or after.
    if (this.#homes.closed(life) || this.#predecessor?.life === life) this.#becomeHome(() => this.rebuild());
    if (this.#successor === life) this.#successor = undefined;
    this.#table.threadEnded(life);
    this.travellers.threadEnded(life);
    this.#reported(life);
    this.#switchedTo(life);
  }

  // ── letters ────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * Takes a letter: into a mailbox of this thread, or on to the place of its receiver. Returns the verdict; undefined
   * if `settle` gets it.
   *
   * @param link link that the letter came over; undefined for a letter of this thread
   */
  take(letter: MailEnvelope, link: MailLink | undefined, settle: Settle): MailVerdict | undefined {
    const { shard } = this.#host;
    if (shard === undefined || shardOf(letter.to) !== shard) return this.#host.deliver(letter, link);
    const home = this.#homes.of(shard);
    if (home !== this.#host.life) {
      // Each of a shard's two threads takes what the one with the table has for the other.
      if (link?.life === home) return this.#host.deliver(letter, link);
      // Has waited here until the table was passed on.
      if (link === undefined) {
        this.#passOn({ letter, link, settle }, home as number);
        return undefined;
      }
      this.#early.push(() => this.#takeLate({ letter, link, settle }));
      return undefined;
    }
    // Until the table changes its thread, only what the first thread passes on may come to mailboxes of the second.
    const waits = this.#predecessor !== undefined && link?.life !== this.#predecessor.life;
    if (waits || (this.#succession !== undefined && link === undefined)) {
      // The letters of another thread are bounded by its link.
      if (link === undefined && this.#early.length >= MAX_LETTERS_UNDER_WAY) return "full";
      this.#early.push(() => this.#takeLate({ letter, link, settle }));
      return undefined;
    }
    const place = this.#table.placeOf(letter.to);
    if (place === undefined) return this.#deliverHere({ letter, link, settle });
    if (place.kept === undefined) this.#passOn({ letter, link, settle }, place.life);
    else place.kept.push({ letter, link, settle });
    return undefined;
  }

  /** Takes a letter whose verdict comes later in any case. */
  #takeLate({ letter, link, settle }: KeptLetter): void {
    const verdict = this.take(letter, link, settle);
    if (verdict !== undefined) settle(verdict);
  }

  #deliverOrPassOn(kept: KeptLetter, life: number): MailVerdict | undefined {
    const verdict = this.#host.deliver(kept.letter, kept.link);
    if (verdict !== "gone") return verdict;
    this.#passOn(kept, life);
    return undefined;
  }

  #deliverHere(kept: KeptLetter): MailVerdict | undefined {
    if (this.#successor !== undefined) return this.#deliverOrPassOn(kept, this.#successor);
    const verdict = this.#host.deliver(kept.letter, kept.link);
    if (verdict !== "gone") return verdict;
    if (this.#unreported.size === 0) return verdict;
    // The receiver may live elsewhere.
    this.#unknown.push(kept);
    return undefined;
  }

  #passOn({ letter, link, settle }: KeptLetter, life: number): void {
    const passed = { ...letter, askedBy: letter.askedBy ?? link?.life };
    const to = this.#host.links.get(life);
    if (to === undefined) {
      settle("gone");
      return;
    }
    this.#passing++;
    to.send(passed, (verdict, further) => {
      this.#passing--;
      settle(verdict, further ?? life);
      this.#passTable();
      this.#checkPassed();
    });
  }

  // ── what other threads tell ────────────────────────────────────────────────────────────────────────────

  noteReceived(note: MailNote, link: MailLink): void {
    switch (note.note) {
      case "keep":
      case "here":
      case "ended":
        this.#whenHome(() => this.#table.noteReceived(note, link.life));
        return;
      case "kept":
        this.travellers.kept(note.address);
        return;
      case "asksMoved":
        this.travellers.asksMoved(note.asks, note.to);
        return;
      case "report":
        this.travellers.report(link, this.#homes.shardOfThread(link.life));
        return;
      case "reported":
        this.#reported(link.life);
        return;
      case "switched":
        this.#switchedTo(link.life);
        return;
      case "table":
        this.#table.load(note.places);
        return;
      case "passed":
        this.#becomeHome();
    }
  }

  // ── a home that knows nothing ──────────────────────────────────────────────────────────────────────────

  #reported(life: number): void {
    if (!this.#unreported.delete(life) || this.#unreported.size > 0) return;
    const unknown = this.#unknown;
    this.#unknown = [];
    for (const letter of unknown) this.#takeLate(letter);
  }

  // ── another thread for a shard ─────────────────────────────────────────────────────────────────────────

  /** A second thread takes new connections of this shard from now on. */
  retire(to: number): void {
    if (this.#host.links.has(to)) this.#successor = to;
  }

  /**
   * A second thread takes the place of a shard's first. Call it in every thread, also in these two, when all have moved
   * that can. Actors that stay in the first are guests there from then on. In the first thread it resolves when that
   * thread isn't needed any more; elsewhere at once.
   */
  succeed(shard: number, to: number): Promise<void> {
    const { life, links } = this.#host;
    const from = this.#homes.of(shard);
    // A thread that starts may be told before it has its links.
    this.#homes.leaveOut(shard, to);
    if (from === undefined || from >= to) return Promise.resolve();
    if (from !== life) {
      links.get(from)?.note({ note: "switched" });
      if (to === life || links.has(to)) this.#homes.set(shard, to);
      else this.#homes.forget(shard);
      if (to === life) this.#predecessor = { life: from, passed: Promise.withResolvers() };
      return Promise.resolve();
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    const awaited = new Set([...links.keys()].filter((other) => !this.#switched.has(other)));
    this.#succession = { to, awaited, passed: resolve };
    this.#passTable();
    return promise;
  }

  #switchedTo(life: number): void {
    this.#switched.add(life);
    this.#succession?.awaited.delete(life);
    this.#passTable();
  }

  /** Passes the table on, when no letter comes here any more and none is under way. */
  #passTable(): void {
    const succession = this.#succession;
    if (succession === undefined || succession.awaited.size > 0 || this.#passing > 0) return;
    this.#succession = undefined;
    const successor = this.#host.links.get(succession.to);
    const { places, kept } = this.#table.empty();
    this.#homes.set(this.#host.shard as number, succession.to);
    for (const address of this.#host.addresses()) {
      if (shardOf(address) !== this.#host.shard) continue;
      places.push({ address, life: this.#host.life, moves: this.travellers.staysBehind(address) });
    }
    successor?.note({ note: "table", places });
    for (const letter of kept) this.#passOn(letter, succession.to);
    this.#takeEarly();
    successor?.note({ note: "passed" });
    this.#passedAll = succession.passed;
    this.#checkPassed();
  }

  #checkPassed(): void {
    if (this.#passedAll === undefined || this.#passing > 0) return;
    // The last verdicts leave at the end of the tick.
    setImmediate(() => setImmediate(this.#passedAll as () => void));
  }

  /** The first thread of this shard has passed on everything, or has ended: this one is the home now. */
  #becomeHome(askOthers?: () => void): void {
    const predecessor = this.#predecessor;
    this.#predecessor = undefined;
    if (this.#host.shard !== undefined) this.travellers.becameHome(this.#host.shard);
    askOthers?.();
    this.#takeEarly();
    predecessor?.passed.resolve();
  }

  #takeEarly(): void {
    for (const take of this.#early.splice(0)) take();
  }
}
