/**
 * The facts that a node tells the others about itself, kept up to date in the engine thread. `EngineClient` has one.
 */
import type { EngineSession } from "./engine-session.ts";

export class AnnouncedFacts {
  readonly #session: () => EngineSession | undefined;
  /** The newest facts, as JSON. */
  #facts: string | undefined;
  /** Facts that the engine thread has. */
  #announced: string | undefined;
  /** Session with an announcement under way. */
  #announcing: EngineSession | undefined;

  /** @param session returns the session with the engine thread; undefined while there is none */
  constructor(session: () => EngineSession | undefined) {
    this.#session = session;
  }

  /** Tells these facts to the engine thread, and to each later one. */
  set(facts: string): void {
    this.#facts = facts;
    const session = this.#session();
    if (session !== undefined) void this.#announce(session);
  }

  /** Tells the facts to a new engine thread. */
  renew(session: EngineSession): void {
    this.#announced = undefined;
    void this.#announce(session);
  }

  /** Tells the engine thread the newest facts: one announcement is under way at most. */
  async #announce(session: EngineSession): Promise<void> {
    if (this.#announcing === session) return;
    this.#announcing = session;
    try {
      while (this.#session() === session && this.#facts !== undefined && this.#announced !== this.#facts) {
        const facts = this.#facts;
        await session.request({ kind: "announce", facts });
        if (this.#session() === session) this.#announced = facts;
      }
      this.#stopAnnouncing(session);
    } catch {
      this.#stopAnnouncing(session);
      session.later(() => void this.#announce(session));
    }
  }

  #stopAnnouncing(session: EngineSession): void {
    if (this.#announcing === session) this.#announcing = undefined;
  }
}
