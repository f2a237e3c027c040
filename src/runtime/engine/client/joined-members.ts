/**
 * The members of topics with presence that one thread has joined. They survive the engine thread. `EngineClient` has
 * one list.
 */
import { noop } from "../../../wire/protocol/empty.ts";
import type { LocalMember } from "../messages.ts";
import type { EngineSession } from "./engine-session.ts";

export class JoinedMembers {
  /** Members by topic and address. */
  readonly #members = new Map<string, Map<string, LocalMember>>();
  readonly #currentSession: () => EngineSession | undefined;

  /** @param currentSession returns the session with the engine thread that is connected; undefined if there is none */
  constructor(currentSession: () => EngineSession | undefined) {
    this.#currentSession = currentSession;
  }

  /** Returns the member that this thread has joined with an address. */
  get(topic: string, address: string): LocalMember | undefined {
    return this.#members.get(topic)?.get(address);
  }

  /** Adds a member, or replaces the member with this address. If that fails, the replaced member stays. */
  async join(session: EngineSession, topic: string, member: LocalMember): Promise<void> {
    const members = this.#members.get(topic) ?? new Map<string, LocalMember>();
    const replaced = members.get(member.address);
    members.set(member.address, member);
    this.#members.set(topic, members);
    try {
      await session.request({ kind: "join", topic, member });
    } catch (error) {
      if (members.get(member.address) === member) {
        if (replaced === undefined) this.leave(topic, member.address).catch(noop);
        else {
          members.set(member.address, replaced);
          const current = this.#currentSession();
          if (current !== undefined) void this.#renew(current, topic, replaced);
        }
      }
      throw error;
    }
  }

  /** Removes a member. Rejects if the engine thread doesn't answer; the member has left this list all the same. */
  async leave(topic: string, address: string): Promise<void> {
    if (!this.#delete(topic, address)) return;
    // Members of a thread that isn't connected have left already.
    await this.#currentSession()?.request({ kind: "leave", topic, address });
  }

  /**
   * Removes the members with an address in these topics. Their connection joins again in another thread or process:
   * presence shows no leave.
   */
  letGo(address: string, topics: readonly string[]): void {
    for (const topic of topics) this.#delete(topic, address);
    if (topics.length > 0) this.#currentSession()?.call({ kind: "letGo", address, topics });
  }

  #delete(topic: string, address: string): boolean {
    const members = this.#members.get(topic);
    if (members?.delete(address) !== true) return false;
    if (members.size === 0) this.#members.delete(topic);
    return true;
  }

  /** Joins all members again, in a new engine thread. */
  renewAll(session: EngineSession): void {
    for (const [topic, members] of this.#members) {
      for (const member of members.values()) void this.#renew(session, topic, member);
    }
  }

  async #renew(session: EngineSession, topic: string, member: LocalMember): Promise<void> {
    try {
      await session.request({ kind: "join", topic, member });
    } catch {
      session.later(() => {
        if (this.get(topic, member.address) === member) void this.#renew(session, topic, member);
      });
    }
  }
}
