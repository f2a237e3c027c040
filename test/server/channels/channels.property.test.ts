import fc from "fast-check";
import { it } from "vitest";
import { checkTopic } from "../../../src/runtime/bus/topic-index.ts";
import { checkTopics, TopicRules } from "../../../src/runtime/streams/topic-rules.ts";
import { hasHistory } from "../../../src/server/channels/channel-options.ts";
import { Channels } from "../../../src/server/channels/channels.ts";
import { topicsOf } from "../../../src/server/channels/topics.ts";
import { codePoint } from "../../support/code-points.ts";
import { channelsConfig } from "./channels-config.ts";

const options = fc.record({
  historySize: fc.constantFrom(0, 1, 10),
  presence: fc.boolean(),
  joinLeave: fc.boolean(),
  allowUserLimitedChannels: fc.boolean(),
  channelRegex: fc.constantFrom("", ".", "^[a-c:]*$"),
});
const configs = fc
  .record({ "": options }, { requiredKeys: [] })
  .chain((bare) =>
    fc
      .dictionary(fc.constantFrom("a", "b", "ab", "a.b", "a-b"), options)
      .map((spaces) => channelsConfig({ ...spaces, ...bare })),
  );
const names = fc.oneof(
  fc.string({ unit: fc.constantFrom("a", "b", ":", "$", "#", ",", "*", ".", "-", "é") }),
  fc.string({ unit: codePoint, maxLength: 300 }),
);

it("gives each known channel a topic that has what its options say", () => {
  fc.assert(
    fc.property(configs, fc.array(names, { minLength: 1, maxLength: 20 }), (config, tried) => {
      const channels = new Channels(config);
      const rules = new TopicRules(checkTopics("Switchboard.start", topicsOf(config)));
      return tried.every((name) => {
        const found = channels.of(name);
        if (found.kind !== "known") return true;
        checkTopic(name);
        const rule = rules.of(name);
        const { presence, joinLeave } = found.channel.options;
        return (
          (rule?.history !== undefined) === hasHistory(found.channel.options) &&
          rule?.history?.size === (hasHistory(found.channel.options) ? found.channel.options.historySize : undefined) &&
          (rule?.presence !== undefined) === (presence || joinLeave) &&
          (rule?.presence?.changes ?? false) === joinLeave
        );
      });
    }),
    { numRuns: 500 },
  );
});
