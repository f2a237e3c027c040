import { expect, it } from "vitest";
import { SwitchboardError } from "../../../src/errors.ts";
import { checkTopic, TopicIndex } from "../../../src/runtime/bus/topic-index.ts";

const emoji = "😀"; // 4 bytes, 2 UTF-16 units
const kanji = "界"; // 3 bytes, 1 UTF-16 unit

it.each([
  { name: "1 byte", topic: "a" },
  { name: "85 units of 3 bytes, 255 in all", topic: kanji.repeat(85) },
  { name: "254 bytes", topic: "a".repeat(254) },
  { name: "255 bytes", topic: "a".repeat(255) },
  { name: "255 bytes, the last ones a 4-byte character", topic: "a".repeat(251) + emoji },
  { name: "one character of 4 bytes", topic: emoji },
  { name: "a control character", topic: "\0" },
])("accepts a topic of $name", ({ topic }) => {
  expect(() => checkTopic(topic)).not.toThrow();
});

it.each([
  { name: "no bytes", topic: "", got: "one of 0 bytes" },
  { name: "256 bytes", topic: "a".repeat(256), got: "one of 256 bytes" },
  { name: "86 units of 3 bytes, 258 in all", topic: kanji.repeat(86), got: "one of 258 bytes" },
  { name: "252 bytes and a character of 4 bytes, 256 in all", topic: "a".repeat(252) + emoji, got: "one of 256 bytes" },
  { name: "many bytes", topic: "a".repeat(100_000), got: "one of 100000 bytes" },
  { name: "the first half of a surrogate pair", topic: "a\ud800", got: "one with half of a surrogate pair" },
  { name: "the second half of a surrogate pair", topic: "\udc00a", got: "one with half of a surrogate pair" },
  { name: "a number", topic: 1, got: "number" },
  { name: "undefined", topic: undefined, got: "undefined" },
  { name: "null", topic: null, got: "object" },
  { name: "bytes", topic: Buffer.from("a"), got: "object" },
])("refuses a topic of $name", ({ topic, got }) => {
  expect(() => checkTopic(topic)).toThrow(SwitchboardError);
  expect(() => checkTopic(topic)).toThrow(
    expect.objectContaining({
      kind: "misuse",
      code: "ERR_TOPIC",
      message: `a topic is a string of 1 to 255 bytes, got ${got}`,
    }),
  );
});

it("returns the same topic for the same name, and finds it by its number while it has subscribers here", () => {
  const index = new TopicIndex<string>();
  const news = index.getOrCreate("news");
  const sport = index.getOrCreate("sport");
  expect(index.getOrCreate("news")).toBe(news);
  expect(index.get("news")).toBe(news);
  expect(index.getById(news.id)).toBeUndefined();
  const [one, two] = [{ deliver: () => "sent" as const }, { deliver: () => "sent" as const }];
  for (let round = 0; round < 2; round++) {
    expect(index.addSubscriber(news, one)).toBe(true);
    expect(index.addSubscriber(news, two)).toBe(false);
    expect(index.deleteSubscriber(news, one)).toBe(false);
    expect(index.deleteSubscriber(news, one)).toBe(false);
    expect(index.getById(news.id)).toBe(news);
    expect(index.deleteSubscriber(news, two)).toBe(true);
    expect(index.getById(news.id)).toBeUndefined();
  }
  expect(index.getById(sport.id)).toBeUndefined();
  expect([...index.values()]).toEqual([news, sport]);
});

it("doesn't know topics that nobody asked for", () => {
  const index = new TopicIndex<string>();
  expect(index.get("news")).toBeUndefined();
  expect(index.getById(0)).toBeUndefined();
});

it("forgets a topic only when neither this thread nor another one subscribes to it", () => {
  const index = new TopicIndex<string>();
  const topic = index.getOrCreate("news");
  const subscriber = { deliver: () => "sent" as const };
  index.addSubscriber(topic, subscriber);
  index.prune(topic);
  expect(index.get("news")).toBe(topic);

  index.deleteSubscriber(topic, subscriber);
  topic.remotes = [{ link: "other thread", id: 5 }];
  index.prune(topic);
  expect(index.get("news")).toBe(topic);

  topic.remotes = [];
  index.prune(topic);
  expect(index.get("news")).toBeUndefined();
  expect(index.getById(topic.id)).toBeUndefined();
});

it("never reuses a number, so that a late publish can't reach another topic", () => {
  const index = new TopicIndex<string>();
  const numbers = new Set<number>();
  for (let i = 0; i < 100; i++) {
    const topic = index.getOrCreate(i % 2 === 0 ? "news" : "sport");
    numbers.add(topic.id);
    index.prune(topic);
  }
  expect(numbers.size).toBe(100);
});
