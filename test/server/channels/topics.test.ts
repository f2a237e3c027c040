import { describe, expect, it } from "vitest";
import { checkTopics, TopicRules } from "../../../src/runtime/streams/topic-rules.ts";
import type { ChannelsConfig } from "../../../src/server/channels/channel-options.ts";
import { topicsOf } from "../../../src/server/channels/topics.ts";
import { channelsConfig } from "./channels-config.ts";

/** The rules as a board compiles them. */
function rulesOf(config: ChannelsConfig): TopicRules {
  return new TopicRules(checkTopics("Switchboard.start", topicsOf(config)));
}

describe("topicsOf", () => {
  it("has nothing where no channel has anything", () => {
    expect(topicsOf(channelsConfig({ chat: {} }))).toEqual({});
  });

  it("makes streams of channels with history, and presence of those with presence or joins", () => {
    const rules = rulesOf(
      channelsConfig({
        "": { historySize: 5, historyTtlMs: 1_000, historyMetaTtlMs: 70_000 },
        chat: { presence: true, leaveGraceMs: 2_000 },
        game: { joinLeave: true, historySize: 1, historyTtlMs: 1_000 },
      }),
    );
    expect(rules.of("news")).toMatchObject({
      history: { size: 5, ttlMs: 1_000, metaTtlMs: 70_000 },
      presence: undefined,
    });
    expect(rules.of("$news")?.pattern).toBe("*");
    for (const name of ["chat:42", "$chat:42", "chat:"]) {
      expect(rules.of(name)).toMatchObject({ history: undefined, presence: { leaveGraceMs: 2_000, changes: false } });
    }
    expect(rules.of("$game:1")).toMatchObject({ history: { size: 1 }, presence: { changes: true } });
  });

  it("gives a namespace nothing of what channels without one have", () => {
    const rules = rulesOf(channelsConfig({ "": { historySize: 5 }, bare: {} }));
    expect(rules.of("bare:1")).toBeUndefined();
    expect(rules.of("$bare:1")).toBeUndefined();
    expect(rules.of("bare")?.pattern).toBe("*");
    expect(rules.of(":bare")?.pattern).toBe("*");
  });

  it("hides no namespace behind one whose name begins alike", () => {
    const rules = rulesOf(channelsConfig({ a: { historySize: 1 }, ab: { historySize: 2 }, b: { historySize: 3 } }));
    expect(["a:b:1", "ab:1", "b:a:1"].map((name) => rules.of(name)?.history?.size)).toEqual([1, 2, 3]);
  });

  it("keeps the epoch as long as a timer can, and at least as long as the history", () => {
    const meta = (historyMetaTtlMs: number) =>
      rulesOf(channelsConfig({ "": { historySize: 1, historyTtlMs: 100_000, historyMetaTtlMs } })).of("a")?.history
        ?.metaTtlMs;
    expect(meta(30 * 86_400_000)).toBe(2 ** 31 - 1);
    expect(meta(1_000)).toBe(100_000);
  });
});
