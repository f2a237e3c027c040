/** Writes the changes of presence to Redis: those of one topic in one tick together. `Presence` has one. */
import { setImmediate as tick } from "node:timers/promises";
import { TRAVEL_MS } from "../../runtime/streams/takeover.ts";
import { isOutOfMemory } from "./failures.ts";
import type { Reply } from "./link/connection.ts";
import type { Links } from "./link/links.ts";
import type { Script, Scripts } from "./scripts/scripts.ts";
import type { Change, TopicPresence } from "./topic-presence.ts";

/** Number of changes, or of members to renew, in one call: no script may hold up Redis. */
export const BATCH = 200;

export interface PresenceWriterParts {
  readonly links: Links;
  readonly scripts: Scripts;
  /** Called with true when Redis is out of memory, and with false when it has stored something. */
  readonly fullness: (isFull: boolean) => void;
}

export class PresenceWriter {
  readonly #parts: PresenceWriterParts;
  readonly #ttlMs: number;
  readonly #expiresMs: string;

  /**
   * @param ttlMs time after which the members of a node that died are gone, in ms
   * @param expiresMs time after which a member expires unless its node renews it, in ms
   */
  constructor(parts: PresenceWriterParts, ttlMs: number, expiresMs: number) {
    this.#parts = parts;
    this.#ttlMs = ttlMs;
    this.#expiresMs = String(Math.ceil(expiresMs));
  }

  /** Writes a change at the end of the tick. */
  change(presence: TopicPresence, change: Change): Promise<void> {
    presence.changes.push(change);
    presence.flushed ??= this.#flush(presence);
    return presence.flushed;
  }

  async #flush(presence: TopicPresence): Promise<void> {
    await tick();
    const { changes } = presence;
    presence.changes = [];
    presence.flushed = undefined;
    await this.write(presence, changes, false);
  }

  /** @param isQuiet true to report no joins */
  async write(presence: TopicPresence, changes: readonly Change[], isQuiet: boolean): Promise<void> {
    const { scripts, fullness } = this.#parts;
    const calls: Promise<Reply>[] = [];
    for (let at = 0; at < changes.length; at += BATCH) {
      const args = [...this.#times(presence), isQuiet ? "1" : "0", String(TRAVEL_MS)];
      for (const change of changes.slice(at, at + BATCH)) {
        args.push(change.kind, change.address, change.kind === "l" ? String(change.graceMs) : change.record);
      }
      calls.push(this.call(presence, scripts.change, args));
    }
    try {
      await Promise.all(calls);
      if (changes.some(({ kind }) => kind === "j")) fullness(false);
    } catch (error) {
      if (isOutOfMemory(error)) fullness(true);
      throw error;
    }
  }

  /** Renews members. @param sweepsAll "1" to remove members that have expired, too */
  renew(presence: TopicPresence, addresses: readonly string[], sweepsAll: string): Promise<Reply> {
    return this.call(presence, this.#parts.scripts.refresh, [...this.#times(presence), sweepsAll, ...addresses]);
  }

  call(presence: TopicPresence, script: Script, args: readonly string[]): Promise<Reply> {
    return this.#parts.links.run(script, presence.all, [presence.keys.channel, ...args]);
  }

  /** Returns the times that a script needs for members, and for the keys, in ms. */
  #times({ graceMs }: TopicPresence): [expiresMs: string, keptMs: string] {
    return [this.#expiresMs, String(Math.ceil(this.#ttlMs + Math.max(graceMs, this.#ttlMs)))];
  }
}
