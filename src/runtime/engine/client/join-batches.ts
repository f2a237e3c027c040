/**
 * Joins of members that the engine knows already, or knew: of connections that come from another process, and of
 * everybody when the engine thread was replaced. Such joins are many at a time. `JoinedMembers` has one `JoinBatches`.
 */
import { reviveOurError } from "../../../errors.ts";
import { EndOfTick } from "../../scheduling/end-of-tick.ts";
import type { LocalMember } from "../messages.ts";
import { type EngineSession, unavailable } from "./engine-session.ts";

/** Number of joins in a request. */
const MAX_IN_BATCH = 500;

export interface JoiningAgain {
  /** The member couldn't join. */
  joinFailed(error: unknown): void;
}

/** Joins in the order of the calls. */
class Batch {
  readonly #joins: (readonly [topic: string, member: LocalMember])[] = [];
  readonly #joining: JoiningAgain[] = [];

  get isFull(): boolean {
    return this.#joins.length === MAX_IN_BATCH;
  }

  add(topic: string, member: LocalMember, joining: JoiningAgain): void {
    this.#joins.push([topic, member]);
    this.#joining.push(joining);
  }

  /** Never rejects. */
  async send(session: EngineSession | undefined): Promise<void> {
    try {
      if (session === undefined) throw unavailable("the engine thread is not running");
      const failures = await session.request({ kind: "joinAll", joins: this.#joins });
      for (const [at, error] of failures) this.#joining[at]?.joinFailed(reviveOurError(error));
    } catch (error) {
      for (const one of this.#joining) one.joinFailed(error);
    }
  }
}

export class JoinBatches {
  readonly #currentSession: () => EngineSession | undefined;
  readonly #endOfTick = new EndOfTick();
  /** Batches of this tick. */
  #waiting: Batch[] = [];

  /** @param currentSession returns the session with the engine thread that is connected; undefined if there is none */
  constructor(currentSession: () => EngineSession | undefined) {
    this.#currentSession = currentSession;
  }

  /** Adds a join. @param joining is told if it fails */
  add(topic: string, member: LocalMember, joining: JoiningAgain): void {
    let batch = this.#waiting.at(-1);
    if (batch === undefined || batch.isFull) {
      if (this.#waiting.length === 0) this.#endOfTick.add(this.flush);
      batch = new Batch();
      this.#waiting.push(batch);
    }
    batch.add(topic, member, joining);
  }

  /** Sends the joins of this tick. Called before anything that must not come before them. */
  readonly flush = (): void => {
    const batches = this.#waiting;
    this.#waiting = [];
    for (const batch of batches) void batch.send(this.#currentSession());
  };
}
