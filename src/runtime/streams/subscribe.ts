/** The options of an actor's `subscribe`, and the result. */
import type { SlowConsumerPolicy } from "../../wire/protocol/slow-consumer-policy.ts";
import type { Position } from "./position.ts";
import type { Encode, Publication } from "./publication.ts";

export interface SubscribeOptions {
  /**
   * Position to resume from: the result has everything that was published after it. `"latest"`: the result has the
   * newest publication, if there is one. Needs a topic with history. Default: only what is published from now on.
   */
  readonly since?: Position | "latest" | undefined;
  /**
   * Function that encodes publications for this peer, so that they can carry their offset, or be left out. Works on any
   * topic. If it throws, the subscription is lost and the actor fails, as in a handler. Default: the message as it was
   * published.
   */
  readonly encode?: Encode | undefined;
  /**
   * Promise for which deliveries wait, beside the result: for protocols whose peers must hear of the subscription
   * first. At most `maxBufferedBytes` of a topic without history wait; more is dropped. Default: deliveries begin as
   * said at `subscribe`.
   */
  readonly deliverAfter?: Promise<unknown> | undefined;
  /**
   * Policy for publications of this topic while the peer reads too slowly. On a topic with history it has no effect:
   * its subscribers get what they missed later. Default: `slowConsumerPolicy` of the actor.
   */
  readonly slowConsumerPolicy?: SlowConsumerPolicy | undefined;
  /**
   * True to stay out of presence: others don't see this subscription, and nobody is told of it. Default: false.
   */
  readonly hidden?: boolean | undefined;
  /** User of this connection, for presence: 1 to 255 bytes of UTF-8. Default: none. */
  readonly user?: string | undefined;
  /** Info that presence shows about this connection: a value for JSON, at most 4 KiB of it. Default: nothing. */
  readonly info?: unknown;
  /** True to have `presenceChanged` called for joins and leaves of the topic. Default: false. */
  readonly presenceChanges?: boolean | undefined;
}

/** The result of a subscription. */
export interface Subscribed {
  /** True if `since` was given. */
  readonly wasRecovering: boolean;
  /**
   * True if the publications are everything after `since`, without a hole. With `since: "latest"`: true if the newest
   * publication is there.
   */
  readonly recovered: boolean;
  /** Missed publications, in order; empty unless recovered. */
  readonly publications: readonly Publication[];
  /**
   * Position after the publications: what is published later follows it. Undefined on a topic without history, and if
   * the connection is closed, also in the handler `closed` and after `close()`: there is no subscription then.
   */
  readonly position: Position | undefined;
}

/** The result on a topic without history, and of a closed connection. */
export const NOTHING_KEPT: Subscribed = Object.freeze({
  wasRecovering: false,
  recovered: false,
  publications: [],
  position: undefined,
});
