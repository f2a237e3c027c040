/** The keys of channels: the options of one namespace, and what counts for all channels. */
import { SLOW_CONSUMER_POLICIES } from "../../../wire/protocol/slow-consumer-policy.ts";
import { choice, choices, duration, flag, integer, list, section, text } from "../description.ts";
import { endpointKeys } from "./endpoint-keys.ts";

/** The options of the channels of one namespace. */
const optionKeys = {
  presence: flag(false, "The server keeps a list of who is in a channel"),
  join_leave: flag(false, "Clients that ask for this are told who comes and goes. Needs `presence`"),
  force_push_join_leave: flag(false, "All subscribers are told who comes and goes. Needs `join_leave`"),
  leave_grace: duration(
    "0s",
    "Time after which others are told that a client has left. If the client is back within this time, nobody is told",
  ),
  history_size: integer(0, "Number of publications that are kept. 0: no history. Needs `history_ttl`", {
    most: 1_000_000,
  }),
  history_ttl: duration("0s", "Time after the last publication for which publications are kept. Needs `history_size`"),
  history_meta_ttl: duration(
    "0s",
    "Time for which the position of a channel outlives its publications. 0: that of `channel.history_meta_ttl`. More than 24.8 days count as 24.8 days",
    { most: "36500d" },
  ),
  force_positioning: flag(false, "Each subscriber is checked for lost publications. Needs history"),
  allow_positioning: flag(false, "Clients may ask for the check for lost publications. Needs history"),
  force_recovery: flag(false, "Each client that comes back gets what it missed. Needs history"),
  allow_recovery: flag(false, "Clients may ask for what they missed. Needs history"),
  force_recovery_mode: choice(
    ["stream", "cache"],
    "stream",
    "What a returning client gets: all publications that it missed (`stream`), or the newest only (`cache`)",
  ),
  auto_cache_recover: flag(
    false,
    "New subscribers get the newest publication, too. Needs `force_recovery`, and `force_recovery_mode` of `cache`",
  ),
  allow_subscribe_for_client: flag(false, "Clients with a user id may subscribe"),
  allow_subscribe_for_anonymous: flag(false, "Clients without a user id may subscribe"),
  allow_publish_for_client: flag(false, "Clients with a user id may publish, subscribed or not"),
  allow_publish_for_subscriber: flag(false, "Subscribers may publish"),
  allow_publish_for_anonymous: flag(false, "Clients without a user id may publish"),
  allow_history_for_client: flag(false, "Clients with a user id may read the history, subscribed or not"),
  allow_history_for_subscriber: flag(false, "Subscribers may read the history"),
  allow_history_for_anonymous: flag(false, "Clients without a user id may read the history"),
  allow_presence_for_client: flag(false, "Clients with a user id may ask who is there, subscribed or not"),
  allow_presence_for_subscriber: flag(false, "Subscribers may ask who is there"),
  allow_presence_for_anonymous: flag(false, "Clients without a user id may ask who is there"),
  allow_user_limited_channels: flag(
    false,
    "The users whose ids stand after `#` in the name of a channel, with commas between them, may subscribe",
  ),
  channel_regex: text(
    "",
    "Regular expression (JavaScript) for the part of a channel's name after the namespace. Empty: any name",
    "regex",
  ),
  allowed_delta_types: choices(["fossil"], "Kinds of deltas that clients may ask for. Empty: none"),
  delta_publish: flag(false, "All publications are made for deltas, also those whose publisher doesn't ask for it"),
  allow_tags_filter: flag(false, "Clients may give a filter for the tags of publications"),
  subscribe_proxy_enabled: flag(false, "The application decides who may subscribe. Needs `channel.proxy.subscribe`"),
  publish_proxy_enabled: flag(false, "The application decides who may publish. Needs `channel.proxy.publish`"),
  sub_refresh_proxy_enabled: flag(
    false,
    "The application decides whether a subscription that expires goes on. Needs `channel.proxy.sub_refresh`",
  ),
  occupancy_hooks_enabled: flag(
    false,
    "The application is told of the first subscriber of a channel and of the last one that leaves. Needs `hooks.occupancy`",
  ),
  cache_miss_hook_enabled: flag(
    false,
    "The application is told when a client subscribes and the channel has no publication. Needs `hooks.cache_miss`, and `force_recovery_mode` of `cache`",
  ),
  slow_consumer_policy: choice(
    ["", ...SLOW_CONSUMER_POLICIES],
    "",
    "What happens to publications for a client that reads too slowly, in channels without history. (With history the client gets later what it missed.) Empty, or `close`: the client is closed with 3008 and comes back",
  ),
};

export const channel = section("Channels and their namespaces", {
  proxy: section("Questions to the application about channels. Namespaces turn them on", {
    subscribe: section("Who may subscribe", endpointKeys),
    publish: section("Who may publish, and what", endpointKeys),
    sub_refresh: section("Whether a subscription that expires goes on", endpointKeys),
  }),
  without_namespace: section("Options of channels without a namespace", optionKeys),
  namespaces: list("Namespaces. The channels whose names begin with `NAME:` have the options of the namespace NAME", {
    name: text("", "Name of the namespace: 2 to 250 letters, digits, `-`, `_` or `.`. Required", "namespace"),
    ...optionKeys,
  }),
  history_meta_ttl: duration(
    "720h",
    "Time for which the position of a channel outlives its publications. At least as long as each `history_ttl`. More than 24.8 days count as 24.8 days",
    { least: "1s", most: "36500d" },
  ),
  max_length: integer(255, "Largest length of a channel's name, in bytes", { least: 1, most: 255 }),
});
