import {
  type ChannelOptions,
  type ChannelsConfig,
  DEFAULT_CHANNEL_OPTIONS,
} from "../../../src/server/channels/channel-options.ts";
import { type Channel, Channels } from "../../../src/server/channels/channels.ts";

/** Channels of a server, by what differs from the defaults. "" names channels without a namespace. */
export function channelsConfig(
  namespaces: Record<string, Partial<ChannelOptions>>,
  limits: Partial<ChannelsConfig> = {},
): ChannelsConfig {
  const { "": withoutNamespace, ...others } = namespaces;
  return {
    withoutNamespace: { ...DEFAULT_CHANNEL_OPTIONS, ...withoutNamespace },
    namespaces: Object.entries(others).map(([name, options]) => ({ name, ...DEFAULT_CHANNEL_OPTIONS, ...options })),
    maxLength: 255,
    historyMaxPublicationLimit: 300,
    recoveryMaxPublicationLimit: 300,
    ...limits,
  };
}

/** A channel without a namespace, by what differs from the defaults. */
export function channelWith(options: Partial<ChannelOptions>, name = "news"): Channel {
  const found = new Channels(channelsConfig({ "": options })).of(name);
  if (found.kind !== "known") throw new Error(`the channel is ${found.kind}`);
  return found.channel;
}
