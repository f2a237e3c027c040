import { once } from "node:events";
import { type ClientHttp2Session, type ClientHttp2Stream, constants, type IncomingHttpHeaders } from "node:http2";
import { describe, expect, it, vi } from "vitest";
import type { Switchboard } from "../../src/index.ts";
import { text } from "../support/frames.ts";
import { start } from "../support/http2-board.ts";
import { ask, Http2Client, openSession } from "../support/http2-client.ts";

interface Attempt {
  readonly status: number | undefined;
  readonly retry: string | undefined;
  readonly client: Http2Client;
}

async function attempt(session: ClientHttp2Session, headers: Record<string, string> = {}): Promise<Attempt> {
  const stream = ask(session, headers);
  const [answer] = (await once(stream, "response")) as [IncomingHttpHeaders & { ":status"?: number }];
  return { status: answer[":status"], retry: answer["retry-after"], client: new Http2Client(stream, answer) };
}

const attempts = (session: ClientHttp2Session, count: number): Promise<Attempt[]> =>
  Promise.all(Array.from({ length: count }, () => attempt(session)));

const inside = (all: readonly Attempt[]): Attempt[] => all.filter(({ status }) => status === 200);
const outside = (all: readonly Attempt[]): unknown[] =>
  all.filter(({ status }) => status !== 200).map(({ status, retry }) => ({ status, retry }));
const times = <T>(count: number, one: T): T[] => Array.from({ length: count }, () => one);
const connectionsOf = (board: Switchboard): number[] => board.stats().shards.map(({ connections }) => connections);

const closeAll = (all: readonly Attempt[]) => Promise.all(all.map(({ client }) => client.close()));

/** Waits until one more stream is accepted, trying one at a time. */
async function getsIn(session: ClientHttp2Session): Promise<Attempt> {
  return vi.waitFor(async () => {
    const one = await attempt(session);
    expect(one.status).toBe(200);
    return one;
  }, 10_000);
}

async function say(client: Http2Client, command: object): Promise<string> {
  client.write(text(JSON.stringify(command)));
  return client.text();
}

describe("limits for all streams of one session", () => {
  it("accept exactly maxConnections of 60 streams that come at once, and as many again after those have left", async () => {
    const { board, session } = await start({ shards: 2, maxConnections: 10 });
    for (let round = 1; round <= 3; round++) {
      const all = await attempts(session, 60);
      expect(inside(all)).toHaveLength(10);
      expect(outside(all)).toEqual(times(50, { status: 503, retry: "5" }));
      const upgrades = { accepted: 10 * round, refused: { 503: 50 * round } };
      await vi.waitFor(() => expect(board.stats()).toMatchObject({ connections: 10, upgrades }));
      await closeAll(inside(all));
      await vi.waitFor(() => expect(connectionsOf(board)).toEqual([0, 0]));
    }
    expect(session.closed).toBe(false);
  });

  it("fill each shard up to maxConnectionsPerShard", async () => {
    const { board, session } = await start({ shards: 3, maxConnectionsPerShard: 4 });
    const all = await attempts(session, 50);
    await vi.waitFor(() => expect(connectionsOf(board)).toEqual([4, 4, 4]));
    expect(outside(all)).toEqual(times(38, { status: 503, retry: "5" }));
  });

  it("count every stream of an address for maxConnectionsPerAddress, in whichever session it is", async () => {
    const { board, session, url } = await start({ shards: 2, maxConnectionsPerAddress: 3 });
    const other = await openSession(url);
    const [one, two] = [await attempts(session, 2), await attempts(other, 20)];
    expect([inside(one).length, inside(two).length]).toEqual([2, 1]);
    expect(outside(two)).toEqual(times(19, { status: 429, retry: "5" }));
    await closeAll(one.slice(0, 1));
    await getsIn(other);
    expect((await attempt(session)).status).toBe(429);
    // All streams of a session end with the session.
    session.destroy();
    await vi.waitFor(() => expect(board.stats().connections).toBe(2));
    await getsIn(other);
  });

  it("count the streams that a proxy has in one session by the client addresses that the proxy names", async () => {
    const { session } = await start({ maxConnectionsPerAddress: 2, trustedProxies: ["127.0.0.1"] });
    const from = (client: string) => attempt(session, { "x-forwarded-for": client });
    const all = await Promise.all(times(4, 0).flatMap(() => [from("192.0.2.1"), from("192.0.2.2")]));
    expect(inside(all)).toHaveLength(4);
    expect(outside(all)).toEqual(times(4, { status: 429, retry: "5" }));
    expect((await from("192.0.2.3")).status).toBe(200);
  });

  it("accept maxUpgradesPerSecond streams at once, and answer the others with Retry-After: 1", async () => {
    const { board, session } = await start({ maxUpgradesPerSecond: 5 });
    const startedAt = performance.now();
    const all = await attempts(session, 60);
    expect(inside(all).length).toBeGreaterThanOrEqual(5);
    // One more for each 200 ms that the machine took.
    expect(inside(all).length).toBeLessThanOrEqual(5 + (performance.now() - startedAt) / 200);
    expect(new Set(outside(all).map((one) => JSON.stringify(one)))).toEqual(new Set(['{"status":503,"retry":"1"}']));
    expect(board.stats().upgrades.refused[503]).toBe(outside(all).length);
    await getsIn(session);
  });

  it("refuse the streams beyond the limit without a call of authorize", async () => {
    const verdict = Promise.withResolvers<{ session: undefined }>();
    const authorize = vi.fn(() => verdict.promise);
    const { board, session } = await start({ maxConnections: 10, attach: { authorize } });
    const all = attempts(session, 60);
    await vi.waitFor(() => expect(board.stats().upgrades.refused).toEqual({ 503: 50 }));
    expect(authorize).toHaveBeenCalledTimes(10);
    verdict.resolve({ session: undefined });
    expect(inside(await all)).toHaveLength(10);
  });
});

describe("a stream that ends before it is accepted frees its place", () => {
  const limits = { maxConnections: 2, maxConnectionsPerShard: 2, maxConnectionsPerAddress: 2 };
  const reset = (stream: ClientHttp2Stream): void => stream.close(constants.NGHTTP2_CANCEL);

  it.each([
    {
      name: "when it is reset while authorize is pending",
      ends: (streams: ClientHttp2Stream[]) => streams.forEach(reset),
    },
    { name: "when its session is destroyed", ends: ([one]: ClientHttp2Stream[]) => one?.session?.destroy() },
  ])("$name", async ({ ends }) => {
    let asked = 0;
    const authorize = (request: { readonly headers: IncomingHttpHeaders }) => {
      asked++;
      return request.headers["x-wait"] === undefined ? { session: undefined } : new Promise<never>(() => {});
    };
    const { board, session, url } = await start({ ...limits, attach: { authorize } });
    const leaving = await openSession(url);
    const streams = times(2, 0).map(() => ask(leaving, { "x-wait": "yes" }));
    for (const stream of streams) stream.on("error", () => {});
    await vi.waitFor(() => expect(asked).toBe(2));
    expect((await attempt(session)).status).toBe(429);
    ends(streams);
    await vi.waitFor(() => expect(board.stats().upgrades.abandoned).toBe(2));
    const all = await attempts(session, 10);
    expect(inside(all)).toHaveLength(2);
    await vi.waitFor(() => expect(board.stats().connections).toBe(2));
  });

  it("when it is reset right after its request", async () => {
    const { board, session, url } = await start({ actor: "scripted", shards: 2, ...limits });
    const leaving = await openSession(url);
    for (let round = 0; round < 20; round++) {
      const streams = times(20, 0).map(() => ask(leaving));
      for (const stream of streams) stream.resume().on("error", () => {});
      await Promise.all(
        streams.map(async (stream, index) => {
          // Some are reset in one packet with their request, some while they are being answered.
          if (index % 2 === 1) await Promise.race([once(stream, "response"), once(stream, "close")]);
          reset(stream);
          if (!stream.destroyed) await once(stream, "close");
        }),
      );
    }
    await vi.waitFor(() => expect(board.stats().connections).toBe(0));
    const first = await getsIn(session);
    const second = await getsIn(session);
    expect((await attempt(session)).status).toBe(429);
    await closeAll([first, second]);
    await vi.waitFor(() => expect(board.stats().connections).toBe(0));
    // As many are accepted again: no place was freed twice.
    expect(inside(await attempts(session, 10))).toHaveLength(2);
  });
});

describe("limits of a WebSocket in one stream of a session", () => {
  it("give each WebSocket its own maxSubscriptions", async () => {
    const { board, session } = await start({ actor: "subscribing", maxSubscriptions: 2 });
    const [one, two] = [await Http2Client.open(session), await Http2Client.open(session)];
    for (const client of [one, two]) {
      for (const topic of ["a", "b", "c"]) client.write(text(`+${topic}`));
      expect([await client.text(), await client.text(), await client.text()]).toEqual([
        ...["1", "2", "ERR_TOO_MANY_SUBSCRIPTIONS"],
      ]);
    }
    expect(board.stats().shards[0]?.subscriptionsRefused).toBe(2);
  });

  it("close only the WebSocket that exceeds maxMessagesPerSecond", async () => {
    const { board, session } = await start({ maxMessagesPerSecond: 10, rateLimitPolicy: "close" });
    const [fast, other] = [await Http2Client.open(session), await Http2Client.open(session)];
    fast.write(Buffer.concat(times(50, text("fast"))));
    let frame = await fast.frame();
    for (; frame.opcode === 0x1; frame = await fast.frame()) expect(frame.payload.toString()).toBe("fast");
    expect([frame.opcode, frame.payload.readUInt16BE()]).toEqual([0x8, 1008]);
    other.write(text("slow"));
    expect(await other.text()).toBe("slow");
    expect(board.stats().shards[0]?.rateLimited).toBe(1);
  });

  it("delay only the WebSocket that exceeds maxBytesPerSecond", async () => {
    // The bytes take 4 s: more than a busy machine needs to send them.
    const { board, session } = await start({ maxBytesPerSecond: 30_000, rateLimitPolicy: "pause" });
    const [fast, other] = [await Http2Client.open(session), await Http2Client.open(session)];
    const count = 15;
    fast.write(Buffer.concat(times(count, text("x".repeat(10_000)))));
    await vi.waitFor(() => expect(board.stats().shards[0]?.rateLimited).toBeGreaterThan(0));
    for (let n = 0; n < 20; n++) {
      other.write(text(`other ${n}`));
      expect(await other.text()).toBe(`other ${n}`);
    }
    for (let n = 0; n < count; n++) expect((await fast.frame()).payload.length).toBe(10_000);
  });

  const flood = { do: "send", count: 400, bytes: 16 * 1024 };

  it.each([
    { slowConsumerPolicy: "close", counter: "slowConsumersClosed" },
    { slowConsumerPolicy: "dropNewest", counter: "droppedNewest" },
    { slowConsumerPolicy: "dropOldest", counter: "droppedOldest" },
  ] as const)(
    "keeps the slow consumer with $slowConsumerPolicy from the others",
    async ({ slowConsumerPolicy, counter }) => {
      const { board, session } = await start({ actor: "flooding", maxBufferedBytes: 256 * 1024, slowConsumerPolicy });
      const watcher = await Http2Client.open(session);
      expect(await say(watcher, { do: "subscribe", topics: ["log"] })).toBe("subscribed");
      const slow = await Http2Client.open(session);
      slow.stream.pause();
      slow.write(text(JSON.stringify(flood)));
      const tally: Record<string, number> = JSON.parse(await watcher.text());
      expect(
        tally[{ close: "closed", dropNewest: "dropped", dropOldest: "buffered" }[slowConsumerPolicy]],
      ).toBeGreaterThan(0);
      expect(board.stats().shards[0]?.[counter]).toBeGreaterThan(0);
      // The session isn't delayed by the stream that isn't read.
      for (let n = 0; n < 20; n++) expect(await say(watcher, { do: "echo" })).toBe("echo");
      slow.stream.resume();
      if (slowConsumerPolicy !== "close") slow.write(text(JSON.stringify({ do: "echo" })));
      const numbers: number[] = [];
      let frame = await slow.frame();
      for (; frame.payload.length > 100; frame = await slow.frame()) {
        numbers.push(Number(frame.payload.toString().split(" ")[1]));
      }
      expect(numbers).toEqual([...new Set(numbers)].toSorted((a, b) => a - b));
      expect(numbers.length).toBeLessThan(flood.count);
      if (slowConsumerPolicy === "close") expect([frame.opcode, frame.payload.readUInt16BE()]).toEqual([0x8, 1013]);
      else expect(frame.payload.toString()).toBe("echo");
      // The dropped messages are the oldest, or the newest.
      expect(numbers.includes(flood.count - 1)).toBe(slowConsumerPolicy === "dropOldest");
    },
  );

  it("conflate messages for the stream that isn't read, and for no other", async () => {
    const slowConsumerPolicy = "conflate";
    const { session } = await start({ actor: "flooding", maxBufferedBytes: 256 * 1024, slowConsumerPolicy });
    const [slow, reading, publisher] = [
      ...[await Http2Client.open(session), await Http2Client.open(session), await Http2Client.open(session)],
    ] as [Http2Client, Http2Client, Http2Client];
    for (const client of [slow, reading]) {
      expect(await say(client, { do: "subscribe", topics: ["news"] })).toBe("subscribed");
    }
    slow.stream.pause();
    const count = 200;
    const numberOf = async (client: Http2Client): Promise<number> => Number((await client.text()).split(" ")[1]);
    for (let from = 0; from < count; from++) {
      expect(await say(publisher, { do: "publish", topics: ["news"], from, count: 1, bytes: 16 * 1024 })).toBeTruthy();
      expect(await numberOf(reading)).toBe(from);
    }
    slow.stream.resume();
    const numbers = [await numberOf(slow)];
    while (numbers.at(-1) !== count - 1) numbers.push(await numberOf(slow));
    expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
    expect(numbers.length).toBeLessThan(count);
  });
});

describe("placement of the streams of one session", () => {
  const who = async (client: Http2Client): Promise<number> => JSON.parse(await say(client, { do: "who" })).shard;

  it.each(["leastConnections", "roundRobin"] as const)(
    "spreads the streams over the shards with %s",
    async (placement) => {
      const { board, session } = await start({ shards: 3, placement });
      await attempts(session, 9);
      await vi.waitFor(() => expect(connectionsOf(board)).toEqual([3, 3, 3]));
    },
  );

  it("places each stream by its own request", async () => {
    const { session } = await start({
      ...{ actor: "scripted", shards: 3 },
      placement: (request) => Number(request.headers["x-shard"]),
    });
    for (const shard of [2, 0, 1, 2]) {
      expect(await who(await Http2Client.open(session, { "x-shard": String(shard) }))).toBe(shard);
    }
  });

  it("puts streams with the same key on one shard with stickyBy", async () => {
    const stickyBy = (request: { readonly url?: string | undefined }) => request.url;
    const { session } = await start({ actor: "scripted", shards: 3, placement: { stickyBy } });
    for (const room of ["/a", "/b", "/c", "/d"]) {
      const clients = await Promise.all(times(4, 0).map(() => Http2Client.open(session, { ":path": room })));
      expect(new Set(await Promise.all(clients.map(who))).size).toBe(1);
    }
  });
});
