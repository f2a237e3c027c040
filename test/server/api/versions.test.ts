import { expect, it } from "vitest";
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
