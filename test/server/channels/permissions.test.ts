import { describe, expect, it } from "vitest";
import type { ChannelOptions } from "../../../src/server/channels/channel-options.ts";
import {
  mayHistory,
  mayPresence,
  mayPublish,
  maySubscribe,
  type Who,
} from "../../../src/server/channels/permissions.ts";
import { channelWith } from "./channels-config.ts";

const who = (more: Partial<Who> = {}): Who => ({ user: "42", isSubscribed: false, insecure: false, ...more });
const anonymous = { user: "" };
const insecure = { insecure: true };
const subscribed = { isSubscribed: true };

/** "granted", "askToken" and "askBackend", or the error's code. */
function word(decision: ReturnType<typeof maySubscribe>): string | number {
  return decision.kind === "refused" ? decision.error.code : decision.kind;
}

describe("maySubscribe", () => {
  const limited = { allowUserLimitedChannels: true };
  const open = { allowSubscribeForClient: true };
  const proxied = { subscribeProxyEnabled: true };
  const rows: [string, string, Partial<ChannelOptions>, Partial<Who>, string, string | number][] = [
    ["refuses by default", "news", {}, {}, "", 103],
    ["lets a token decide", "news", {}, {}, "t", "askToken"],
    ["lets a token decide on an open channel", "news", open, {}, "t", "askToken"],
    ["lets a token decide before the application", "news", proxied, {}, "t", "askToken"],
    ["lets a token decide although the client is insecure", "news", {}, insecure, "t", "askToken"],
    ["lets a token decide on a private channel", "$news", {}, {}, "t", "askToken"],
    ["lets a token decide on a user-limited channel", "news#42", limited, {}, "t", "askToken"],
    ["refuses a private channel without a token", "$news", {}, {}, "", 103],
    ["refuses a private channel without a token if it is open", "$news", open, {}, "", 103],
    ["refuses a private channel without a token to insecure clients", "$news", {}, insecure, "", 103],
    ["refuses a private channel without a token to its own user", "$news#42", limited, {}, "", 103],
    ["refuses a private channel without a token and doesn't ask the application", "$news", proxied, {}, "", 103],
    ["lets the user of a user-limited channel in", "news#41,42", limited, {}, "", "granted"],
    ["lets the user in and doesn't ask the application", "news#42", { ...limited, ...proxied }, {}, "", "granted"],
    ["refuses other users, even on open channels", "news#43", { ...limited, ...open }, {}, "", 103],
    ["refuses other users and doesn't ask the application", "news#43", { ...limited, ...proxied }, {}, "", 103],
    ["refuses a user whose id only begins alike", "news#421", limited, {}, "", 103],
    ["lets insecure clients into user-limited channels", "news#43", limited, insecure, "", "granted"],
    ["refuses anonymous clients even if an id is empty", "news#", limited, anonymous, "", 103],
    ["takes # as a letter where no channel is user-limited", "news#43", open, {}, "", "granted"],
    ["asks the application", "news", proxied, {}, "", "askBackend"],
    ["asks the application before it looks at options", "news", { ...proxied, ...open }, {}, "", "askBackend"],
    ["asks the application for anonymous clients", "news", proxied, anonymous, "", "askBackend"],
    ["asks the application for insecure clients", "news", proxied, insecure, "", "askBackend"],
    ["lets clients into open channels", "news", open, {}, "", "granted"],
    ["refuses anonymous clients on open channels", "news", open, anonymous, "", 103],
    [
      "lets anonymous clients in where the channel says so",
      "news",
      { ...open, allowSubscribeForAnonymous: true },
      anonymous,
      "",
      "granted",
    ],
    [
      "refuses where only the rule for anonymous clients is set",
      "news",
      { allowSubscribeForAnonymous: true },
      {},
      "",
      103,
    ],
    ["lets insecure clients in", "news", {}, { ...insecure, ...anonymous }, "", "granted"],
  ];
  it.each(rows)("%s", (_, name, options, client, token, expected) => {
    expect(word(maySubscribe(channelWith(options, name), who(client), token))).toBe(expected);
  });
});

describe("mayPublish", () => {
  it("asks the application, which alone decides", () => {
    const channel = channelWith({ publishProxyEnabled: true, allowPublishForClient: true });
    expect(word(mayPublish(channel, who()))).toBe("askBackend");
    expect(word(mayPublish(channel, who({ insecure: true })))).toBe("askBackend");
  });
});

const ACCESS = [
  {
    check: "mayPublish",
    may: mayPublish,
    on: {},
    client: { allowPublishForClient: true },
    subscriber: { allowPublishForSubscriber: true },
    anonymousToo: { allowPublishForAnonymous: true },
  },
  {
    check: "mayHistory",
    may: mayHistory,
    on: { historySize: 1 },
    client: { allowHistoryForClient: true },
    subscriber: { allowHistoryForSubscriber: true },
    anonymousToo: { allowHistoryForAnonymous: true },
  },
  {
    check: "mayPresence",
    may: mayPresence,
    on: { presence: true },
    client: { allowPresenceForClient: true },
    subscriber: { allowPresenceForSubscriber: true },
    anonymousToo: { allowPresenceForAnonymous: true },
  },
];

describe.each(ACCESS)("$check", ({ may, on, client, subscriber, anonymousToo }) => {
  const rows: [string, Partial<ChannelOptions>, Partial<Who>, string | number][] = [
    ["refuses by default", {}, {}, 103],
    ["refuses subscribers by default", {}, subscribed, 103],
    ["allows clients", client, {}, "granted"],
    ["refuses anonymous clients", client, anonymous, 103],
    ["allows anonymous clients", { ...client, ...anonymousToo }, anonymous, "granted"],
    ["allows subscribers", subscriber, subscribed, "granted"],
    ["refuses clients that aren't subscribed", subscriber, {}, 103],
    ["refuses anonymous subscribers", subscriber, { ...subscribed, ...anonymous }, 103],
    ["allows anonymous subscribers", { ...subscriber, ...anonymousToo }, { ...subscribed, ...anonymous }, "granted"],
    ["refuses where only the rule for anonymous clients is set", anonymousToo, { ...subscribed, ...anonymous }, 103],
    ["allows insecure clients", {}, { ...insecure, ...anonymous }, "granted"],
  ];
  it.each(rows)("%s", (_, options, client, expected) => {
    expect(word(may(channelWith({ ...on, ...options }), who(client)))).toBe(expected);
  });
});

describe("a feature that is off", () => {
  it("is not available, whatever the permissions", () => {
    const insecureClient = who({ insecure: true });
    expect(word(mayHistory(channelWith({ allowHistoryForClient: true }), insecureClient))).toBe(108);
    expect(word(mayHistory(channelWith({ historySize: 1, historyTtlMs: 0 }), insecureClient))).toBe(108);
    expect(word(mayPresence(channelWith({ allowPresenceForClient: true }), insecureClient))).toBe(108);
    expect(word(mayPresence(channelWith({ joinLeave: true, allowPresenceForClient: true }), insecureClient))).toBe(108);
  });
});
