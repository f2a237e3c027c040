/** Members whose connections are on their way, and that haven't joined (again) yet. `MemoryPresence` has one list. */
import { TRAVEL_MS } from "../takeover.ts";

export class AwaitedMembers {
  readonly #addresses = new Map<string, Set<string>>();
  /** Time at which nobody is awaited any more. Members of another process are awaited until `take`. */
  #untilMs = Number.POSITIVE_INFINITY;

  add(topic: string, address: string): void {
    const awaited = this.#addresses.get(topic);
    if (awaited === undefined) this.#addresses.set(topic, new Set([address]));
    else awaited.add(address);
  }

  /** Adds a member that this process has let go: all are awaited for `TRAVEL_MS` from now on. */
  addForNow(topic: string, address: string, nowMs: number): void {
    this.add(topic, address);
    this.#untilMs = nowMs + TRAVEL_MS;
  }

  /** A member has joined, or isn't there any more. */
  delete(topic: string, address: string): void {
    const awaited = this.#addresses.get(topic);
    if (awaited?.delete(address) === true && awaited.size === 0) this.#addresses.delete(topic);
  }

  /** True if the time of the members that were let go is over. */
  isOver(nowMs: number): boolean {
    return nowMs >= this.#untilMs;
  }

  /** Returns the addresses by topic, and awaits nobody any more. */
  take(): readonly (readonly [topic: string, addresses: ReadonlySet<string>])[] {
    const all = [...this.#addresses];
    this.#addresses.clear();
    this.#untilMs = Number.POSITIVE_INFINITY;
    return all;
  }
}
