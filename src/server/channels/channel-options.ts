/**
 * The options of the channels of one namespace. Times are in ms. In the config file the names have underscores, and
 * times are durations (`history_ttl: "300s"` is `historyTtlMs: 300_000`).
 */
import type { SlowConsumerPolicy } from "../../wire/protocol/slow-consumer-policy.ts";

export interface ChannelOptions {
  /** Presence is kept, so that the API and clients can ask for the members of a channel. */
  readonly presence: boolean;
  /** Joins and leaves are pushed to clients that ask for them. Needs `presence`. */
  readonly joinLeave: boolean;
  /** Joins and leaves are pushed to all subscribers. */
  readonly forcePushJoinLeave: boolean;
  /** Time after which a client that has left is told as gone. 0: at once. */
  readonly leaveGraceMs: number;
  /** Number of publications that are kept. 0: no history. */
  readonly historySize: number;
  readonly historyTtlMs: number;
  readonly historyMetaTtlMs: number;
  readonly forcePositioning: boolean;
  readonly allowPositioning: boolean;
  readonly forceRecovery: boolean;
  readonly allowRecovery: boolean;
  readonly forceRecoveryMode: "stream" | "cache";
  /** In cache mode: the newest publication is given also to clients that don't ask. */
  readonly autoCacheRecover: boolean;
  readonly allowSubscribeForClient: boolean;
  readonly allowSubscribeForAnonymous: boolean;
  readonly allowPublishForClient: boolean;
  readonly allowPublishForSubscriber: boolean;
  readonly allowPublishForAnonymous: boolean;
  readonly allowHistoryForClient: boolean;
  readonly allowHistoryForSubscriber: boolean;
  readonly allowHistoryForAnonymous: boolean;
  readonly allowPresenceForClient: boolean;
  readonly allowPresenceForSubscriber: boolean;
  readonly allowPresenceForAnonymous: boolean;
  readonly allowUserLimitedChannels: boolean;
  /** Regular expression for the part of a name after the namespace. "": any. */
  readonly channelRegex: string;
  readonly allowedDeltaTypes: readonly "fossil"[];
  /** Publications are made for deltas even where the publisher doesn't say so. */
  readonly deltaPublish: boolean;
  readonly allowTagsFilter: boolean;
  readonly subscribeProxyEnabled: boolean;
  readonly publishProxyEnabled: boolean;
  readonly subRefreshProxyEnabled: boolean;
  /** The application is told of the first subscriber and of the last one that leaves. */
  readonly occupancyHooksEnabled: boolean;
  /** The application is told when a client subscribes in cache mode, and nothing is there. */
  readonly cacheMissHookEnabled: boolean;
  /** Policy for clients that read too slowly. Undefined: that of the board. */
  readonly slowConsumerPolicy: SlowConsumerPolicy | undefined;
}

export interface NamespaceOptions extends ChannelOptions {
  readonly name: string;
}

/** All channels of a server. */
export interface ChannelsConfig {
  /** Options of channels without a namespace. */
  readonly withoutNamespace: ChannelOptions;
  readonly namespaces: readonly NamespaceOptions[];
  /** Bytes of a channel name at most. */
  readonly maxLength: number;
  /** Number of publications of one history reply at most. */
  readonly historyMaxPublicationLimit: number;
  /** Number of missed publications at most that a client gets when it comes back. */
  readonly recoveryMaxPublicationLimit: number;
}

/** Options of a namespace whose config says nothing: everything is off, and only a token lets a client subscribe. */
export const DEFAULT_CHANNEL_OPTIONS: ChannelOptions = Object.freeze({
  presence: false,
  joinLeave: false,
  forcePushJoinLeave: false,
  leaveGraceMs: 0,
  historySize: 0,
  historyTtlMs: 300_000,
  historyMetaTtlMs: 24 * 24 * 60 * 60 * 1_000,
  forcePositioning: false,
  allowPositioning: false,
  forceRecovery: false,
  allowRecovery: false,
  forceRecoveryMode: "stream",
  autoCacheRecover: false,
  allowSubscribeForClient: false,
  allowSubscribeForAnonymous: false,
  allowPublishForClient: false,
  allowPublishForSubscriber: false,
  allowPublishForAnonymous: false,
  allowHistoryForClient: false,
  allowHistoryForSubscriber: false,
  allowHistoryForAnonymous: false,
  allowPresenceForClient: false,
  allowPresenceForSubscriber: false,
  allowPresenceForAnonymous: false,
  allowUserLimitedChannels: false,
  channelRegex: "",
  allowedDeltaTypes: Object.freeze([]),
  deltaPublish: false,
  allowTagsFilter: false,
  subscribeProxyEnabled: false,
  publishProxyEnabled: false,
  subRefreshProxyEnabled: false,
  occupancyHooksEnabled: false,
  cacheMissHookEnabled: false,
  slowConsumerPolicy: undefined,
});

/** True if publications are kept: the topics of these channels are streams. */
export function hasHistory(options: ChannelOptions): boolean {
  return options.historySize > 0 && options.historyTtlMs > 0;
}
