/** Reads of topics with history or presence. Actors and boards have the same methods. */
import type { PresenceStats } from "./engine.ts";
import type { Position } from "./position.ts";
import type { Publication } from "./publication.ts";

export interface ReadHistoryOptions {
  /**
   * Position after which the page begins; with `reverse`, before whose next publication it begins. Default: the oldest
   * publication; with `reverse`, the newest.
   */
  readonly since?: Position | undefined;
  /** Number of publications at most, from 0 to 1,000. 0: only the top. Default: 100. */
  readonly limit?: number | undefined;
  /** True for the newest first. Default: false. */
  readonly reverse?: boolean | undefined;
}

/** One page of a stream. */
export interface HistoryPage {
  readonly publications: readonly Publication[];
  /** Position of the newest publication that the stream ever had. */
  readonly top: Position;
}

/** One connection that is subscribed to a topic with presence. */
export interface PresenceMember {
  /** Address of the connection's actor. */
  readonly address: string;
  /** Id of the node on which the connection is. */
  readonly node: string;
  /** User that the actor gave when it subscribed; undefined if none. */
  readonly user: string | undefined;
  /** Info that the actor gave when it subscribed; undefined if none. */
  readonly info: unknown;
}

/**
 * A change of a topic's presence, for subscribers that asked for changes. A `joined` of an address that is known tells
 * its new info.
 */
export type PresenceEvent =
  | {
      readonly kind: "joined" | "left";
      readonly topic: string;
      readonly member: PresenceMember;
      /** True for the first connection of its user that joins, and for the last that leaves. */
      readonly ofUser: boolean;
    }
  /** Changes were lost, because the actor was too slow or the engine was away: read `presence` again. */
  | { readonly kind: "missed"; readonly topic: string };

export interface TopicMemory {
  history(topic: string, options?: ReadHistoryOptions): Promise<HistoryPage>;
  removeHistory(topic: string): Promise<void>;
  presence(topic: string): Promise<readonly PresenceMember[]>;
  presenceStats(topic: string): Promise<PresenceStats>;
}
