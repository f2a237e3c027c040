/**
 * The members of topics with presence that one thread has joined. They survive the engine thread. `EngineClient` has
 * one list.
 */
import { noop } from "../../../wire/protocol/empty.ts";
import type { LocalMember } from "../messages.ts";
import type { EngineSession } from "./engine-session.ts";
import { JoinBatches, type JoiningAgain } from "./join-batches.ts";

export class JoinedMembers {
  /** Members by topic and address. */
  readonly #members = new Map<string, Map<string, LocalMember>>();
  readonly #currentSession: () => EngineSession | undefined;

  readonly #batches: JoinBatches;

  /** @param currentSession returns the session with the engine thread that is connected; undefined if there is none */
  constructor(currentSession: () => EngineSession | undefined) {
    this.#currentSession = currentSession;
    this.#batches = new JoinBatches(currentSession);
  }

  /** Returns the member that this thread has joined with an address. */
  get(topic: string, address: string): LocalMember | undefined {
    return this.#members.get(topic)?.get(address);
  }

  /** Adds a member, or replaces the member with this address. If that fails, the replaced member stays. */
  async join(session: EngineSession, topic: string, member: LocalMember): Promise<void> {
    this.#batches.flush();
    const members = this.#of(topic);
    const replaced = members.get(member.address);
    members.set(member.address, member);
    try {
      await session.request({ kind: "join", topic, member });
    } catch (error) {
      if (members.get(member.address) === member) {
        if (replaced === undefined) this.leave(topic, member.address).catch(noop);
        else {
          members.set(member.address, replaced);
          this.#renew(topic, replaced);
        }
      }
      throw error;
    }
  }

  /**
   * Adds a member that comes from another process, whose engine may have told it to the engine here.
   *
   * @param joining is told if the member can't join. The member stays in this list until it leaves
   */
  joinAgain(topic: string, member: LocalMember, joining: JoiningAgain): void {
    this.#of(topic).set(member.address, member);
    this.#batches.add(topic, member, joining);
  }

  #of(topic: string): Map<string, LocalMember> {
    let members = this.#members.get(topic);
    if (members === undefined) {
      members = new Map();
      this.#members.set(topic, members);
    }
    return members;
  }

  /** Sends all joins that wait for the end of the tick. */
  flush(): void {
    this.#batches.flush();
  }

  /** Removes a member. Rejects if the engine thread doesn't answer; the member has left this list all the same. */
  async leave(topic: string, address: string): Promise<void> {
    if (!this.#delete(topic, address)) return;
    this.#batches.flush();
    // Members of a thread that isn't connected have left already.
    await this.#currentSession()?.request({ kind: "leave", topic, address });
  }

  /**
   * Removes the members with an address in these topics. Their connection joins again in another thread or process:
   * presence shows no leave.
   */
  letGo(address: string, topics: readonly string[]): void {
    this.#batches.flush();
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
  renewAll(): void {
    for (const [topic, members] of this.#members) {
      for (const member of members.values()) this.#renew(topic, member);
    }
    this.flush();
  }

  #renew(topic: string, member: LocalMember): void {
    const renew = (): void => {
      if (this.get(topic, member.address) === member) this.#renew(topic, member);
    };
    const session = this.#currentSession();
    this.#batches.add(topic, member, { joinFailed: () => session?.later(renew) });
  }
}
