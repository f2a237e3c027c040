import { describe, expect, it } from "vitest";
import type { ChannelOptions } from "../../../src/server/channels/channel-options.ts";
import type { Who } from "../../../src/server/channels/permissions.ts";
import {
  NO_WISHES,
  type SubscriptionOverride,
  type SubscriptionWishes,
  subscriptionRights,
} from "../../../src/server/channels/subscription-rights.ts";
import { channelWith } from "./channels-config.ts";

const WHO: Who = { user: "42", isSubscribed: false, insecure: false };
const ALL: SubscriptionWishes = { positioned: true, recoverable: true, join_leave: true, delta: "fossil" };
const history = { historySize: 10 };

function rights(
  options: Partial<ChannelOptions>,
  wishes: Partial<SubscriptionWishes> = {},
  override?: SubscriptionOverride,
  who: Partial<Who> = {},
) {
  return subscriptionRights(channelWith(options), { ...NO_WISHES, ...wishes }, override, { ...WHO, ...who });
}

describe("subscriptionRights", () => {
  it("gives nothing by default, whatever the wishes", () => {
    const nothing = {
      positioned: false,
      recoverable: false,
      recoveryMode: "stream",
      autoCacheRecover: false,
      presence: false,
      joinLeave: false,
      pushJoinLeave: false,
      delta: undefined,
    };
    expect(rights({}, ALL)).toEqual(nothing);
    expect(rights({ ...history, presence: true, joinLeave: true }, ALL)).toEqual({
      ...nothing,
      presence: true,
      joinLeave: true,
    });
  });

  it.each([
    ["is forced", { forceRecovery: true }, {}, {}],
    ["is allowed and wished for", { allowRecovery: true }, { recoverable: true }, {}],
    ["is wished for by a client that may read history", { allowHistoryForClient: true }, { recoverable: true }, {}],
    ["is wished for by what will be a subscriber", { allowHistoryForSubscriber: true }, { recoverable: true }, {}],
    ["is wished for by an insecure client", {}, { recoverable: true }, { insecure: true }],
  ])("makes the subscription recoverable and positioned if recovery %s", (_, options, wishes, who) => {
    const { positioned, recoverable } = rights({ ...history, ...options }, wishes, undefined, who);
    expect({ positioned, recoverable }).toEqual({ positioned: true, recoverable: true });
  });

  it.each([
    ["is forced", { forcePositioning: true }, {}],
    ["is allowed and wished for", { allowPositioning: true }, { positioned: true }],
    ["is wished for by a client that may read history", { allowHistoryForClient: true }, { positioned: true }],
  ])("makes the subscription only positioned if positioning %s", (_, options, wishes) => {
    const { positioned, recoverable } = rights({ ...history, ...options }, wishes);
    expect({ positioned, recoverable }).toEqual({ positioned: true, recoverable: false });
  });

  it("takes neither from the permission for the other", () => {
    expect(rights({ ...history, allowRecovery: true }, { positioned: true }).positioned).toBe(false);
    expect(rights({ ...history, allowPositioning: true }, ALL).recoverable).toBe(false);
  });

  it("needs history for positions and recovery", () => {
    const forced = { forceRecovery: true, forcePositioning: true };
    expect(rights(forced, ALL, { forceRecovery: true })).toMatchObject({ positioned: false, recoverable: false });
  });

  it("switches by an override, both ways", () => {
    expect(rights(history, {}, { forceRecovery: true })).toMatchObject({ positioned: true, recoverable: true });
    expect(rights(history, {}, { forcePositioning: true })).toMatchObject({ positioned: true, recoverable: false });
    expect(rights({ ...history, forceRecovery: true }, {}, { forceRecovery: false })).toMatchObject({
      positioned: false,
      recoverable: false,
    });
    const shown = { presence: true, joinLeave: true };
    expect(rights(shown, {}, { presence: false, joinLeave: false })).toMatchObject({
      presence: false,
      joinLeave: false,
    });
    expect(rights(shown, {}, { forcePushJoinLeave: true }).pushJoinLeave).toBe(true);
    expect(rights({ ...shown, forcePushJoinLeave: true }, {}, { forcePushJoinLeave: false }).pushJoinLeave).toBe(false);
  });

  it("switches nothing on by an override that the topics of the namespace don't have", () => {
    const override = { presence: true, joinLeave: true, forcePushJoinLeave: true };
    expect(rights({}, {}, override)).toMatchObject({ presence: false, joinLeave: false, pushJoinLeave: false });
  });

  it("pushes joins and leaves if that is forced, or wished for by who may see presence", () => {
    const shown = { presence: true, joinLeave: true };
    expect(rights({ ...shown, forcePushJoinLeave: true }).pushJoinLeave).toBe(true);
    expect(rights({ ...shown, allowPresenceForSubscriber: true }).pushJoinLeave).toBe(false);
    expect(rights({ ...shown, allowPresenceForSubscriber: true }, ALL).pushJoinLeave).toBe(true);
    expect(rights({ ...shown, allowPresenceForSubscriber: true }, ALL, undefined, { user: "" }).pushJoinLeave).toBe(
      false,
    );
    expect(rights({ presence: true, allowPresenceForClient: true }, ALL).pushJoinLeave).toBe(false);
  });

  it("agrees on deltas only if positioned, and only on a format that is allowed", () => {
    const deltas = { ...history, allowRecovery: true, allowedDeltaTypes: ["fossil"] as const };
    expect(rights(deltas, ALL).delta).toBe("fossil");
    expect(rights(deltas, { delta: "fossil" }).delta).toBeUndefined();
    expect(rights(deltas, { ...ALL, delta: "vcdiff" }).delta).toBeUndefined();
    expect(rights({ ...history, allowRecovery: true }, ALL).delta).toBeUndefined();
  });

  it("recovers from the cache unasked only in cache mode", () => {
    const cached = { ...history, forceRecovery: true, autoCacheRecover: true } as const;
    expect(rights({ ...cached, forceRecoveryMode: "cache" })).toMatchObject({
      recoveryMode: "cache",
      autoCacheRecover: true,
    });
    expect(rights(cached)).toMatchObject({ recoveryMode: "stream", autoCacheRecover: false });
    expect(rights({ ...cached, forceRecoveryMode: "cache", forceRecovery: false }).autoCacheRecover).toBe(false);
  });
});
