import { beforeEach, expect, it, onTestFinished, vi } from "vitest";
import { PublishMemory } from "../../../src/server/api/publish-memory.ts";
import { packTexts, unpackTexts } from "../../../src/server/api/text-column.ts";

const FIVE_MINUTES_MS = 300_000;

beforeEach(() => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
});

/** Lets another memory take what one gives, as a copy. */
async function moved(from: PublishMemory): Promise<PublishMemory> {
  const to = new PublishMemory();
  to.take(structuredClone(await from.give()));
  return to;
}

const publish = (memory: PublishMemory, version: bigint, result = "new") =>
  memory.versions.publish("channel", version, "epoch", () => result);

it("gives keys with the time that is left, and newest versions with their results", async () => {
  const old = new PublishMemory();
  expect([old.isKnown("a", "key"), old.isKnown("a", "key"), old.isKnown("b", "key")]).toEqual([false, true, false]);
  expect(publish(old, 2n ** 64n - 2n, '{"offset":1,"epoch":"e"}')).toBe('{"offset":1,"epoch":"e"}');
  vi.advanceTimersByTime(FIVE_MINUTES_MS - 1_000);
  expect(old.isKnown("c", "later")).toBe(false);
  const next = await moved(old);
  expect([next.isKnown("a", "key"), next.isKnown("b", "key"), next.isKnown("c", "key")]).toEqual([true, true, false]);
  expect(publish(next, 2n ** 64n - 3n)).toBe('{"offset":1,"epoch":"e"}');
  expect(publish(next, 2n ** 64n - 1n)).toBe("new");
  vi.advanceTimersByTime(1_000);
  expect([next.isKnown("a", "key"), next.isKnown("c", "later")]).toEqual([false, true]);
});

it("gives no key whose time is over, and knows long ones again", async () => {
  const old = new PublishMemory();
  old.isKnown("a", "early");
  vi.advanceTimersByTime(FIVE_MINUTES_MS);
  const long = "x".repeat(1_000);
  old.isKnown("a", long);
  const next = await moved(old);
  expect([next.isKnown("a", long), next.isKnown("a", "early")]).toEqual([true, false]);
});

it("remembers nothing more once it was given, until the takeover has failed", async () => {
  const memory = new PublishMemory();
  memory.isKnown("a", "key");
  const given = memory.give();
  const refused = expect.objectContaining({ code: 100, message: expect.stringContaining("send the command again") });
  expect(() => memory.isKnown("a", "other")).toThrow(refused);
  expect(() => publish(memory, 1n)).toThrow(refused);
  await given;
  memory.goOn();
  expect([memory.isKnown("a", "key"), memory.isKnown("a", "other"), publish(memory, 1n)]).toEqual([true, false, "new"]);
});

it("leaves a version behind whose publication has no result in time", async () => {
  const old = new PublishMemory();
  void old.versions.publish("channel", 1n, "", () => new Promise(() => {}));
  const next = moved(old);
  await vi.advanceTimersByTimeAsync(100);
  expect((await next).versions.publish("channel", 1n, "", () => "again")).toBe("again");
});

it("gives the newest entries if all are too many bytes", async () => {
  // Room for three keys, and for two versions.
  const memory = new PublishMemory(3 * (20 + 2 * "1:ckey 0".length));
  for (let number = 0; number < 5; number++) {
    memory.isKnown("c", `key ${number}`);
    memory.versions.publish(`c ${number}`, 1n, "e", () => "x".repeat(12));
  }
  const { keys, versions } = await memory.give();
  expect(unpackTexts(keys.names)).toEqual(["1:ckey 2", "1:ckey 3", "1:ckey 4"]);
  expect(keys.leftMs).toHaveLength(3);
  expect(unpackTexts(versions.channels)).toEqual(["c 3", "c 4"]);
  expect(unpackTexts(versions.results)).toEqual(["x".repeat(12), "x".repeat(12)]);
});

it.each([0, 1, 999, 1_000, 1_001, 2_500])("packs %i texts, and unpacks them", (count) => {
  const texts = Array.from({ length: count }, (_, number) => (number % 3 === 0 ? "" : `ü😀${number}`));
  expect(unpackTexts(structuredClone(packTexts(texts)))).toEqual(texts);
});
