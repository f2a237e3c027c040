/** The presence of one topic, as far as this node knows it. `Presence` has one for each topic. */
import type { PresenceKeys } from "./keys.ts";

/** A join, a leave, or a member that is let go. It waits for the end of the tick. */
export type Change =
  | { readonly kind: "j"; readonly address: string; readonly record: string }
  | { readonly kind: "l"; readonly address: string; readonly graceMs: number }
  | { readonly kind: "g"; readonly address: string; readonly record: string };

/** One topic's members of this node, and their changes that Redis hasn't got. */
export class TopicPresence {
  readonly topic: string;
  readonly keys: PresenceKeys;
  /** Record of each member of this node, by address. */
  readonly members = new Map<string, string>();
  /** Leaves that Redis hasn't got, because it was away: grace time by address. */
  readonly unsent = new Map<string, number>();
  /** Addresses of members that Redis hasn't got, because it was out of memory. */
  readonly unstored = new Set<string>();
  changes: Change[] = [];
  /** Settles when the changes of this tick are stored. */
  flushed: Promise<void> | undefined;
  renewAt: number;
  /** True until the members are known to be stored on another server. */
  isQuiet = false;
  /** Time at which the last grace time ends that began here. */
  graceUntil = 0;
  sweep: NodeJS.Timeout | undefined;
  sweepAt = 0;
  /** Longest time for which the keys must be kept, in ms: the largest grace time that was used. */
  graceMs = 0;

  constructor(topic: string, keys: PresenceKeys, renewAt: number) {
    this.topic = topic;
    this.keys = keys;
    this.renewAt = renewAt;
  }

  /** Names of all keys, in the order in which the scripts take them. */
  get all(): readonly string[] {
    const { members, users, leaving, deadlines } = this.keys;
    return [members, users, leaving, deadlines];
  }
}
