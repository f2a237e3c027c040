/** The part of a shard that its feeds use. `ShardTopics` implements `FeedHost`. */
import type { Frame } from "../../wire/protocol/frame.ts";
import type { AudienceOwner } from "../bus/audience.ts";

export interface FeedHost {
  /** Audience through which publications reach subscriptions of this thread. */
  readonly audience: AudienceOwner;
  /** A message to a topic without history came from another node. */
  relayed(topic: string, frame: Frame): void;
  /**
   * Publications that aren't stored don't reach a subscription: its peer reads too slowly, or too many had to wait for
   * it.
   */
  unstoredDropped(count: number): void;
  /** A subscription has ended, because publications are lost for it. */
  subscriptionLost(): void;
  /** A subscription has fallen behind: its peer reads too slowly, or the engine can't be read. */
  subscriptionBehind(): void;
  /**
   * Resolves when a subscription may go on that waited for the engine; undefined if it may now. The engine's answers
   * come for a crowd of subscriptions at once.
   */
  mayGoOn(): Promise<void> | undefined;
}
