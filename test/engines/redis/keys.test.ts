/** The hash slots of keys, compared with those that a real server computes, and that one topic lies in one slot. */
import { expect, it } from "vitest";
import { Keys, slotOf } from "../../../src/engines/redis/keys.ts";
import { RedisServer } from "../../support/redis-server.ts";

const TOPICS = ["t", "room:1", "{", "}", "}{", "{}", "{a}", "a}b", "🦒", "é{ü}", "\0\n", "x".repeat(255)];

it("computes the slot that Redis computes, and one for all keys of a topic", async () => {
  const server = await RedisServer.start({ config: { "cluster-enabled": "yes", "cluster-port": "0" } }).catch(() =>
    RedisServer.start({ config: { "cluster-enabled": "yes" } }),
  );
  const keys = new Keys("prefix");
  for (const topic of TOPICS) {
    const { members, users, leaving, deadlines, channel } = keys.presence(topic);
    const { meta, list } = keys.topic(topic);
    const all = [
      meta,
      list,
      keys.idempotency(topic, "}{key"),
      keys.channel(topic),
      channel,
      members,
      users,
      leaving,
      deadlines,
    ];
    const slots = await Promise.all(all.map((key) => server.command("CLUSTER", "KEYSLOT", key)));
    expect(all.map(slotOf)).toEqual(slots);
    expect(new Set(slots).size).toBe(1);
  }
  for (const key of [
    "",
    "{}",
    "{}a",
    "a{}b",
    "foo{{bar}}zap",
    "{user1000}.following",
    keys.control(),
    keys.probe("n", 7),
  ]) {
    expect(slotOf(key)).toBe(await server.command("CLUSTER", "KEYSLOT", key));
  }
});
