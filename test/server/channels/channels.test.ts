import { describe, expect, it } from "vitest";
import { Channels } from "../../../src/server/channels/channels.ts";
import { channelsConfig } from "./channels-config.ts";

const channels = new Channels(
  channelsConfig({
    "": { allowUserLimitedChannels: true },
    chat: { presence: true, allowUserLimitedChannels: true },
    room: { channelRegex: "^[a-zé]+$" },
    open: {},
  }),
);

function known(name: string) {
  const found = channels.of(name);
  if (found.kind !== "known") throw new Error(`${name} is ${found.kind}`);
  return found.channel;
}

describe("Channels", () => {
  it.each([
    { name: "news", namespace: "", rest: "news", isPrivate: false },
    { name: "$news", namespace: "", rest: "$news", isPrivate: true },
    { name: "chat:42", namespace: "chat", rest: "42", isPrivate: false },
    { name: "$chat:42", namespace: "chat", rest: "42", isPrivate: true },
    { name: "chat:a:b", namespace: "chat", rest: "a:b", isPrivate: false },
    { name: "chat:", namespace: "chat", rest: "", isPrivate: false },
    { name: ":news", namespace: "", rest: "news", isPrivate: false },
    { name: "$:news", namespace: "", rest: "news", isPrivate: true },
    { name: "$", namespace: "", rest: "$", isPrivate: true },
    { name: "chat$:42", unknown: true },
    { name: "$$chat:42", unknown: true },
    { name: "other:42", unknown: true },
    { name: "Chat:42", unknown: true },
    { name: "__proto__:42", unknown: true },
  ])("reads the name $name", ({ name, unknown, ...channel }) => {
    if (unknown) expect(channels.of(name)).toEqual({ kind: "unknown" });
    else expect(known(name)).toMatchObject({ name, ...channel });
  });

  it("gives the options of the namespace", () => {
    expect(known("chat:42").options.presence).toBe(true);
    expect(known("$chat:42").options.presence).toBe(true);
    expect(known("news").options.presence).toBe(false);
  });

  it.each([
    ["chat:dialog#42", ["42"]],
    ["chat:dialog#42,43", ["42", "43"]],
    ["#42", ["42"]],
    ["a#1#2", ["2"]],
    ["chat:dialog#", [""]],
    ["chat:dialog", undefined],
    ["open:dialog#42", undefined],
  ])("reads the users of %s", (name, users) => {
    expect(known(name).users).toEqual(users);
  });

  it.each([
    ["an empty name", ""],
    ["a name of 256 characters", "a".repeat(256)],
    ["a name of 128 characters and 256 bytes", "é".repeat(128)],
    ["257 bytes that a regular expression would take", `room:${"é".repeat(126)}`],
    ["a huge name", "a".repeat(1_000_000)],
    ["a name that isn't ASCII", "chat:é"],
    ["a namespace that has none", "é"],
    ["half of a surrogate pair", "chat:\ud800"],
    ["a name against the regular expression", "room:A"],
    ["nothing where the regular expression wants a character", "room:"],
  ])("refuses %s", (_, name) => {
    expect(channels.of(name)).toEqual({ kind: "malformed" });
  });

  it("takes a name of exactly the limit", () => {
    expect(known("a".repeat(255)).name).toHaveLength(255);
    const short = new Channels(channelsConfig({}, { maxLength: 3 }));
    expect([short.of("abc").kind, short.of("abcd").kind]).toEqual(["known", "malformed"]);
  });

  it("lets a regular expression alone decide about characters, but never takes half of a surrogate pair", () => {
    expect(known("room:é").rest).toBe("é");
    const any = new Channels(channelsConfig({ any: { channelRegex: "." } }));
    expect([any.of("any:é").kind, any.of("any:\ud800").kind]).toEqual(["known", "malformed"]);
  });

  it("remembers the channel, and forgets all before too many are remembered", () => {
    const first = channels.of("news");
    expect(channels.of("news")).toBe(first);
    for (let index = 0; index < 10_001; index++) channels.of(`chat:${index}`);
    expect(channels.of("news")).toEqual(first);
    expect(channels.of("news")).not.toBe(first);
  });

  it("throws for a channel_regex that isn't one, with the name of the namespace", () => {
    const broken = (name: string) => () => new Channels(channelsConfig({ [name]: { channelRegex: "(" } }));
    expect(broken("chat")).toThrow('channel_regex of the namespace "chat": not a regular expression: "("');
    expect(broken("")).toThrow("channel_regex of channels without a namespace");
  });
});
