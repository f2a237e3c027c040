import { describe, expect, it, vi } from "vitest";
import { startBoard } from "../../support/board.ts";
import { text } from "../../support/frames.ts";
import { RawClient } from "../../support/raw-client.ts";

const REFUSED = "ERR_TOO_MANY_SUBSCRIPTIONS";

async function tell(client: RawClient, what: string): Promise<string> {
  client.write(text(what));
  return client.text();
}

it("refuses topics beyond the limit of a connection, and counts that", async () => {
  const { board, port } = await startBoard({ actor: "subscribing", maxSubscriptions: 2 });
  const client = await RawClient.open({ port });
  expect([await tell(client, "+a"), await tell(client, "+b"), await tell(client, "+c")]).toEqual(["1", "2", REFUSED]);
  await vi.waitFor(() => expect(board.stats().shards[0]).toMatchObject({ subscriptionsRefused: 1, connections: 1 }));
});

it("accepts another topic for one that was left, and the same topic again at any time", async () => {
  const { port } = await startBoard({ actor: "subscribing", maxSubscriptions: 2 });
  const client = await RawClient.open({ port });
  const said = [];
  for (const what of ["+a", "+b", "+b", "+a", "-a", "-z", "+c", "+a"]) said.push(await tell(client, what));
  expect(said).toEqual(["1", "2", "2", "2", "1", "1", "2", REFUSED]);
});

it("doesn't count subscriptions that were refused for another reason", async () => {
  const { port } = await startBoard({ actor: "subscribing", maxSubscriptions: 1 });
  const client = await RawClient.open({ port });
  expect(await tell(client, "+")).not.toBe(REFUSED);
  expect(await tell(client, "+a")).toBe("1");
});

it("gives each connection its own limit of topics, 1,024 by default", async () => {
  const { port } = await startBoard({ actor: "subscribing" });
  for (let connection = 0; connection < 2; connection++) {
    const client = await RawClient.open({ port });
    const many = Array.from({ length: 1025 }, (_, i) => text(`+${i}`));
    client.write(Buffer.concat(many));
    for (let i = 1; i <= 1024; i++) expect(await client.text()).toBe(String(i));
    expect(await client.text()).toBe(REFUSED);
  }
});

it("closes with 1011 when the actor doesn't catch the error, even if it doesn't await the promise", async () => {
  const { board, port } = await startBoard({ actor: "scripted", maxSubscriptions: 1 });
  const failed = vi.fn<(failure: { readonly error: Error }) => void>();
  board.on("actorFailed", failed);
  const client = await RawClient.open({ port });
  for (const topic of ["a", "b"]) client.write(text(JSON.stringify({ do: "subscribe", topic })));
  expect(await client.text()).toBe("subscribed a");
  expect(await client.closeFrame()).toMatchObject({ code: 1011 });
  await vi.waitFor(() => expect(failed.mock.calls[0]?.[0].error).toMatchObject({ code: REFUSED }));
});

describe.each(["plain", "kept", "present"])("encode on the topic %s", (topic) => {
  const topics = { kept: { history: { size: 10 } }, present: { presence: true } };

  async function open(count: number) {
    const { board, port } = await startBoard({ actor: "encoding", topics, shards: 2, attach: { path: "/:topic" } });
    const clients: RawClient[] = [];
    for (let i = 0; i < count; i++) {
      const client = await RawClient.open({ port, path: `/${topic}` });
      expect(await client.text()).toBe("subscribed");
      clients.push(client);
    }
    return { board, clients };
  }

  it("says what peers on every shard get, and leaves out what it returns undefined for", async () => {
    const { clients } = await open(4);
    for (const said of ["a", "secret", "b"]) clients[0]?.write(text(said));
    const offsets = topic === "kept" ? [1, 3] : [0, 0];
    for (const client of clients) {
      expect([await client.text(), await client.text()]).toEqual([
        `${topic} ${offsets[0]} A`,
        `${topic} ${offsets[1]} B`,
      ]);
    }
  });

  it("isn't called for a connection that has left", async () => {
    const { board, clients } = await open(2);
    clients[0]?.write(text("leave"));
    const reaches = (): Promise<number> =>
      Promise.resolve(board.publish(topic, "probe")).then(({ stored, remote }) => stored?.then(() => 1) ?? remote);
    await reaches();
    clients[1]?.write(text("a"));
    await vi.waitFor(async () => expect(await clients[1]?.text()).toContain(" A"));
    clients[0]?.write(text("last"));
    await vi.waitFor(async () => expect(await clients[1]?.text()).toContain(" LAST"));
  });

  it("and deliverAfter: what is published waits for the promise, in order", async () => {
    const { board, port } = await startBoard({ actor: "encoding", topics, shards: 2, attach: { path: "/:topic" } });
    const held = await RawClient.open({ port, path: `/${topic}?held` });
    const others = [
      await RawClient.open({ port, path: `/${topic}` }),
      await RawClient.open({ port, path: `/${topic}` }),
    ];
    for (const client of [held, ...others]) expect(await client.text()).toBe("subscribed");
    board.publish(topic, "a");
    board.publish(topic, "b");
    for (const client of others) expect([await client.text(), await client.text()]).toHaveLength(2);
    held.write(text("deliver"));
    expect(await held.text()).toBe("now");
    expect([await held.text(), await held.text()].map((said) => said.at(-1))).toEqual(["A", "B"]);
    board.publish(topic, "c");
    expect(await held.text()).toMatch(/C$/);
    held.write(text("leave"));
  });

  it("ends the connections whose function throws with 1011", async () => {
    const { board, clients } = await open(2);
    const failed: string[] = [];
    board.on("actorFailed", ({ handler }) => failed.push(handler));
    clients[0]?.write(text("broken"));
    for (const client of clients) expect(await client.closeFrame()).toMatchObject({ code: 1011 });
    await vi.waitFor(() => expect(failed).toEqual(["encode", "encode"]));
  });
});
