/** The topics of all channels, for `Switchboard.start({ topics })`. The name of a topic is that of its channel. */
import type { HistoryOptions, PresenceOptions, TopicOptions, TopicsOption } from "../../runtime/streams/topic-rules.ts";
import { MAX_INT32 } from "../../wire/handshake/option-check.ts";
import { type ChannelOptions, type ChannelsConfig, hasHistory } from "./channel-options.ts";

/** A topic rule needs at least this time. */
const MIN_META_TTL_MS = 60_000;

/** Shields the topics of a namespace from a later pattern. */
const NOTHING: TopicOptions = Object.freeze({ presence: false });

/**
 * Returns the options of topics by pattern: each namespace, also with `$` in front, then channels without a namespace.
 * Namespaces have no `:` in their names, so no pattern hides a later one.
 */
export function topicsOf(channels: ChannelsConfig): TopicsOption {
  const rest = topicOf(channels.withoutNamespace);
  const topics: Record<string, TopicOptions> = {};
  for (const namespace of channels.namespaces) {
    // `*` stands for any characters: without a rule of its own, a namespace would have what the last pattern gives.
    const own = topicOf(namespace) ?? (rest === undefined ? undefined : NOTHING);
    if (own === undefined) continue;
    topics[`${namespace.name}:*`] = own;
    topics[`$${namespace.name}:*`] = own;
  }
  if (rest !== undefined) topics["*"] = rest;
  return topics;
}

function topicOf(options: ChannelOptions): TopicOptions | undefined {
  const history = historyOf(options);
  const presence = presenceOf(options);
  if (history === undefined && presence === undefined) return undefined;
  return { ...(history === undefined ? {} : { history }), ...(presence === undefined ? {} : { presence }) };
}

function historyOf(options: ChannelOptions): HistoryOptions | undefined {
  if (!hasHistory(options)) return undefined;
  const { historySize: size, historyTtlMs: ttlMs } = options;
  // The 30 days of Centrifugo are more than a timer holds.
  const metaTtlMs = Math.min(Math.max(options.historyMetaTtlMs, ttlMs, MIN_META_TTL_MS), MAX_INT32);
  return { size, ttlMs, metaTtlMs };
}

function presenceOf({ presence, joinLeave, leaveGraceMs }: ChannelOptions): PresenceOptions | undefined {
  return presence || joinLeave ? { leaveGraceMs, changes: joinLeave } : undefined;
}
