/** Topics with history and presence, by the public API, on two shards. */
import { once } from "node:events";
import { describe, expect, it, vi } from "vitest";
import { WebSocket } from "ws";
import type { PresenceEvent, SlowConsumerPolicy, Stored, Switchboard } from "../../src/index.ts";
import { startBoard, type TestBoardOptions } from "../support/board.ts";
import { StreamClient } from "./support/stream-client.ts";

const TOPICS = {
  "room:*": { history: { size: 1_000 } },
  "short:*": { history: { size: 4 } },
  "price:*": { history: { size: 1 } },
  death: { history: { size: 1 } },
  "lounge:*": { history: { size: 10 }, presence: { leaveGraceMs: 0 } },
  "hall:*": { presence: { leaveGraceMs: 60_000 } },
};

function start(options: TestBoardOptions = {}): Promise<{ board: Switchboard; port: number }> {
  return startBoard({ actor: "remembering", shards: 2, topics: TOPICS, ...options });
}

/** Resolves at an event of a board. */
function event(board: Switchboard, name: string): Promise<unknown[]> {
  return once(board as unknown as NodeJS.EventEmitter, name);
}

async function publish(board: Switchboard, topic: string, ...texts: string[]): Promise<Stored[]> {
  const results = texts.map((text) => board.publish(topic, text).stored);
  return (await Promise.all(results)) as Stored[];
}

function numbers(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, i) => from + i);
}

describe("a client that comes back", () => {
  it("gets on the other shard what it missed, in order, and then what is published", async () => {
    const { board, port } = await start();
    const cut = await StreamClient.openOn(port, 0);
    await cut.subscribe("room:1");
    await publish(board, "room:1", "1", "2");
    await vi.waitFor(() => expect(cut.offsets).toEqual([1, 2]));
    const [{ epoch, offset } = { epoch: "", offset: 0 }] = cut.publications.slice(-1);
    cut.socket.terminate();
    await publish(board, "room:1", "3", "4", "5");

    const back = await StreamClient.openOn(port, 1);
    expect(await back.subscribe("room:1", { since: { epoch, offset } })).toEqual({
      wasRecovering: true,
      recovered: true,
      publications: [3, 4, 5].map((one) => ({ epoch, offset: one, text: String(one) })),
      position: { epoch, offset: 5 },
    });
    await publish(board, "room:1", "6");
    await vi.waitFor(() => expect(back.publications).toEqual([{ epoch, offset: 6, text: "6" }]));
  });

  it("is told when the history no longer has everything, and gets no part of it", async () => {
    const { board, port } = await start();
    const [first] = await publish(board, "short:1", ..."abcdef");
    const client = await StreamClient.open(port);
    const { epoch = "" } = first?.position ?? {};
    expect(await client.subscribe("short:1", { since: { epoch, offset: 1 } })).toEqual({
      wasRecovering: true,
      recovered: false,
      publications: [],
      position: { epoch, offset: 6 },
    });
    await publish(board, "short:1", "g");
    await vi.waitFor(() => expect(client.offsets).toEqual([7]));
  });

  it("gets every publication once while others are published", async () => {
    const { board, port } = await start();
    const [first] = await publish(board, "room:1", ...numbers(1, 50).map(String));
    const { epoch = "" } = first?.position ?? {};
    const clients = await Promise.all(numbers(1, 20).map(() => StreamClient.open(port)));
    const results = clients.map(async (client, i) => {
      for (let published = 0; published < 5; published++) board.publish("room:1", "meanwhile");
      const { recovered, publications } = await client.subscribe("room:1", { since: { epoch, offset: i } });
      expect(recovered).toBe(true);
      return publications.map(({ offset }) => offset);
    });
    const missed = await Promise.all(results);
    await publish(board, "room:1", "last");
    for (const [i, client] of clients.entries()) {
      await vi.waitFor(() => expect(client.publications.at(-1)?.text).toBe("last"));
      expect([...(missed[i] ?? []), ...client.offsets]).toEqual(numbers(i + 1, 151));
    }
  });

  it("gets theirs when it is one of a thousand that come back at once", async () => {
    const { board, port } = await start();
    const [first] = await publish(board, "room:1", ...numbers(1, 100).map(String));
    const { epoch = "" } = first?.position ?? {};
    const clients: StreamClient[] = [];
    for (let opened = 0; opened < 20; opened++) {
      clients.push(...(await Promise.all(numbers(1, 50).map(() => StreamClient.open(port)))));
    }
    const results = await Promise.all(
      clients.map((client, i) => client.subscribe("room:1", { since: { epoch, offset: i % 100 } })),
    );
    for (const [i, { recovered, publications }] of results.entries()) {
      expect(recovered).toBe(true);
      expect(publications.map(({ offset }) => offset)).toEqual(numbers((i % 100) + 1, 100));
    }
    await publish(board, "room:1", "to all");
    await vi.waitFor(() => {
      for (const { offsets } of clients) expect(offsets).toEqual([101]);
    });
  }, 120_000);
});

describe("a second subscription of a connection", () => {
  it("changes nothing without since, and takes the place of the first with since", async () => {
    const { board, port } = await start();
    const client = await StreamClient.open(port);
    await client.subscribe("room:1");
    const stored = await publish(board, "room:1", "1", "2");
    await vi.waitFor(() => expect(client.offsets).toEqual([1, 2]));
    const again = await client.subscribe("room:1");
    expect(again).toEqual({
      wasRecovering: false,
      recovered: false,
      publications: [],
      position: stored[1]?.position,
    });
    const resumed = await client.subscribe("room:1", { since: stored[0]?.position });
    expect(resumed).toMatchObject({ recovered: true, publications: [{ offset: 2 }] });
    await publish(board, "room:1", "3");
    await vi.waitFor(() => expect(client.offsets).toEqual([1, 2, 3]));
  });
});

describe("publishes", () => {
  it("of one publisher keep their order, and all subscribers on both shards see one order", async () => {
    const { board, port } = await start();
    const subscribers = [...(await Promise.all([0, 0, 1, 1].map((shard) => StreamClient.openOn(port, shard))))];
    for (const subscriber of subscribers) await subscriber.subscribe("room:1");
    const publishers = await Promise.all([0, 1].map((shard) => StreamClient.openOn(port, shard)));
    const published = publishers.map((publisher) => publisher.tell("publish many", "room:1", { data: "300" }));
    const own = publish(board, "room:1", ...numbers(0, 299).map((i) => `board ${i}`));
    const stored = [...(await Promise.all(published)), await own] as Stored[][];
    for (const one of stored) {
      const offsets = one.map(({ position }) => position.offset);
      expect(offsets).toEqual(offsets.toSorted((a, b) => a - b));
    }
    await vi.waitFor(() => {
      for (const { offsets } of subscribers) expect(offsets).toEqual(numbers(1, 900));
    });
    const orders = subscribers.map(({ publications }) => publications.map(({ text }) => text));
    for (const order of orders) expect(order).toEqual(orders[0]);
    for (const name of [...publishers.map(({ address }) => address), "board"]) {
      const texts = orders[0]?.filter((text) => text.startsWith(`${name} `));
      expect(texts).toEqual(numbers(0, 299).map((i) => `${name} ${i}`));
    }
  });

  it("with one idempotency key on both shards and the board at once are published once", async () => {
    const { board, port } = await start();
    const clients = await Promise.all([0, 1].map((shard) => StreamClient.openOn(port, shard)));
    const subscriber = await StreamClient.open(port);
    await subscriber.subscribe("room:1");
    const options = { idempotencyKey: "once" };
    const stored = (await Promise.all([
      ...clients.map((client) => client.tell("publish", "room:1", { data: "x", options })),
      board.publish("room:1", "x", options).stored,
    ])) as Stored[];
    expect(stored.map(({ duplicate }) => duplicate).toSorted()).toEqual([false, true, true]);
    for (const { position } of stored) expect(position).toEqual(stored[0]?.position);
    await publish(board, "room:1", "next");
    await vi.waitFor(() => expect(subscriber.offsets).toEqual([1, 2]));
  });

  it("that have expired reach nobody who comes later, and a resume over them isn't recovered", async () => {
    const { board, port } = await start();
    const stored = await board.publish("room:1", "brief", { expiresMs: 1 }).stored;
    const client = await StreamClient.open(port);
    await vi.waitFor(async () => {
      const { publications } = await board.history("room:1");
      expect(publications).toEqual([]);
    });
    const since = { epoch: stored?.position.epoch, offset: 0 };
    expect(await client.subscribe("room:1", { since })).toMatchObject({ recovered: false, publications: [] });
  });
});

describe("a subscriber that stops reading", () => {
  const policies: SlowConsumerPolicy[] = ["close", "dropNewest", "dropOldest", "conflate"];

  it.each(policies)("gets everything in order after it reads on, with the policy %s", async (policy) => {
    const { board, port } = await start({ slowConsumerPolicy: policy, maxBufferedBytes: 64 * 1024 });
    const [slow, quick] = [await StreamClient.open(port), await StreamClient.open(port)];
    for (const client of [slow, quick]) await client.subscribe("room:1");
    slow.socket.pause();
    const large = "x".repeat(32 * 1024);
    for (let round = 0; round < 10; round++) await publish(board, "room:1", ...numbers(1, 50).map(() => large));
    await vi.waitFor(() => expect(quick.offsets).toEqual(numbers(1, 500)));
    await vi.waitFor(() => expect(sum(board, "subscriptionsBehind")).toBeGreaterThan(0));
    slow.socket.resume();
    await vi.waitFor(() => expect(slow.offsets).toEqual(numbers(1, 500)));
    await publish(board, "room:1", "last");
    await vi.waitFor(() => expect(slow.publications.at(-1)).toMatchObject({ offset: 501, text: "last" }));
    expect({ lost: slow.lost, code: slow.closeCode }).toEqual({ lost: [], code: undefined });
  });

  it.each(policies)("is told when the history no longer has what it missed, with the policy %s", async (policy) => {
    const { board, port } = await start({ slowConsumerPolicy: policy, maxBufferedBytes: 64 * 1024 });
    const slow = await StreamClient.open(port);
    await slow.subscribe("short:1");
    slow.socket.pause();
    const large = "x".repeat(32 * 1024);
    for (let round = 0; round < 10; round++) await publish(board, "short:1", ...numbers(1, 50).map(() => large));
    await vi.waitFor(() => expect(sum(board, "subscriptionsBehind")).toBeGreaterThan(0));
    slow.socket.resume();
    await vi.waitFor(() => expect(slow.lost).toHaveLength(1));
    expect(slow.lost[0]).toMatchObject({ topic: "short:1", position: { offset: 500 } });
    expect(slow.offsets).toEqual(numbers(1, slow.offsets.length));
    expect(sum(board, "subscriptionsLost")).toBe(1);
    expect(await slow.subscribe("short:1", { since: "latest" })).toMatchObject({ recovered: true });
  });

  it("gets the newest publication of a topic that keeps one, with the policy conflate", async () => {
    const { board, port } = await start({ slowConsumerPolicy: "conflate", maxBufferedBytes: 256 * 1024 });
    const slow = await StreamClient.open(port);
    await slow.subscribe("price:1");
    slow.socket.pause();
    const large = "x".repeat(32 * 1024);
    for (let round = 0; round < 10; round++) await publish(board, "price:1", ...numbers(1, 50).map(() => large));
    await vi.waitFor(() => expect(sum(board, "conflated")).toBeGreaterThan(0));
    slow.socket.resume();
    await vi.waitFor(() => expect(slow.offsets.at(-1)).toBe(500));
    expect(slow.offsets.length).toBeLessThan(500);
    expect(slow.offsets).toEqual(slow.offsets.toSorted((a, b) => a - b));
    expect({ lost: slow.lost, code: slow.closeCode }).toEqual({ lost: [], code: undefined });
  });
});

function sum(board: Switchboard, counter: "subscriptionsBehind" | "subscriptionsLost" | "conflated"): number {
  return board.stats().shards.reduce((total, shard) => total + shard[counter], 0);
}

describe("a shard that dies", () => {
  it("loses no history and no offsets, and no subscriber of another shard notices", async () => {
    const { board, port } = await start();
    board.on("shardLost", () => {});
    const [doomed, other] = [await StreamClient.openOn(port, 0), await StreamClient.openOn(port, 1)];
    for (const client of [doomed, other]) await client.subscribe("room:1");
    await publish(board, "room:1", "1", "2", "3");
    await vi.waitFor(() => expect(doomed.offsets).toEqual([1, 2, 3]));
    const position = doomed.publications.at(-1);
    const replaced = event(board, "shardReplaced");
    doomed.tell("exit", "").catch(() => {});
    await replaced;
    await publish(board, "room:1", "4", "5");
    const back = await StreamClient.openOn(port, 0);
    const { recovered, publications } = await back.subscribe("room:1", { since: position });
    expect({ recovered, offsets: publications.map(({ offset }) => offset) }).toEqual({
      recovered: true,
      offsets: [4, 5],
    });
    await publish(board, "room:1", "6");
    await vi.waitFor(() => expect(back.offsets).toEqual([6]));
    await vi.waitFor(() => expect(other.offsets).toEqual([1, 2, 3, 4, 5, 6]));
  });

  it("takes its members out of presence", async () => {
    const { board, port } = await start();
    board.on("shardLost", () => {});
    const [doomed, other] = [await StreamClient.openOn(port, 0), await StreamClient.openOn(port, 1)];
    await other.subscribe("lounge:1", { user: "other", presenceChanges: true });
    await doomed.subscribe("lounge:1", { user: "doomed", info: { seat: 3 } });
    expect(await board.presenceStats("lounge:1")).toEqual({ connections: 2, users: 2 });
    doomed.tell("exit", "").catch(() => {});
    await vi.waitFor(() =>
      expect(changes(other)).toEqual([
        ["joined", "doomed", true],
        ["left", "doomed", true],
      ]),
    );
    expect(await other.tell("presence", "lounge:1")).toMatchObject([{ address: other.address, user: "other" }]);
  });
});

function changes({ presence }: StreamClient): unknown[] {
  return presence.map((one: PresenceEvent) =>
    one.kind === "missed" ? [one.kind] : [one.kind, one.member.user, one.ofUser],
  );
}

describe("presence", () => {
  it("tells every shard who is there, and a user's first and last connection apart from others", async () => {
    const { board, port } = await start();
    const watcher = await StreamClient.openOn(port, 0);
    await watcher.subscribe("lounge:1", { presenceChanges: true });
    const [phone, desk] = [await StreamClient.openOn(port, 1), await StreamClient.openOn(port, 0)];
    await phone.subscribe("lounge:1", { user: "ada", info: { on: "phone" } });
    await desk.subscribe("lounge:1", { user: "ada", info: { on: "desk" } });
    const members = await board.presence("lounge:1");
    expect(members.map(({ address, user, info }) => ({ address, user, info }))).toEqual([
      { address: watcher.address, user: undefined, info: undefined },
      { address: phone.address, user: "ada", info: { on: "phone" } },
      { address: desk.address, user: "ada", info: { on: "desk" } },
    ]);
    expect(await phone.tell("stats", "lounge:1")).toEqual({ connections: 3, users: 2 });
    phone.socket.terminate();
    await vi.waitFor(() => expect(changes(watcher)).toHaveLength(3));
    await desk.tell("unsubscribe", "lounge:1");
    await vi.waitFor(() =>
      expect(changes(watcher)).toEqual([
        ["joined", "ada", true],
        ["joined", "ada", false],
        ["left", "ada", false],
        ["left", "ada", true],
      ]),
    );
  });

  it("doesn't tell a connection of its own join, whether others of its shard watch the topic or not", async () => {
    const { port } = await start();
    const clients = [await StreamClient.openOn(port, 0), await StreamClient.openOn(port, 0)];
    for (const [i, client] of clients.entries()) {
      await client.tell("enter", "hall:1", { user: `user ${i}`, presenceChanges: true });
    }
    const last = await StreamClient.openOn(port, 1);
    await last.tell("enter", "hall:1", { user: "user 2" });
    await vi.waitFor(() =>
      expect(clients.map(changes)).toEqual([
        [
          ["joined", "user 1", true],
          ["joined", "user 2", true],
        ],
        [["joined", "user 2", true]],
      ]),
    );
  });

  it("keeps nobody whose connection ends while it subscribes, and nobody who has unsubscribed", async () => {
    const { board, port } = await start();
    const clients = await Promise.all(numbers(1, 40).map(() => StreamClient.open(port)));
    for (const [i, client] of clients.entries()) {
      const entered = client.tell(i % 2 === 0 ? "enter" : "subscribe", i % 2 === 0 ? "hall:1" : "lounge:1", {
        user: "ada",
      });
      entered.catch(() => {});
      if (i % 4 < 2) client.socket.close();
      else if (i % 2 === 0) client.tell("unsubscribe", "hall:1").catch(() => {});
      else client.tell("unsubscribe", "lounge:1").catch(() => {});
    }
    await Promise.all(clients.filter((_, i) => i % 4 >= 2).map((client) => client.tell("who", "")));
    await vi.waitFor(async () => {
      for (const topic of ["hall:1", "lounge:1"]) {
        expect(await board.presenceStats(topic)).toEqual({ connections: 0, users: 0 });
      }
    });
  });

  it("takes a user who comes back within the grace time for one who stayed", async () => {
    const { board, port } = await start();
    const watcher = await StreamClient.openOn(port, 0);
    await watcher.tell("enter", "hall:1", { presenceChanges: true });
    const before = await StreamClient.open(port);
    await before.tell("enter", "hall:1", { user: "ada" });
    before.socket.terminate();
    await vi.waitFor(async () => expect(await board.presenceStats("hall:1")).toEqual({ connections: 1, users: 1 }));
    const after = await StreamClient.open(port);
    await after.tell("enter", "hall:1", { user: "ada" });
    await vi.waitFor(() => expect(changes(watcher)).toHaveLength(2));
    expect(changes(watcher)).toEqual([
      ["joined", "ada", true],
      ["joined", "ada", false],
    ]);
  });
});

describe("an engine thread that dies", () => {
  async function setUp(options: TestBoardOptions = {}) {
    const engine = {
      name: "mortal",
      module: new URL("../support/engines/mortal.ts", import.meta.url).href,
      options: {},
    };
    const { board, port } = await start({ engine, ...options });
    const events: string[] = [];
    for (const name of ["engineDown", "engineLost", "engineUp"] as const) board.on(name, () => events.push(name));
    return { board, port, events };
  }

  it("is replaced: subscribers are told, publishes reject meanwhile and work afterwards", async () => {
    const { board, port, events } = await setUp();
    const [here, there] = [await StreamClient.openOn(port, 0), await StreamClient.openOn(port, 1)];
    for (const client of [here, there]) await client.subscribe("room:1");
    const [before] = await publish(board, "room:1", "1");
    await vi.waitFor(() => expect(there.offsets).toEqual([1]));

    const lost = event(board, "engineLost");
    const up = event(board, "engineUp");
    await expect(board.publish("death", "").stored).rejects.toMatchObject({ code: "ERR_ENGINE_UNAVAILABLE" });
    await lost;
    expect(board.health()).toMatchObject({ ok: false, ready: true, engine: { name: "mortal", status: "down" } });
    await expect(board.publish("room:1", "x").stored).rejects.toMatchObject({ code: "ERR_ENGINE_UNAVAILABLE" });
    await expect(here.tell("publish", "room:1")).rejects.toMatchObject({ code: "ERR_ENGINE_UNAVAILABLE" });
    await up;
    expect(board.health()).toMatchObject({ ok: true, engine: { status: "up" } });
    expect(events.toSorted()).toEqual(["engineDown", "engineLost", "engineUp"]);

    await vi.waitFor(() => {
      for (const client of [here, there]) expect(client.lost).toHaveLength(1);
    });
    const { epoch } = here.lost[0]?.position ?? {};
    expect(epoch).not.toBe(before?.position.epoch);
    expect(await here.subscribe("room:1", { since: before?.position })).toEqual({
      wasRecovering: true,
      recovered: false,
      publications: [],
      position: { epoch, offset: 0 },
    });
    expect((await publish(board, "room:1", "new"))[0]?.position).toEqual({ epoch, offset: 1 });
    await vi.waitFor(() => expect(here.publications.at(-1)).toEqual({ epoch, offset: 1, text: "new" }));
    await expect(board.history("room:1", { since: before?.position })).rejects.toMatchObject({
      code: "ERR_STREAM_EPOCH",
    });
    expect(board.stats().publishesFailed).toBe(2);
  });

  it("closes connections with 1013 whose actor has no streamLost of its own", async () => {
    const { board, port } = await setUp({ actor: "scripted" });
    const socket = new WebSocket(`ws://127.0.0.1:${port}/`);
    await once(socket, "open");
    const closed = once(socket, "close");
    socket.send(JSON.stringify({ do: "subscribe", topic: "room:1" }));
    await once(socket, "message");
    board.publish("death", "");
    expect((await closed)[0]).toBe(1013);
  });

  it("takes presence with it, and every member joins again", async () => {
    const { board, port } = await setUp();
    const clients = [await StreamClient.openOn(port, 0), await StreamClient.openOn(port, 1)];
    for (const [i, client] of clients.entries()) {
      await client.tell("enter", "hall:1", { user: `user ${i}`, presenceChanges: true });
    }
    const up = event(board, "engineUp");
    board.publish("death", "");
    await up;
    await vi.waitFor(async () => expect(await board.presenceStats("hall:1")).toEqual({ connections: 2, users: 2 }));
    await vi.waitFor(() => {
      for (const client of clients) expect(changes(client)).toContainEqual(["missed"]);
    });
  });
});

describe("bad input", () => {
  const history = { size: 1 };

  it.each([
    ["no object", "x", /topics takes an object of options by pattern/],
    ["an array", [], /topics takes an object of options by pattern, got an array/],
    ["an empty pattern", { "": { history } }, /topics\[""\]: a pattern has 1 to 255 bytes/],
    ["a pattern that is too long", { ["x".repeat(256)]: { history } }, /a pattern has 1 to 255 bytes/],
    ["a pattern with neither", { a: {} }, /topics\["a"\] takes history, presence or both/],
    ["an unknown option", { a: { hystory: history } }, /topics\["a"\]: unknown option "hystory"/],
    ["no size", { a: { history: {} } }, /topics\["a"\].history: size takes an integer from 1 to 1000000/],
    ["a size of 0", { a: { history: { size: 0 } } }, /size takes an integer from 1/],
    ["a short metaTtlMs", { a: { history: { size: 1, ttlMs: 1_000, metaTtlMs: 999 } } }, /metaTtlMs takes an integer/],
    ["a negative leaveGraceMs", { a: { presence: { leaveGraceMs: -1 } } }, /leaveGraceMs takes an integer from 0/],
    [
      "a pattern that never counts",
      { "room:*": { history }, "room:1": { history } },
      /the pattern "room:1" never counts, because "room:\*" stands before it/,
    ],
  ])("as topics is rejected at the start: %s", async (_, topics, message) => {
    const started = start({ topics: topics as never });
    await expect(started).rejects.toMatchObject({ code: "ERR_OPTION", message: expect.stringMatching(message) });
  });

  it("from a client gets a code, or isn't recovered", async () => {
    const { board, port } = await start();
    const [stored] = await publish(board, "room:1", "1", "2");
    const { epoch = "" } = stored?.position ?? {};
    const client = await StreamClient.open(port);
    const subscribe = (more: object, topic = "room:1") => client.subscribe(topic, more);
    const publishing = (options: object, topic = "room:1") => client.tell("publish", topic, { options });
    const codes = {
      ERR_POSITION: [
        subscribe({ since: { epoch, offset: -1 } }),
        subscribe({ since: { epoch, offset: 1.5 } }),
        subscribe({ since: { epoch: "x".repeat(65), offset: 1 } }),
        subscribe({ since: "newest" }),
        client.tell("history", "room:1", { options: { since: "latest" } }),
      ],
      ERR_ARGUMENT: [
        subscribe({ user: "" }, "lounge:1"),
        subscribe({ user: "x".repeat(256) }, "lounge:1"),
        subscribe({ info: "x".repeat(4_096) }, "lounge:1"),
        publishing({ idempotencyKey: "" }),
        publishing({ idempotencyKey: "x".repeat(129) }),
        publishing({ expiresMs: 0 }),
        client.tell("history", "room:1", { options: { limit: -1 } }),
        client.tell("history", "room:1", { options: { limit: 1.5 } }),
        client.tell("history", "room:1", { options: { limit: null } }),
        client.tell("history", "room:1", { options: null }),
        client.tell("history", "room:1", { options: 7 }),
        client.tell("history", "room:1", { options: { reverse: "yes" } }),
        client.tell("subscribe with", "plain", { options: null }),
        client.tell("subscribe with", "lounge:1", { options: { presenceChanges: "yes" } }),
        publishing({ self: "yes" }, "plain"),
        // Typos, on every kind of topic.
        ...["room:1", "lounge:1", "plain"].flatMap((topic) => [
          publishing({ idempotencykey: "x" }, topic),
          client.tell("history", topic, { options: { sinse: { epoch, offset: 1 }, limt: 1 } }),
          client.tell("subscribe with", topic, { options: { sinse: { epoch, offset: 1 } } }),
        ]),
      ],
      ERR_DATA: [5, null, {}].map((data) => client.tell("publish", "room:1", { data })),
      ERR_NO_HISTORY: [
        publishing({ idempotencyKey: "x" }, "plain"),
        publishing({ expiresMs: 1 }, "plain"),
        client.tell("history", "plain"),
        client.tell("remove", "plain"),
      ],
      ERR_NO_PRESENCE: [
        subscribe({ user: "ada" }),
        subscribe({ presenceChanges: true }),
        client.tell("presence", "room:1"),
        client.tell("stats", "plain"),
      ],
      ERR_STREAM_EPOCH: [client.tell("history", "room:1", { options: { since: { epoch: "foreign", offset: 1 } } })],
    };
    for (const [code, calls] of Object.entries(codes)) {
      for (const result of await Promise.allSettled(calls)) {
        expect(result).toMatchObject({ status: "rejected", reason: { code } });
      }
    }
    const typo = { code: "ERR_ARGUMENT", message: expect.stringContaining("the options are") };
    expect(() => board.publish("room:1", "x", { idempotencykey: "x" } as object)).toThrow(
      expect.objectContaining(typo),
    );
    await expect(board.history("room:1", { limt: 1 } as object)).rejects.toMatchObject(typo);
    expect(() => board.publish("plain", 5 as never)).toThrow(expect.objectContaining({ code: "ERR_DATA" }));
    const huge = { epoch, offset: Number.MAX_SAFE_INTEGER };
    const top = { epoch, offset: 2 };
    const notRecovered = { wasRecovering: true, recovered: false, publications: [], position: top };
    expect(await subscribe({ since: huge })).toEqual(notRecovered);
    expect(await subscribe({ since: { epoch: "foreign", offset: 1 } })).toEqual(notRecovered);
    expect(await subscribe({ since: { epoch: "", offset: 1 } })).toMatchObject({ recovered: true, position: top });
    expect(await client.tell("history", "room:1", { options: { since: huge } })).toEqual({ top, publications: [] });
    expect(await publishing({ self: false })).toMatchObject({ position: { offset: 3 } });
  });

  it("as a limit of history above 1,000 gets 1,000, and pages follow each other", async () => {
    const { board } = await start({ topics: { "long:*": { history: { size: 1_200 } } } });
    await publish(board, "long:1", ...numbers(1, 1_200).map(String));
    const first = await board.history("long:1", { limit: 5_000 });
    expect(first.publications.map(({ offset }) => offset)).toEqual(numbers(1, 1_000));
    const last = await board.history("long:1", { since: first.publications.at(-1), limit: 5_000 });
    expect(last.publications.map(({ offset }) => offset)).toEqual(numbers(1_001, 1_200));
    const newest = await board.history("long:1", { reverse: true, limit: 2 });
    expect(newest.publications.map(({ offset }) => offset)).toEqual([1_200, 1_199]);
    const before = await board.history("long:1", { reverse: true, limit: 2, since: newest.publications.at(-1) });
    expect(before.publications.map(({ offset }) => offset)).toEqual([1_198, 1_197]);
    expect((await board.history("long:1")).publications).toHaveLength(100);
  });

  it("as an encode that throws is a failure of the actor alone", async () => {
    const { board, port } = await start();
    const failed = event(board, "actorFailed");
    const [broken, other] = [await StreamClient.openOn(port, 0), await StreamClient.openOn(port, 0)];
    await broken.subscribe("room:1", { brokenEncode: true });
    await other.subscribe("room:1");
    await publish(board, "room:1", "1");
    expect(await failed).toMatchObject([{ id: broken.address, handler: "encode", outcome: "stopped" }]);
    await vi.waitFor(() => expect(broken.closeCode).toBe(1011));
    await vi.waitFor(() => expect(other.offsets).toEqual([1]));
  });
});
