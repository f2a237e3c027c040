import { describe, expect, it } from "vitest";
import { startApi } from "./api-board.ts";

const error = (code: number, message: unknown = expect.any(String)) => ({ error: { code, message } });

describe("commands that concern clients", () => {
  it("reach the clients of every shard that they name, with all that they say", async () => {
    const { post, open } = await startApi({}, 2);
    const [one, two, other] = [await open("ada", "a"), await open("ada", "b"), await open("bob", "b")];
    const send = async (method: string, body: object) => {
      expect((await post(`/api/${method}`, body)).body).toEqual({ result: {} });
      return JSON.parse(await one.client.text());
    };
    expect(await send("disconnect", { user: "ada" })).toEqual({
      kind: "disconnect",
      user: "ada",
      whitelist: [],
      code: 3503,
      reason: "force disconnect",
    });
    expect(JSON.parse(await two.client.text())).toMatchObject({ kind: "disconnect" });
    const own = { code: 4001, reason: '{"json":true}' };
    expect(await send("disconnect", { client: one.id, user: "", whitelist: ["x"], disconnect: own })).toEqual({
      kind: "disconnect",
      client: one.id,
      whitelist: ["x"],
      code: 4001,
      reason: 'reason: {"json":true}',
    });
    expect(await send("unsubscribe", { user: "ada", client: one.id, channel: "a" })).toEqual({
      kind: "unsubscribe",
      user: "ada",
      client: one.id,
      channel: "a",
      code: 2000,
      reason: "server unsubscribe",
    });
    const subscription = {
      user: "ada",
      client: one.id,
      channel: "history:a",
      info: { big: 1 },
      b64data: Buffer.from("data").toString("base64"),
      expire_at: 5,
      override: { presence: { value: true }, force_recovery: { value: false } },
      recover_since: { offset: 7, epoch: "e" },
    };
    expect(await send("subscribe", subscription)).toEqual({
      kind: "subscribe",
      user: "ada",
      client: one.id,
      channel: "history:a",
      info: { ...Buffer.from('{"big":1}') },
      data: { ...Buffer.from("data") },
      expireAt: 5,
      override: { presence: true, forceRecovery: false },
      recoverSince: { offset: 7, epoch: "e" },
    });
    expect(await send("refresh", { user: "ada", client: one.id, expired: true, info: null })).toEqual({
      kind: "refresh",
      user: "ada",
      client: one.id,
      expired: true,
    });
    // All of the commands after the first concerned one client only.
    await post("/api/refresh", { all_users: true, expire_at: 9 });
    const all = { kind: "refresh", expired: false, expireAt: 9 };
    for (const { client } of [one, two, other]) expect(JSON.parse(await client.text())).toEqual(all);
  });

  it("must name clients and a known channel", async () => {
    const { post } = await startApi();
    for (const method of ["disconnect", "unsubscribe", "refresh"]) {
      expect((await post(`/api/${method}`, {})).body).toEqual(error(107, expect.stringContaining("user")));
      expect((await post(`/api/${method}`, { user: "" })).body).toEqual({ result: {} });
    }
    expect((await post("/api/subscribe", { user: "ada" })).body).toEqual(
      error(107, expect.stringContaining("channel")),
    );
    for (const method of ["subscribe", "unsubscribe"]) {
      expect((await post(`/api/${method}`, { user: "ada", channel: "no:thing" })).body).toEqual(error(102));
    }
  });

  it("fail with 100 if a shard has failed to answer", async () => {
    const { post } = await startApi({}, 2);
    expect((await post("/api/unsubscribe", { user: "ada", channel: "fail" })).body).toEqual(error(100));
    const elsewhere = await startApi({ actor: "silent" });
    expect((await elsewhere.post("/api/disconnect", { user: "ada" })).body).toEqual(error(100));
  });
});

it("channels adds up the subscribers of all shards, and matches a glob", async () => {
  const { post, open } = await startApi({}, 2);
  for (const [user, channel] of [
    ["ada", "a"],
    ["bob", "a"],
    ["cid", "a"],
    ["ada", "b1"],
    ["bob", "b2"],
  ] as const) {
    await open(user, channel);
  }
  const read = async (body: object) => (await post("/api/channels", body)).body;
  const one = { num_clients: 1 };
  expect(await read({})).toEqual({ result: { channels: { a: { num_clients: 3 }, b1: one, b2: one } } });
  expect(await read({ pattern: "b*" })).toEqual({ result: { channels: { b1: one, b2: one } } });
  expect(await read({ pattern: "b[2-9]" })).toEqual({ result: { channels: { b2: one } } });
  expect(await read({ pattern: "b[" })).toEqual(error(107, expect.stringContaining("pattern")));
  const { result } = (await read({ limit: 2 })) as { result: { channels: object; is_cut: boolean } };
  expect([Object.keys(result.channels).length, result.is_cut]).toEqual([2, true]);
});

it("info tells of each node what its shards count together", async () => {
  const { board, post, open } = await startApi({}, 2);
  for (const [user, channel] of [
    ["ada", "a"],
    ["ada", "a"],
    ["bob", "b"],
    ["ada", "c"],
  ] as const) {
    await open(user, channel);
  }
  const [self] = board.nodes();
  expect((await post("/api/info", {})).body).toEqual({
    result: {
      nodes: [
        {
          uid: self?.id,
          name: self?.name,
          version: self?.version,
          uptime: expect.any(Number),
          num_clients: 4,
          num_users: 2,
          num_channels: 3,
          num_subs: 4,
        },
      ],
    },
  });
  const silent = await startApi({ actor: "silent" });
  const { result } = (await silent.post("/api/info", "")).body as { result: { nodes: object[] } };
  expect(result.nodes).toMatchObject([{ is_unresponsive: true }]);
  expect(result.nodes[0]).not.toHaveProperty("num_clients");
});

describe("connections", () => {
  it("lists every client of every shard once, in pages of any size", async () => {
    const { post, open } = await startApi({}, 2);
    const ids: string[] = [];
    for (let i = 0; i < 11; i++) ids.push((await open(`user-${i % 3}`, `c${i}`)).id);
    for (const limit of [1, 2, 3, 10, 11, 1_000]) {
      const found: string[] = [];
      for (let cursor: string | undefined = ""; cursor !== undefined; ) {
        const { body } = await post("/api/connections", { limit, cursor });
        const { result } = body as { result: { connections: object; cursor?: string } };
        const page = Object.keys(result.connections);
        expect(page.length).toBeLessThanOrEqual(limit);
        found.push(...page);
        cursor = result.cursor;
      }
      expect(found).toEqual(ids.toSorted());
    }
  });

  it("tells what each client is, and those of one user", async () => {
    const { post, open } = await startApi();
    const { id } = await open("ada", "a");
    await open("bob", "b");
    expect((await post("/api/connections", { user: "ada" })).body).toEqual({
      result: {
        connections: {
          [id]: {
            app_name: "js",
            app_version: "1",
            transport: "websocket",
            protocol: "json",
            user: "ada",
            state: { channels: { a: {} } },
            connected_at_ms: 5,
            num_channels: 1,
            remote_address: "127.0.0.1",
            node: expect.any(String),
            shard: 0,
            address: id,
          },
        },
      },
    });
    expect((await post("/api/connections", { user: "cid" })).body).toEqual({ result: { connections: {} } });
    expect((await post("/api/connections", { client: id })).text).toContain(`"${id}"`);
  });
});
