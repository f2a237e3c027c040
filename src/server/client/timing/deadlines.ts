/**
 * The deadlines of one client: its pings, its pongs, and what expires. The actor of the client has one `Deadlines`.
 * Most clients have one or two deadlines, and there are many clients: a list takes less memory than a map or an array.
 */
import type { DeadlineClock, Waiting } from "./deadline-clock.ts";

/** The part of the client that deadlines use. */
interface TimedClient {
  readonly server: { readonly clock: Pick<DeadlineClock, "add" | "delete"> };
  /** Runs a function as a handler of the client's actor. */
  after(delayMs: number, callback: () => unknown): () => void;
}

interface Deadline<Client> {
  readonly name: string;
  /** Time by `performance.now()`, in ms. */
  readonly atMs: number;
  readonly callback: (client: Client) => unknown;
  next: Deadline<Client> | undefined;
}

export class Deadlines<Client extends TimedClient> implements Waiting {
  readonly #client: Client;
  #first: Deadline<Client> | undefined;
  /** Place in the clock, which owns the field. */
  place = -1;
  /** Time at which the clock calls `due`; 0 if it doesn't. */
  #dueAtMs = 0;

  constructor(client: Client) {
    this.#client = client;
  }

  /**
   * Sets the deadline of a name, in place of an earlier one.
   *
   * @param callback called as a handler. One function for all clients takes no memory for each of them
   */
  set(name: string, delayMs: number, callback: (client: Client) => unknown): void {
    this.delete(name);
    // Whole numbers take less memory.
    const atMs = Math.ceil(performance.now() + delayMs);
    this.#first = { name, atMs, callback, next: this.#first };
    this.#waitUntil(atMs);
  }

  /** A client with nothing to do any more still is called: most deadlines are set again before. */
  delete(name: string): void {
    let before: Deadline<Client> | undefined;
    for (let one = this.#first; one !== undefined; before = one, one = one.next) {
      if (one.name !== name) continue;
      if (before === undefined) this.#first = one.next;
      else before.next = one.next;
      return;
    }
  }

  clear(): void {
    this.#first = undefined;
    if (this.#dueAtMs > 0) this.#client.server.clock.delete(this, this.#dueAtMs);
    this.#dueAtMs = 0;
  }

  /** Takes all deadlines out: their names, and the time that is left, in ms. */
  save(): (readonly [name: string, dueInMs: number])[] {
    const now = performance.now();
    const all = this.#all().map(({ name, atMs }) => [name, Math.max(0, atMs - now)] as const);
    this.clear();
    return all;
  }

  /** Called by the clock. */
  due(): void {
    this.#dueAtMs = 0;
    const now = performance.now();
    if (this.#all().some(({ atMs }) => atMs <= now)) this.#client.after(0, () => this.#run());
    else this.#waitForNext();
  }

  #all(): Deadline<Client>[] {
    const all: Deadline<Client>[] = [];
    for (let one = this.#first; one !== undefined; one = one.next) all.push(one);
    return all;
  }

  #waitUntil(atMs: number): void {
    const { clock } = this.#client.server;
    if (this.#dueAtMs > 0) {
      if (this.#dueAtMs <= atMs) return;
      clock.delete(this, this.#dueAtMs);
    }
    this.#dueAtMs = clock.add(this, atMs);
  }

  #waitForNext(): void {
    if (this.#first !== undefined) this.#waitUntil(Math.min(...this.#all().map(({ atMs }) => atMs)));
  }

  async #run(): Promise<void> {
    const now = performance.now();
    const due = this.#all().filter(({ atMs }) => atMs <= now);
    due.sort((one, other) => one.atMs - other.atMs);
    for (const { name } of due) this.delete(name);
    try {
      for (const { callback } of due) await callback(this.#client);
    } finally {
      this.#waitForNext();
    }
  }
}
