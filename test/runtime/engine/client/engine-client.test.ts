import { expect, it } from "vitest";
import { MAX_NUMBERED_TOPICS } from "../../../../src/runtime/engine/messages.ts";
import { RecordingFeed, span, startHost, text, textOf, until } from "../host.ts";

it("publishes get the offsets of their order, and reach the feeds of all clients in that order", async () => {
  const { connect } = await startHost();
  const [one, other] = [connect().client, connect().client];
  const [feed, otherFeed] = [new RecordingFeed(), new RecordingFeed()];
  const top = await one.want("s", feed, { presence: false });
  expect(await other.want("s", otherFeed, { presence: false })).toEqual(top);
  const texts = span(1, 1000).map(String);
  const published = await Promise.all(texts.map((each) => one.publish("s", text(each))));
  expect(published.map(({ position }) => position)).toEqual(
    span(1, 1000).map((offset) => ({ epoch: top?.epoch, offset })),
  );
  expect(published.every(({ duplicate }) => !duplicate)).toBe(true);
  await until(() => feed.texts.length === 1000 && otherFeed.texts.length === 1000);
  for (const each of [feed, otherFeed]) {
    expect(each.texts).toEqual(texts);
    expect(each.offsets).toEqual(span(1, 1000));
    expect(new Set(each.publications.map(({ epoch }) => epoch))).toEqual(new Set([top?.epoch]));
  }
});

it("calls keep their order among publishes", async () => {
  const { connect } = await startHost();
  const { client } = connect();
  const results = await Promise.all([
    client.publish("s", text("a")),
    client.publish("s", text("b"), { idempotencyKey: "key" }),
    client.history("s", { limit: 10 }),
    client.publish("s", text("c")),
    client.publish("s", text("never"), { idempotencyKey: "key" }),
    client.removeHistory("s"),
    client.history("s", { limit: 10 }),
    client.publish("s", text("d")),
  ]);
  const [a, b, history, c, again, , empty, d] = results;
  expect([a, b, c, again, d].map(({ position }) => position.offset)).toEqual([1, 2, 3, 2, 4]);
  expect(again.duplicate).toBe(true);
  expect(history.records.map(({ frame }) => textOf(frame))).toEqual(["a", "b"]);
  expect(history.top).toEqual(b.position);
  expect(empty).toEqual({ top: c.position, records: [] });
});

it("a want tells the top before anything that is published later, and nothing from before", async () => {
  const { connect } = await startHost();
  const { client } = connect();
  const feed = new RecordingFeed();
  void client.publish("s", text("before"));
  const wanted = client.want("s", feed, { presence: false });
  void client.publish("s", text("after"));
  const top = await wanted;
  await client.publish("s", text("last"));
  await until(() => feed.texts.includes("last"));
  expect(feed.tops).toEqual([top]);
  // The publish right after the want is before the top or after it, and in one of both.
  expect(feed.offsets).toEqual(span((top?.offset ?? 0) + 1, 3));
  expect(top?.offset).toBeLessThanOrEqual(2);
});

it("after unwant nothing arrives, and a topic can be wanted again", async () => {
  const { connect, host } = await startHost();
  const { client } = connect();
  const [first, second] = [new RecordingFeed(), new RecordingFeed()];
  await client.want("s", first, { presence: false });
  client.unwant("s");
  await client.publish("s", text("unheard"));
  expect(host.gauges()).toMatchObject({ wanted_topics: 0 });
  expect((await client.want("s", second, { presence: false }))?.offset).toBe(1);
  await client.publish("s", text("heard"));
  await until(() => second.texts.length === 1);
  expect(first.texts).toEqual([]);
  expect(second.texts).toEqual(["heard"]);
});

it("topics without history or presence are refused by a code, and wanted all the same", async () => {
  const { connect } = await startHost();
  const { client } = connect();
  await expect(client.publish("x", text("a"))).rejects.toMatchObject({ code: "ERR_NO_HISTORY", kind: "misuse" });
  await expect(client.publish("x", text("a"), { expiresMs: 1 })).rejects.toMatchObject({ code: "ERR_NO_HISTORY" });
  await expect(client.readSince("x", 0)).rejects.toMatchObject({ code: "ERR_NO_HISTORY" });
  await expect(client.members("s", 1)).rejects.toMatchObject({ code: "ERR_NO_PRESENCE" });
  expect(await client.want("x", new RecordingFeed(), { presence: false })).toBeUndefined();
});

it("numbers of topics begin anew after the last one, without mixing topics up", async () => {
  const { connect } = await startHost();
  const { client } = connect();
  const names = span(0, MAX_NUMBERED_TOPICS + 10).map((index) => `s${index}`);
  for (let begin = 0; begin < names.length; begin += 10_000) {
    const part = names.slice(begin, begin + 10_000);
    await Promise.all(part.map((name) => client.publish(name, text(name))));
  }
  // The first name had the number 0, which another topic has by now.
  const again = await client.publish("s0", text("again"));
  expect(again.position.offset).toBe(2);
  for (const name of ["s0", "s10", `s${MAX_NUMBERED_TOPICS}`, names.at(-1) ?? ""]) {
    const { records } = await client.history(name, { limit: 1 });
    expect(records.map(({ frame }) => textOf(frame))).toEqual([name]);
  }
});

it("frames of deliveries lie in the memory of their batch", async () => {
  const { connect } = await startHost();
  const { client } = connect();
  const blocks = new Set<Buffer>();
  const feed = new RecordingFeed();
  feed.published = ({ frame }) => void blocks.add(frame.block);
  await client.want("s", feed, { presence: false });
  await Promise.all(span(1, 100).map(() => client.publish("s", text("x"))));
  await until(() => blocks.size > 0);
  expect(blocks.size).toBe(1);
});

it("a large history arrives whole", async () => {
  const { connect } = await startHost();
  const { client } = connect();
  const long = "x".repeat(100_000);
  await Promise.all(span(1, 50).map(() => client.publish("s", text(long))));
  const { records } = await client.history("s", { limit: 100 });
  expect(records.map(({ offset }) => offset)).toEqual(span(1, 50));
  expect(records.every(({ frame }) => textOf(frame) === long)).toBe(true);
  const newest = await client.history("s", { limit: 2, reverse: true });
  expect(newest.records.map(({ offset }) => offset)).toEqual([50, 49]);
});
