/** The rights of an allowed subscription, from the channel's options, an override, and the client's wishes. */
import type { SubscribeRequest } from "../protocol/messages.ts";
import { hasHistory } from "./channel-options.ts";
import type { Channel } from "./channels.ts";
import { mayAccessHistory, mayAccessPresence, type Who } from "./permissions.ts";

/**
 * Changes to the options of one subscription, from a server-side subscription, a token or an answer of the application.
 */
export interface SubscriptionOverride {
  readonly presence?: boolean | undefined;
  readonly joinLeave?: boolean | undefined;
  readonly forcePushJoinLeave?: boolean | undefined;
  readonly forceRecovery?: boolean | undefined;
  readonly forcePositioning?: boolean | undefined;
}

/** Features that a client asks for in `subscribe`. A feature that isn't allowed is silently off. */
export type SubscriptionWishes = Pick<SubscribeRequest, "positioned" | "recoverable" | "join_leave" | "delta">;

/** Wishes of a server-side subscription. */
export const NO_WISHES: SubscriptionWishes = Object.freeze({
  positioned: false,
  recoverable: false,
  join_leave: false,
  delta: "",
});

export interface SubscriptionRights {
  /** The client gets offsets, and hears of a gap. True if `recoverable` is. */
  readonly positioned: boolean;
  /** The client may come back with a position. */
  readonly recoverable: boolean;
  readonly recoveryMode: "stream" | "cache";
  /** The newest publication is given even if the client didn't ask to recover. */
  readonly autoCacheRecover: boolean;
  /** The client is seen in presence. */
  readonly presence: boolean;
  /** Others are told when the client joins and leaves. */
  readonly joinLeave: boolean;
  /** The client is told when others join and leave. */
  readonly pushJoinLeave: boolean;
  readonly delta: "fossil" | undefined;
}

/**
 * Returns what a subscription gets. Whether `who` is subscribed doesn't matter: the rights are those of a subscriber.
 * An override can switch on only what the topics of the namespace have: history, presence, joins and leaves.
 */
export function subscriptionRights(
  channel: Channel,
  wishes: SubscriptionWishes,
  override: SubscriptionOverride | undefined,
  who: Who,
): SubscriptionRights {
  const { options } = channel;
  const subscriber = { ...who, isSubscribed: true };
  const reads = (): boolean => mayAccessHistory(channel, subscriber).kind === "granted";
  const sees = (): boolean => mayAccessPresence(channel, subscriber).kind === "granted";
  const keeps = hasHistory(options);

  const isRecoveryForced = override?.forceRecovery ?? options.forceRecovery;
  const mayRecover = (): boolean => options.allowRecovery || reads();
  const recoverable = keeps && (isRecoveryForced || (wishes.recoverable && mayRecover()));

  const isPositioningForced = override?.forcePositioning ?? options.forcePositioning;
  const mayPosition = (): boolean => options.allowPositioning || reads();
  const positioned = recoverable || (keeps && (isPositioningForced || (wishes.positioned && mayPosition())));

  const arePushesForced = override?.forcePushJoinLeave ?? options.forcePushJoinLeave;
  const isShown = options.presence || options.joinLeave;

  return {
    positioned,
    recoverable,
    recoveryMode: options.forceRecoveryMode,
    autoCacheRecover: recoverable && options.autoCacheRecover && options.forceRecoveryMode === "cache",
    presence: isShown && (override?.presence ?? options.presence),
    joinLeave: options.joinLeave && (override?.joinLeave ?? true),
    pushJoinLeave: options.joinLeave && (arePushesForced || (wishes.join_leave && sees())),
    // A delta says nothing without the publication before, so a gap must be noticed.
    delta: positioned ? options.allowedDeltaTypes.find((type) => type === wishes.delta) : undefined,
  };
}
