import { createServer } from "node:http";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { type Authorize, Switchboard } from "../../../src/index.ts";
import { actorUrl, startBoard } from "../../support/board.ts";
import { text } from "../../support/frames.ts";
import { RawClient, upgradeRequest } from "../../support/raw-client.ts";

async function start(authorize: Authorize): Promise<{ board: Switchboard; port: number }> {
  return startBoard({ actor: "scripted", attach: { path: "/chat/:room", authorize } });
}

async function sessionOf(client: RawClient): Promise<unknown> {
  client.write(text('{"do":"who"}'));
  return JSON.parse(await client.text()).session;
}

const PATH = "/chat/blue";

it.each<{ name: string; authorize: Authorize }>([
  { name: "gives", authorize: () => ({ session: { user: "ada", roles: ["admin"] } }) },
  { name: "resolves with", authorize: async () => ({ session: { user: "ada", roles: ["admin"] } }) },
])("accepts with the session that authorize $name", async ({ authorize }) => {
  const { port } = await start(authorize);
  expect(await sessionOf(await RawClient.open({ port, path: PATH }))).toEqual({ user: "ada", roles: ["admin"] });
});

it("accepts with an undefined session when authorize returns one", async () => {
  const { port } = await start(() => ({ session: undefined }));
  expect(await sessionOf(await RawClient.open({ port, path: PATH }))).toBeUndefined();
});

it("passes the request to authorize, with its query, headers and parameters", async () => {
  const { port } = await start((request, params) => {
    const { searchParams } = new URL(request.url ?? "", "http://localhost");
    return { session: { params, token: searchParams.get("token"), cookie: request.headers.cookie } };
  });
  const client = await RawClient.open({ port, path: `${PATH}?token=a%20b`, headers: { Cookie: "id=7" } });
  expect(await sessionOf(client)).toEqual({ params: { room: "blue" }, token: "a b", cookie: "id=7" });
});

it("keeps bytes that a client sends while authorize is pending", async () => {
  const decided = Promise.withResolvers<{ session: string }>();
  const called = Promise.withResolvers<void>();
  const { port } = await start(() => {
    called.resolve();
    return decided.promise;
  });
  const client = await RawClient.connect(port);
  client.write(Buffer.concat([Buffer.from(upgradeRequest({ path: PATH })), text('{"do":"send","bytes":1}')]));
  await called.promise;
  client.write(text('{"do":"send","bytes":2}'));
  decided.resolve({ session: "s" });
  expect((await client.response()).status).toBe(101);
  expect((await client.frame()).payload).toHaveLength(1);
  expect(await client.text()).toBe("result sent");
  expect((await client.frame()).payload).toHaveLength(2);
});

it("answers with exactly the refusal of authorize", async () => {
  const { board, port } = await start(() => ({
    status: 401,
    headers: { "WWW-Authenticate": 'Bearer realm="chat"', "Content-Type": "application/json" },
    body: '{"error":"é"}',
  }));
  const client = await RawClient.connect(port);
  client.write(upgradeRequest({ path: PATH }));
  expect(await client.response()).toEqual({
    status: 401,
    headers: {
      "www-authenticate": 'Bearer realm="chat"',
      "content-type": "application/json",
      "content-length": "14",
      connection: "close",
    },
  });
  expect(await client.rest()).toBe('{"error":"é"}');
  expect(board.stats().upgrades).toMatchObject({ accepted: 0, refused: { 401: 1 } });
});

it("answers a refusal without body with the status phrase", async () => {
  const { port } = await start(async () => ({ status: 403 }));
  const client = await RawClient.connect(port);
  client.write(upgradeRequest({ path: PATH }));
  expect((await client.response()).status).toBe(403);
  expect(await client.rest()).toBe("Forbidden\n");
});

/** Values that TypeScript would reject. */
const wrong = (value: unknown): Authorize => (() => value) as Authorize;

it.each<{ name: string; authorize: Authorize; error: object }>([
  {
    name: "throws",
    authorize: () => {
      throw new TypeError("no database");
    },
    error: { name: "TypeError", message: "no database" },
  },
  {
    name: "rejects",
    authorize: async () => {
      throw new TypeError("no database");
    },
    error: { name: "TypeError", message: "no database" },
  },
  { name: "returns nothing", authorize: wrong(undefined), error: { code: "ERR_AUTHORIZE" } },
  { name: "gives null", authorize: wrong(null), error: { code: "ERR_AUTHORIZE" } },
  { name: "gives true", authorize: wrong(true), error: { code: "ERR_AUTHORIZE" } },
  { name: "returns an empty object", authorize: wrong({}), error: { code: "ERR_AUTHORIZE" } },
  {
    name: "returns a session with a function",
    authorize: () => ({ session: { save: () => {} } }),
    error: { code: "ERR_SESSION_NOT_CLONEABLE" },
  },
])("answers 500 and reports it when authorize $name", async ({ authorize, error }) => {
  const { board, port } = await start(authorize);
  const failed = vi.fn<(error: Error) => void>();
  board.on("handshakeFailed", failed);
  const client = await RawClient.connect(port);
  client.write(upgradeRequest({ path: PATH }));
  expect((await client.response()).status).toBe(500);
  expect(await client.rest()).toBe("Internal Server Error\n");
  expect(failed).toHaveBeenCalledOnce();
  expect(failed.mock.calls[0]?.[0]).toMatchObject(error);
  expect(board.stats()).toMatchObject({ connections: 0, upgrades: { accepted: 0, refused: { 500: 1 } } });
});

it.each(["a string", undefined, null])("answers 500 when authorize throws %s, without listeners", async (thrown) => {
  const warned = vi.spyOn(process, "emitWarning").mockReturnValue();
  const { port } = await start(() => {
    throw thrown;
  });
  const client = await RawClient.connect(port);
  client.write(upgradeRequest({ path: PATH }));
  expect((await client.response()).status).toBe(500);
  expect(warned).toHaveBeenCalledOnce();
  warned.mockRestore();
});

it("closes a handshake that exceeds its deadline", async () => {
  const authorize: Authorize = () => new Promise(() => {});
  const { board, port } = await startBoard({ attach: { authorize, handshakeTimeoutMs: 20 } });
  const client = await RawClient.connect(port);
  client.write(upgradeRequest());
  expect(await client.rest()).toBe("");
  await vi.waitFor(() => expect(board.stats().upgrades.timedOut).toBe(1));
});

it("counts a peer that leaves while authorize is pending, and opens no connection", async () => {
  const decided = Promise.withResolvers<{ session: string }>();
  const called = Promise.withResolvers<void>();
  const { board, port } = await start(() => {
    called.resolve();
    return decided.promise;
  });
  const client = await RawClient.connect(port);
  client.write(upgradeRequest({ path: PATH }));
  await called.promise;
  client.reset();
  await vi.waitFor(() => expect(board.stats().upgrades.abandoned).toBe(1));
  decided.resolve({ session: "late" });
  await RawClient.open({ port, path: PATH });
  expect(board.stats()).toMatchObject({ connections: 1, upgrades: { accepted: 1, abandoned: 1 } });
});

describe("an actor module with its own authorize", () => {
  it("is refused in the main thread without the option authorize, because everybody would get in", async () => {
    const board = await Switchboard.start({ actor: actorUrl("authorizing"), shards: 1 });
    onTestFinished(async () => void (await board.close({ timeoutMs: 0 })));
    const ignored = { code: "ERR_AUTHORIZE_IGNORED", message: expect.stringContaining("give authorize as an option") };
    expect(() => board.attach(createServer())).toThrow(expect.objectContaining(ignored));
    await expect(board.listen({ port: 0, host: "127.0.0.1", handshake: "main" })).rejects.toMatchObject(ignored);
  });

  it("is asked in the shards, which do the handshakes of a port if possible", async () => {
    const board = await Switchboard.start({ actor: actorUrl("authorizing"), shards: 1 });
    onTestFinished(async () => void (await board.close({ timeoutMs: 0 })));
    const { port } = await board.listen({ port: 0, host: "127.0.0.1" });
    const headers = { "X-Authorize": JSON.stringify({ gives: { status: 401 } }) };
    await expect(RawClient.open({ port, headers })).rejects.toThrow("401");
  });

  it("gives way to the option authorize in the main thread", async () => {
    const { port } = await startBoard({ actor: "authorizing", attach: { authorize: () => ({ session: "mine" }) } });
    const client = await RawClient.open({ port });
    client.write(text('{"do":"who"}'));
    expect(JSON.parse(await client.text())).toMatchObject({ session: "mine" });
  });
});

it("doesn't leave handshakes to shards whose sockets stay in the main thread", async () => {
  const board = await Switchboard.start({ actor: actorUrl("authorizing"), shards: 1, sockets: "relay" });
  onTestFinished(async () => void (await board.close({ timeoutMs: 0 })));
  const listening = board.listen({ port: 0, host: "127.0.0.1", handshake: "shard" });
  await expect(listening).rejects.toMatchObject({ code: "ERR_SOCKETS_STAY" });
});
