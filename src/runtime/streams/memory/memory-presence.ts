/** The members of the topics with presence. `MemoryEngine` passes joins and leaves on to here. */
import { SwitchboardError } from "../../../errors.ts";
import type { Member, PresenceChange, PresenceLimits, PresenceStats } from "../engine.ts";
import { AwaitedMembers } from "./awaited-members.ts";
import { type Leave, LeaveQueue } from "./leave-queue.ts";

/** Number of leaves with one grace time that are reported in one go. */
const MAX_LEAVES_IN_ONE_GO = 10_000;

/** The connections of one user in one topic. */
interface UserCount {
  present: number;
  leaving: number;
}

/** A member of a topic as another process gets it. */
export interface MemberCopy extends Member {
  /** - `present`: the member is subscribed.
   * - a number: time in ms until the leave of the member is reported.
   * - `gone`: there is no member with this address any more. */
  readonly state: "present" | "gone" | number;
}

/** Presence of one topic. */
class TopicPresence {
  /** The rule of the last join. */
  rule: PresenceLimits;
  readonly members = new Map<string, Member>();
  /** The connections in their grace time, by address. */
  readonly leaving = new Map<string, Leave>();
  readonly #users = new Map<string, UserCount>();
  /** Number of distinct users that are present. */
  users = 0;

  constructor(rule: PresenceLimits) {
    this.rule = rule;
  }

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
  /** Addresses that have changed since `noteChanges`, by topic; undefined before. */
  #changed: Map<string, Set<string>> | undefined;
  readonly #awaited = new AwaitedMembers();

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
    this.#note(topic, member.address);
    this.#awaited.delete(topic, member.address);
    if (known !== undefined && this.#replace(topic, known, member, rule)) return;
    if (this.#members + this.#leaves.size >= this.#maxMembers) {
      const message = `presence has ${this.#maxMembers} members, as many as maxMembers allows`;
      throw new SwitchboardError("ERR_ENGINE_FULL", message);
    }
    const presence = known ?? new TopicPresence(rule);
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
    this.#note(topic, address);
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

  /** A member stays until it joins again. Without a join it leaves after `TRAVEL_MS`. */
  letGo(topic: string, address: string, nowMs: number): void {
    if (this.#topics.get(topic)?.members.has(address) !== true) return;
    this.#awaited.addForNow(topic, address, nowMs);
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

  /** Reports the leaves whose grace time is over, and lets members leave that have been awaited for too long. */
  reportLeaves(nowMs: number): void {
    if (this.#awaited.isOver(nowMs)) this.endAwaited(nowMs);
    this.#leaves.takeDue(MAX_LEAVES_IN_ONE_GO, nowMs, ({ topic, member }) => {
      const presence = this.#topics.get(topic);
      if (presence === undefined) return;
      this.#note(topic, member.address);
      presence.leaving.delete(member.address);
      const ofUser = presence.count(member.user, 0, -1);
      if (presence.isEmpty) this.#topics.delete(topic);
      this.#report({ kind: "left", topic, member, ofUser });
    });
  }

  /** Notes who changes from now on, for `takeChanged`; or, with false, notes nobody any more. */
  noteChanges(areNoted: boolean): void {
    this.#changed = areNoted ? new Map() : undefined;
  }

  /** Returns all members, those in their grace time too. Members may join and leave meanwhile. */
  *all(nowMs: number): Generator<readonly [topic: string, rule: PresenceLimits, member: MemberCopy]> {
    for (const [topic, { rule, members, leaving }] of this.#topics) {
      for (const member of members.values()) yield [topic, rule, { ...member, state: "present" }];
      for (const leave of leaving.values()) yield [topic, rule, copyOfLeave(leave, nowMs)];
    }
  }

  /** Returns what has become of the members that have changed since `noteChanges` and since the last call. */
  *takeChanged(nowMs: number): Generator<readonly [topic: string, rule: PresenceLimits, member: MemberCopy]> {
    const changed = this.#changed ?? [];
    if (this.#changed !== undefined) this.#changed = new Map();
    for (const [topic, addresses] of changed) {
      const presence = this.#topics.get(topic);
      for (const address of addresses) {
        const member = presence?.members.get(address);
        const leave = presence?.leaving.get(address);
        if (member !== undefined) yield [topic, presence?.rule ?? NO_RULE, { ...member, state: "present" }];
        else if (leave !== undefined) yield [topic, presence?.rule ?? NO_RULE, copyOfLeave(leave, nowMs)];
        else yield [topic, NO_RULE, { address, node: "", user: undefined, info: undefined, state: "gone" }];
      }
    }
  }

  /**
   * Takes a member of another process, without a report. Members beyond `maxMembers` are left out: their own joins are
   * refused as well.
   */
  put(topic: string, rule: PresenceLimits, { state, ...member }: MemberCopy, nowMs: number): void {
    const { address } = member;
    this.#drop(topic, address);
    if (state === "gone" || this.#members + this.#leaves.size >= this.#maxMembers) return;
    const presence = this.#topics.get(topic) ?? new TopicPresence(rule);
    this.#topics.set(topic, presence);
    if (state === "present") {
      presence.count(member.user, 1, 0);
      presence.members.set(address, member);
      this.#members++;
      this.#awaited.add(topic, address);
    } else {
      const graceMs = Math.max(rule.leaveGraceMs, state);
      presence.count(member.user, 0, 1);
      presence.leaving.set(address, this.#leaves.add(topic, member, graceMs, nowMs + state - graceMs));
    }
  }

  /** Lets members leave that are awaited. */
  endAwaited(nowMs: number): void {
    for (const [topic, addresses] of this.#awaited.take()) {
      const rule = this.#topics.get(topic)?.rule;
      if (rule !== undefined) for (const address of addresses) this.leave(topic, address, rule, nowMs);
    }
  }

  /** Forgets the members of another process that haven't joined here, without a report. */
  forgetAwaited(): void {
    for (const [topic, addresses] of this.#awaited.take()) for (const address of addresses) this.#drop(topic, address);
  }

  clear(): void {
    this.#awaited.take();
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
    presence.rule = rule;
    const present = presence.members.get(address);
    const leave = presence.leaving.get(address);
    const old = present ?? leave?.member;
    if (old === undefined) return false;
    if (present !== undefined && present.user === member.user && present.info === member.info) {
      presence.members.set(address, member);
      return true;
    }
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

  #note(topic: string, address: string): void {
    if (this.#changed === undefined) return;
    const changed = this.#changed.get(topic);
    if (changed === undefined) this.#changed.set(topic, new Set([address]));
    else changed.add(address);
  }

  /** Forgets a member without a report. */
  #drop(topic: string, address: string): void {
    this.#awaited.delete(topic, address);
    const presence = this.#topics.get(topic);
    const member = presence?.members.get(address);
    const leave = presence?.leaving.get(address);
    if (presence === undefined) return;
    if (member !== undefined) {
      presence.members.delete(address);
      presence.count(member.user, -1, 0);
      this.#members--;
    } else if (leave !== undefined) {
      presence.leaving.delete(address);
      presence.count(leave.member.user, 0, -1);
      this.#leaves.cancel(leave);
    }
    if (presence.isEmpty) this.#topics.delete(topic);
  }
}

/** The rule of a topic without members, which nothing asks for. */
const NO_RULE: PresenceLimits = { leaveGraceMs: 0, changes: false };

function copyOfLeave({ member, dueMs }: Leave, nowMs: number): MemberCopy {
  return { ...member, state: Math.max(0, dueMs - nowMs) };
}
