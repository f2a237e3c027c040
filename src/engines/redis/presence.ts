/**
 * Presence in Redis: writes of one tick go out together, members are renewed long before they expire, and what has
 * expired is removed by whichever node comes first. Used by the engine.
 */
import type { Member, PresenceLimits, PresenceStats } from "../../runtime/streams/engine.ts";
import { TRAVEL_MS } from "../../runtime/streams/takeover.ts";
import { MAX_INT32 } from "../../wire/handshake/option-check.ts";
import { noop } from "../../wire/protocol/empty.ts";
import { isOutOfMemory } from "./failures.ts";
import type { Keys } from "./keys.ts";
import type { Link } from "./link/link.ts";
import { decodeMember, encodeGrace, encodeMember } from "./messages.ts";
import { BATCH, PresenceWriter, type PresenceWriterParts } from "./presence-writer.ts";
import type { Script } from "./scripts/scripts.ts";
import { type Change, TopicPresence } from "./topic-presence.ts";

/** Parts of `ttlMs`: a member is renewed after the first, expires in Redis after the second, and is swept before 1. */
const RENEWED = 0.3;
const EXPIRES = 0.65;
/** Number of looks, in one time of renewal, whether members are to be renewed. */
const LOOKS = 8;
/** Time that a sweep waits beyond the end of a grace time, in ms: the clock of Redis counts whole ones. */
const SWEEP_DELAY_MS = 2;

/** Time until a topic is swept again that has members which have expired and are still left alone, in ms. */
const OVERDUE_MS = 250;

export interface PresenceOptions extends PresenceWriterParts {
  readonly ttlMs: number;
  readonly keys: Keys;
  readonly isWanted: (topic: string) => boolean;
}

export class Presence {
  readonly #options: PresenceOptions;
  readonly #topics = new Map<string, TopicPresence>();
  readonly #renewMs: number;
  readonly #writer: PresenceWriter;
  #timer: NodeJS.Timeout | undefined;
  /** Time from which members that have expired are removed: the other nodes may have been cut off, too. */
  #sweepsFrom = 0;
  #isStopped = false;

  constructor(options: PresenceOptions) {
    this.#options = options;
    this.#renewMs = options.ttlMs * RENEWED;
    this.#writer = new PresenceWriter(options, options.ttlMs, options.ttlMs * EXPIRES);
  }

  /** Number of members of this node, in all topics. */
  get members(): number {
    let count = 0;
    for (const { members } of this.#topics.values()) count += members.size;
    return count;
  }

  /** Number of those that Redis had no memory for so far. */
  get unstored(): number {
    let count = 0;
    for (const { unstored } of this.#topics.values()) count += unstored.size;
    return count;
  }

  start(): void {
    this.#sweepsFrom = performance.now() + this.#renewMs;
    this.#timer = setInterval(() => this.#renewDue(), this.#renewMs / LOOKS);
  }

  /**
   * Resolves also when Redis is out of memory, so that the member can subscribe: the join is stored, and reported, as
   * soon as there is room. A change of a member rejects then, and the member stays as it was.
   */
  async join(topic: string, member: Member, rule: PresenceLimits): Promise<void> {
    const presence = this.#topic(topic);
    const { address } = member;
    const record = encodeMember(member, rule.changes);
    const before = presence.members.get(address);
    presence.members.set(address, record);
    presence.unsent.delete(address);
    presence.graceMs = Math.max(presence.graceMs, rule.leaveGraceMs);
    try {
      await this.#writer.change(presence, { kind: "j", address, record });
      presence.unstored.delete(address);
    } catch (error) {
      if (presence.members.get(address) !== record) throw error;
      if (!isOutOfMemory(error)) {
        // Redis may or may not have stored the member, and may still have one that left before: a leave is sent when
        // Redis is back.
        presence.members.delete(address);
        presence.unsent.set(address, rule.leaveGraceMs);
        presence.unstored.delete(address);
        throw error;
      }
      if (before === undefined || presence.unstored.has(address)) {
        presence.unstored.add(address);
        return;
      }
      presence.members.set(address, before);
      throw error;
    }
  }

  /** Resolves also when Redis is away: the leave is sent when it is back. */
  async leave(topic: string, address: string, { leaveGraceMs }: PresenceLimits): Promise<void> {
    const presence = this.#topics.get(topic);
    if (presence === undefined || !presence.members.delete(address)) return;
    presence.unstored.delete(address);
    presence.graceMs = Math.max(presence.graceMs, leaveGraceMs);
    try {
      await this.#writer.change(presence, { kind: "l", address, graceMs: leaveGraceMs });
      if (leaveGraceMs > 0) this.#sweepAfter(presence, leaveGraceMs);
    } catch {
      if (!presence.members.has(address)) presence.unsent.set(address, leaveGraceMs);
    }
  }

  /** Redis keeps the member for `TRAVEL_MS`, unless another node joins it. A failure leaves it to its old deadline. */
  letGo(topic: string, address: string): void {
    const presence = this.#topics.get(topic);
    const record = presence?.members.get(address);
    if (presence === undefined || record === undefined) return;
    presence.members.delete(address);
    presence.unstored.delete(address);
    presence.graceMs = Math.max(presence.graceMs, TRAVEL_MS);
    this.#writer.change(presence, { kind: "g", address, record }).catch(noop);
    this.#sweepAfter(presence, TRAVEL_MS);
  }

  async list(topic: string, limit: number): Promise<readonly Member[]> {
    const reply = await this.#read(topic, this.#options.scripts.members, [String(limit)]);
    return (reply as string[]).map(decodeMember);
  }

  async stats(topic: string): Promise<PresenceStats> {
    const reply = await this.#read(topic, this.#options.scripts.stats, []);
    const [connections = 0, users = 0] = reply as number[];
    return { connections, users };
  }

  /**
   * A link works again: its topics are renewed now, and others get the time to do so before anything is removed.
   *
   * @param isOtherServer true if the server may have lost data. Members that it lost aren't reported as joined again.
   */
  restored(link: Link, isOtherServer: boolean): void {
    if (this.#timer === undefined) return;
    const now = performance.now();
    this.#sweepsFrom = now + this.#renewMs;
    for (const presence of this.#topics.values()) {
      if (this.#options.links.of(presence.keys.members) !== link) continue;
      presence.renewAt = now;
      if (isOtherServer) presence.isQuiet = true;
    }
    this.#renewDue();
  }

  /** Another node leaves the cluster, with members in their grace time. */
  graceBegan(topic: string, ms: number): void {
    if (!this.#isStopped) this.#sweepAfter(this.#topic(topic), ms);
  }

  /** Removes the members of this node. They are reported as gone at once. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#isStopped = true;
    const now = performance.now();
    const leaves = [...this.#topics.values()].flatMap((presence) => {
      clearTimeout(presence.sweep);
      const graceMs = Math.ceil(presence.graceUntil - now);
      const { channel, members } = presence.keys;
      // This node won't be there to see the end of the grace times.
      if (graceMs > 0) this.#options.links.of(members)?.publish(channel, encodeGrace(graceMs)).catch(noop);
      const addresses = [...presence.members.keys()];
      return addresses.map((address) => this.#writer.change(presence, { kind: "l", address, graceMs: 0 }));
    });
    await Promise.allSettled(leaves);
    this.#topics.clear();
  }

  /** Takes a topic into account whose changes somebody here may be waiting for. */
  watch(topic: string): void {
    if (!this.#isStopped) this.#topic(topic);
  }

  #topic(topic: string): TopicPresence {
    let presence = this.#topics.get(topic);
    if (presence === undefined) {
      presence = new TopicPresence(topic, this.#options.keys.presence(topic), performance.now() + this.#renewMs);
      this.#topics.set(topic, presence);
    }
    return presence;
  }

  async #read(topic: string, script: Script, args: readonly string[]): Promise<unknown> {
    if (this.#options.isWanted(topic)) this.watch(topic);
    const presence = this.#topics.get(topic) ?? new TopicPresence(topic, this.#options.keys.presence(topic), 0);
    return this.#writer.call(presence, script, [this.#sweepsAll(), ...args]);
  }

  #sweepsAll(): string {
    return performance.now() >= this.#sweepsFrom ? "1" : "0";
  }

  #renewDue(): void {
    const now = performance.now();
    for (const presence of this.#topics.values()) {
      if (presence.unstored.size > 0) this.#storeLate(presence).catch(noop);
      if (presence.renewAt > now) continue;
      const isIdle = presence.members.size === 0 && presence.unsent.size === 0 && presence.graceUntil < now;
      if (isIdle && !this.#options.isWanted(presence.topic)) {
        clearTimeout(presence.sweep);
        this.#topics.delete(presence.topic);
        continue;
      }
      presence.renewAt = now + this.#renewMs;
      // A failure is told by the link. When the link is back, everything is renewed.
      this.#renew(presence).catch(noop);
    }
  }

  async #renew(presence: TopicPresence): Promise<void> {
    await this.#sendLeaves(presence);
    const addresses = [...presence.members.keys()];
    const { isQuiet } = presence;
    let at = 0;
    do {
      const batch = addresses.slice(at, at + BATCH);
      const missing = await this.#sweep(presence, batch);
      // Redis has lost them, or another node took this one for dead.
      const records = missing.map((address) => [address, presence.members.get(address)] as const);
      const joins = records.flatMap(([address, record]): Change[] =>
        record === undefined ? [] : [{ kind: "j", address, record }],
      );
      if (joins.length > 0) await this.#writer.write(presence, joins, isQuiet);
      at += BATCH;
    } while (at < addresses.length);
    if (isQuiet) presence.isQuiet = false;
  }

  /** Stores members that Redis had no memory for, if there is room now. */
  async #storeLate(presence: TopicPresence): Promise<void> {
    const joins = [...presence.unstored].slice(0, BATCH).flatMap((address): Change[] => {
      const record = presence.members.get(address);
      return record === undefined ? [] : [{ kind: "j", address, record }];
    });
    await this.#writer.write(presence, joins, false);
    for (const { address } of joins) presence.unstored.delete(address);
    if (presence.unstored.size > 0) await this.#storeLate(presence);
  }

  async #sendLeaves(presence: TopicPresence): Promise<void> {
    if (presence.unsent.size === 0) return;
    const leaves = [...presence.unsent];
    const changes = leaves.map(([address, graceMs]): Change => ({ kind: "l", address, graceMs }));
    await this.#writer.write(presence, changes, false);
    for (const [address, graceMs] of leaves) {
      presence.unsent.delete(address);
      if (graceMs > 0) this.#sweepAfter(presence, graceMs);
    }
  }

  /** Renews these members, and removes what has expired. Returns the addresses that aren't members any more. */
  async #sweep(presence: TopicPresence, addresses: readonly string[]): Promise<readonly string[]> {
    const [next, ...missing] = (await this.#writer.renew(presence, addresses, this.#sweepsAll())) as string[];
    const now = performance.now();
    if (presence.graceUntil > now && Number(next) >= 0) {
      // Overdue members were left alone, because other nodes may still renew theirs.
      const ms = Number(next) === 0 ? OVERDUE_MS : Number(next);
      this.#sweepAfter(presence, Math.min(ms, presence.graceUntil - now));
    }
    return missing;
  }

  /** Sweeps a topic when a grace time is over. */
  #sweepAfter(presence: TopicPresence, ms: number): void {
    if (this.#isStopped) return;
    const at = performance.now() + ms + SWEEP_DELAY_MS;
    presence.graceUntil = Math.max(presence.graceUntil, at);
    if (presence.sweep !== undefined && presence.sweepAt <= at) return;
    clearTimeout(presence.sweep);
    presence.sweepAt = at;
    presence.sweep = setTimeout(
      () => {
        presence.sweep = undefined;
        this.#sweep(presence, []).catch(noop);
      },
      Math.min(Math.ceil(ms + SWEEP_DELAY_MS), MAX_INT32),
    );
  }
}
