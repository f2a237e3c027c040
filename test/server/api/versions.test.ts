import { expect, it, onTestFinished, vi } from "vitest";
import { Versions } from "../../../src/server/api/versions.ts";

it("publishes only what is newer than all before, by channel and epoch", () => {
  const versions = new Versions();
  let count = 0;
  const publish = (channel: string, version: number, epoch = "") =>
    versions.publish(channel, BigInt(version), epoch, () => `${++count}`);
  expect([publish("a", 5), publish("a", 5), publish("a", 4), publish("a", 6)]).toEqual(["1", "1", "1", "2"]);
  expect([publish("b", 1), publish("a", 1, "next"), publish("a", 6)]).toEqual(["3", "4", "5"]);
});

it("doesn't count a publication that fails", async () => {
  const versions = new Versions();
  const failing = versions.publish("a", 2n, "", () => Promise.reject(new Error("down")));
  await expect(failing).rejects.toThrow("down");
  expect(versions.publish("a", 1n, "", () => "published")).toBe("published");
  expect(() =>
    versions.publish("a", 2n, "", () => {
      throw new Error("refused");
    }),
  ).toThrow("refused");
  expect(versions.publish("a", 2n, "", () => "again")).toBe("again");
});

it("forgets the channel that was published to longest ago", () => {
  const versions = new Versions(2);
  const publish = (channel: string) => versions.publish(channel, 1n, "", () => "new");
  versions.publish("a", 1n, "", () => "old");
  versions.publish("b", 1n, "", () => "old");
  versions.publish("a", 2n, "", () => "older");
  expect([publish("c"), publish("a"), publish("b")]).toEqual(["new", "older", "new"]);
});

it("knows only versions whose publications have succeeded, for another process", async () => {
  const versions = new Versions();
  const under = Promise.withResolvers<string>();
  const failing = Promise.withResolvers<string>();
  const publish = (channel: string, version: bigint, result: string | Promise<string>) =>
    versions.publish(channel, version, "e", () => result);
  publish("a", 1n, "one");
  publish("a", 2n, under.promise);
  const failed = publish("a", 3n, failing.promise);
  publish("b", 1n, new Promise(() => {}));
  const known = () => Array.from(versions.all(), ({ channel, version, result }) => [channel, version, result]);
  expect(known()).toEqual([["a", 1n, "one"]]);
  under.resolve("two");
  await under.promise;
  expect(known()).toEqual([["a", 2n, "two"]]);
  failing.reject(new Error("down"));
  await expect(failed).rejects.toThrow("down");
  expect(known()).toEqual([["a", 2n, "two"]]);
  expect(publish("a", 2n, "again")).toBe("two");
});

it("waits for the results of publications under way, up to a limit", async () => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const versions = new Versions();
  await versions.settled(100);
  const under = Promise.withResolvers<string>();
  void versions.publish("a", 1n, "", () => under.promise);
  const isOver = vi.fn();
  const first = versions.settled(100).then(isOver);
  await vi.advanceTimersByTimeAsync(99);
  expect(isOver).not.toHaveBeenCalled();
  under.resolve("one");
  await first;
  expect(vi.getTimerCount()).toBe(0);
  void versions.publish("a", 2n, "", () => new Promise(() => {}));
  const second = versions.settled(100);
  await vi.advanceTimersByTimeAsync(100);
  await second;
});

it("goes on with the versions of another process, in their order", () => {
  const versions = new Versions(2);
  const known = ["a", "b"].map((channel) => ({ channel, version: 5n, versionEpoch: "e", result: `${channel}5` }));
  for (const one of known) versions.put(one);
  expect([...versions.all()]).toEqual(known);
  const publish = (channel: string, version: bigint) => versions.publish(channel, version, "e", () => "new");
  expect([publish("a", 4n), publish("a", 5n), publish("a", 6n), publish("c", 1n)]).toEqual(["a5", "a5", "new", "new"]);
  expect(publish("b", 5n)).toBe("new");
});
