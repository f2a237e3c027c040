/** The clients of a whole server move between shards and to new code, and notice nothing. */
import type { Centrifuge, Subscription } from "centrifuge";
import { expect, it, vi } from "vitest";
import type { Address } from "../../../src/index.ts";
import { RedisServer } from "../../support/redis-server.ts";
import { RawClient } from "../support/raw-client.ts";
import { API_KEY, INSECURE, startTestServer, type TestServer } from "../support/server.ts";
import { callApi } from "./clients.ts";
import { Way } from "./support/clients.ts";
import { tokenFor } from "./support/tokens.ts";

/** `npm run moves:connections` runs these tests for minutes. */
const isLong = process.env["MOVES"] === "long";
/** Attempts to move a client. */
const MAX_TRIES = 5;
const [CLIENTS, HOPS] = isLong ? [20, 60] : [4, 4];
vi.setConfig({ testTimeout: isLong ? 900_000 : 120_000 });

const CHANNEL = "kept";
const LIVE = "live:news";
const config = (more: object = {}): object => ({
  ...INSECURE,
  channel: {
    ...INSECURE.channel,
    without_namespace: { ...INSECURE.channel.without_namespace, history_size: 50 },
    namespaces: [{ name: "live", presence: true, join_leave: true, force_push_join_leave: true }],
  },
  ...more,
});

/** One client of the SDK, with everything that it noticed. */
class Observed {
  readonly client: Centrifuge;
  readonly problems: string[] = [];
  readonly data = new Map<string, number[]>();
  readonly changes: string[] = [];
  readonly subscriptions: Subscription[] = [];
  #offset: number | undefined;
  readonly #way: Way;

  constructor(way: Way, url: string, user: string) {
    this.#way = way;
    this.client = way.create(url, { token: tokenFor({ user }) });
    this.client.on("connecting", ({ code }) => {
      if (code !== 0) this.problems.push(`${user} was disconnected: ${code}`);
    });
  }

  async begin(): Promise<this> {
    this.client.connect();
    await this.client.ready();
    for (const channel of [CHANNEL, LIVE]) {
      const subscription = this.client.newSubscription(channel);
      this.subscriptions.push(subscription);
      const data: number[] = [];
      this.data.set(channel, data);
      subscription.on("publication", (publication) => {
        data.push(this.#way.value(publication.data) as number);
        if (channel === CHANNEL) this.#follow(publication.offset ?? 0);
      });
      subscription.on("subscribing", ({ code }) => {
        if (code !== 0) this.problems.push(`${channel} was interrupted: ${code}`);
      });
      subscription.on("unsubscribed", ({ code }) => this.problems.push(`${channel} has ended: ${code}`));
      subscription.subscribe();
      await subscription.ready();
    }
    return this;
  }

  /** Notices joins and leaves from here on. */
  watch(): void {
    for (const subscription of this.subscriptions) {
      subscription.on("join", ({ info, channel }) => this.changes.push(`join ${channel} ${info.user}`));
      subscription.on("leave", ({ info, channel }) => this.changes.push(`leave ${channel} ${info.user}`));
    }
  }

  #follow(offset: number): void {
    if (this.#offset !== undefined && offset !== this.#offset + 1) {
      this.problems.push(`offset ${offset} after ${this.#offset}`);
    }
    this.#offset = offset;
  }
}

/** The addresses of all clients, of other nodes, too. */
async function addressesOf({ board }: TestServer): Promise<Address[]> {
  return (await board.connections()).connections.map(({ address }) => address);
}

/** Publishes to both channels until told to stop. Returns the number. */
function publishing(servers: readonly TestServer[]): () => Promise<number> {
  let count = 0;
  let isOver = false;
  const done = (async () => {
    for (; !isOver; count++) {
      const { url } = servers[count % servers.length] as TestServer;
      for (const channel of [CHANNEL, LIVE]) {
        const { error } = await callApi(url, API_KEY, "publish", { channel, data: count });
        if (error !== undefined) throw new Error(error.message);
      }
    }
  })();
  return async () => {
    isOver = true;
    await done;
    return count;
  };
}

async function run(servers: readonly TestServer[]): Promise<void> {
  const ways = [new Way("websocket", "json"), new Way("websocket", "protobuf")];
  const clients: Observed[] = [];
  for (const [at, { url }] of servers.entries()) {
    for (let i = 0; i < CLIENTS; i++) {
      clients.push(await new Observed(ways[i % 2] as Way, url, `user-${at}-${i}`).begin());
    }
  }
  const present = async (): Promise<number[]> =>
    Promise.all(
      [CHANNEL, LIVE].map(async (channel) => {
        const { result } = await callApi(servers[0]?.url ?? "", API_KEY, "presence_stats", { channel });
        return result?.["num_clients"] as number;
      }),
    );
  await vi.waitFor(async () => expect(await present()).toEqual([clients.length, clients.length]));
  // The last join of the others has been told.
  const marker = await new Observed(ways[0] as Way, servers[0]?.url ?? "", "marker").begin();
  await Promise.all(clients.map(({ subscriptions }) => subscriptions[0]?.history({ limit: 0 })));
  marker.client.disconnect();
  const connections = async (): Promise<number> => (await addressesOf(servers[0] as TestServer)).length;
  await vi.waitFor(async () => expect(await connections()).toBe(clients.length));
  for (const client of clients) client.watch();
  const stop = publishing(servers);
  let moved = 0;
  /** Reasons for which clients stayed. */
  const stays: string[] = [];
  await Promise.all(
    servers.map(async ({ board }, at) => {
      const addresses = await addressesOf(servers[at] as TestServer);
      board.on("moveFailed", ({ reason }) => stays.push(reason));
      for (let hop = 0; hop < HOPS; hop++) {
        for (const [index, address] of addresses.entries()) {
          // A client stays where another thread was blocked for 5 s, for example. Then it is moved again.
          for (let tries = 0; tries < MAX_TRIES; tries++) {
            const result = await board.move(address, (index + hop) % 2).catch((error: Error) => error);
            // Clients of other nodes aren't moved from here.
            if (result instanceof Error) break;
            if (result.moved) {
              moved++;
              break;
            }
            stays.push(result.reason);
          }
        }
      }
      for (let i = 0; i < 2; i++) {
        const { closed, moved: all } = await board.reload();
        expect(closed).toBe(0);
        moved += all;
      }
      moved += (await board.evacuate(0)).moved;
    }),
  );
  // A client stays where another thread was blocked for 5 s, and for no other reason.
  expect(stays.filter((reason) => reason !== "shard")).toEqual([]);
  expect(moved).toBeGreaterThanOrEqual(clients.length * (HOPS + 1));
  const count = await stop();
  const numbers = Array.from({ length: count }, (_, at) => at);
  await vi.waitFor(
    () => {
      for (const { data } of clients) expect([...data.values()].map((all) => all.length)).toEqual([count, count]);
    },
    { timeout: 60_000 },
  );
  for (const { data, problems, changes } of clients) {
    expect(problems).toEqual([]);
    expect(data.get(CHANNEL)).toEqual(numbers);
    // Without history, the order is that of each publisher: here, of each node.
    for (const at of servers.keys()) {
      const own = (number: number): boolean => number % servers.length === at;
      expect(data.get(LIVE)?.filter(own)).toEqual(numbers.filter(own));
    }
    const others = changes.filter((change) => !change.endsWith(" marker"));
    expect(others).toEqual([]);
  }
  expect(await present()).toEqual([clients.length, clients.length]);
  // What a client asks for after all that is answered, and it recovers where it was.
  const { client, subscriptions } = clients[0] as Observed;
  await subscriptions[0]?.publish((ways[0] as Way).data(count));
  await vi.waitFor(() => expect(clients.at(-1)?.data.get(CHANNEL)?.at(-1)).toBe(count));
  const recovered = new Promise((resolve) => subscriptions[0]?.once("subscribed", resolve));
  client.disconnect();
  await subscriptions[0]?.unsubscribe();
  subscriptions[0]?.subscribe();
  client.connect();
  await recovered;
}

it("clients notice nothing of moves and reloads: each publication once and in order, and no join or leave", async () => {
  await run([await startTestServer(config())]);
});

it("the same on two nodes with Redis, also in a channel without history", async () => {
  const redis = await RedisServer.start();
  const engine = { type: "redis", redis: { address: redis.url } };
  await run([await startTestServer(config({ engine })), await startTestServer(config({ engine }))]);
});

it("an API call that meets clients on their way reaches each of them", async () => {
  const server = await startTestServer(config());
  const clients = await Promise.all(
    Array.from({ length: 8 }, async () => {
      const client = await RawClient.open(server.ws);
      await client.call({ connect: { token: tokenFor({ user: "ada" }) } });
      return client;
    }),
  );
  const closed = Promise.all(clients.map(({ socket }) => new Promise((resolve) => socket.once("close", resolve))));
  const addresses = await addressesOf(server);
  let isOver = false;
  const moves = addresses.map(async (address) => {
    const reasons: string[] = [];
    for (let hop = 0; !isOver; hop++) {
      const result = await server.board.move(address, hop % 2);
      if (!result.moved) reasons.push(result.reason);
    }
    return reasons;
  });
  await callApi(server.url, API_KEY, "subscribe", { user: "ada", channel: CHANNEL });
  await vi.waitFor(
    async () => {
      const { result } = await callApi(server.url, API_KEY, "presence_stats", { channel: CHANNEL });
      expect(result).toMatchObject({ num_clients: clients.length });
    },
    { timeout: 60_000 },
  );
  await callApi(server.url, API_KEY, "disconnect", { user: "ada" });
  expect(await closed).toEqual(clients.map(() => 3503));
  isOver = true;
  for (const reasons of await Promise.all(moves)) expect(reasons).not.toContain("busy");
});
