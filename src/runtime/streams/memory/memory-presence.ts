/** The members of the topics with presence. `MemoryEngine` passes joins and leaves on to here. */
import { SwitchboardError } from "../../../errors.ts";
import type { Member, PresenceChange, PresenceLimits, PresenceStats } from "../engine.ts";
import { type Leave, LeaveQueue } from "./leave-queue.ts";

/** Number of leaves with one grace time that are reported in one go. */
const MAX_LEAVES_IN_ONE_GO = 10_000;

/** The connections of one user in one topic. */
interface UserCount {
  present: number;
  leaving: number;
}

/** Presence of one topic. */
class TopicPresence {
  readonly members = new Map<string, Member>();
  /** The connections in their grace time, by address. */
  readonly leaving = new Map<string, Leave>();
  readonly #users = new Map<string, UserCount>();
  /** Number of distinct users that are present. */
  users = 0;

  get isEmpty(): boolean {
    return this.members.size === 0 && this.leaving.size === 0;
  }

  /** Counts a connection that has come (1) or gone (-1). Returns true for the first or last one of its user. */
  count(user: string | undefined, present: number, leaving: number): boolean {
    if (user === undefined) {
      this.users += present;
      return true;
    }
    const counts = this.#users.get(user) ?? { present: 0, leaving: 0 };
    const [hadPresent, had] = [counts.present > 0, counts.present + counts.leaving > 0];
    counts.present += present;
    counts.leaving += leaving;
    const [hasPresent, has] = [counts.present > 0, counts.present + counts.leaving > 0];
    this.users += Number(hasPresent) - Number(hadPresent);
    if (!has) this.#users.delete(user);
    else if (!had) this.#users.set(user, counts);
    return had !== has;
  }
}

/** Presence of all topics of the one node that a memory engine has. */
export class MemoryPresence {
  readonly #maxMembers: number;
  readonly #report: (change: PresenceChange) => void;
  readonly #topics = new Map<string, TopicPresence>();
  readonly #leaves = new LeaveQueue();
  #members = 0;

  /**
   * @param maxMembers number of members of all topics at most, those in their grace time included
   * @param report is called for each change of a topic whose rule says `changes`
   */
  constructor(maxMembers: number, report: (change: PresenceChange) => void) {
    this.#maxMembers = maxMembers;
    this.#report = report;
  }

  /** Numbers for metrics. */
  gauges(): Record<string, number> {
    return { members: this.#members, leaving_members: this.#leaves.size };
  }

  /** Throws `ERR_ENGINE_FULL` if there are as many members as may be. */
  join(topic: string, member: Member, rule: PresenceLimits): void {
    const known = this.#topics.get(topic);
    if (known !== undefined && this.#replace(topic, known, member, rule)) return;
    if (this.#members + this.#leaves.size >= this.#maxMembers) {
      const message = `presence has ${this.#maxMembers} members, as many as maxMembers allows`;
      throw new SwitchboardError("ERR_ENGINE_FULL", message);
    }
    const presence = known ?? new TopicPresence();
    if (known === undefined) this.#topics.set(topic, presence);
    presence.members.set(member.address, member);
    this.#members++;
    const ofUser = presence.count(member.user, 1, 0);
    if (rule.changes) this.#report({ kind: "joined", topic, member, ofUser });
  }

  leave(topic: string, address: string, rule: PresenceLimits, nowMs: number): void {
    const presence = this.#topics.get(topic);
    const member = presence?.members.get(address);
    if (presence === undefined || member === undefined) return;
    presence.members.delete(address);
    this.#members--;
    // A grace time only delays reports.
    if (rule.changes && rule.leaveGraceMs > 0) {
      presence.count(member.user, -1, 1);
      presence.leaving.set(address, this.#leaves.add(topic, member, rule.leaveGraceMs, nowMs));
      return;
    }
    const ofUser = presence.count(member.user, -1, 0);
    if (presence.isEmpty) this.#topics.delete(topic);
    if (rule.changes) this.#report({ kind: "left", topic, member, ofUser });
  }

  members(topic: string, limit: number): Member[] {
    const listed: Member[] = [];
    for (const member of this.#topics.get(topic)?.members.values() ?? []) {
      if (listed.length >= limit) break;
      listed.push(member);
    }
    return listed;
  }

  stats(topic: string): PresenceStats {
    const presence = this.#topics.get(topic);
    return { connections: presence?.members.size ?? 0, users: presence?.users ?? 0 };
  }

  /** Reports the leaves whose grace time is over. */
  reportLeaves(nowMs: number): void {
    this.#leaves.takeDue(MAX_LEAVES_IN_ONE_GO, nowMs, ({ topic, member }) => {
      const presence = this.#topics.get(topic);
      if (presence === undefined) return;
      presence.leaving.delete(member.address);
      const ofUser = presence.count(member.user, 0, -1);
      if (presence.isEmpty) this.#topics.delete(topic);
      this.#report({ kind: "left", topic, member, ofUser });
    });
  }

  clear(): void {
    this.#topics.clear();
    this.#leaves.clear();
    this.#members = 0;
  }

  /**
   * Puts a member in the place of the one with its address, present or in its grace time. Returns false if there is
   * none. A member with another user ends the old member.
   */
  #replace(topic: string, presence: TopicPresence, member: Member, rule: PresenceLimits): boolean {
    const { address } = member;
    const present = presence.members.get(address);
    const leave = presence.leaving.get(address);
    const old = present ?? leave?.member;
    if (old === undefined) return false;
    const isLast = presence.count(old.user, present ? -1 : 0, present ? 0 : -1);
    if (present === undefined && leave !== undefined) {
      presence.leaving.delete(address);
      this.#leaves.cancel(leave);
      this.#members++;
    }
    const isFirst = presence.count(member.user, 1, 0);
    presence.members.set(address, member);
    if (!rule.changes) return true;
    if (old.user !== member.user) {
      this.#report({ kind: "left", topic, member: old, ofUser: isLast });
      this.#report({ kind: "joined", topic, member, ofUser: isFirst });
    } else if (old.info !== member.info) {
      this.#report({ kind: "joined", topic, member, ofUser: false });
    }
    return true;
  }
}
