import { expect, it, vi } from "vitest";
import type { Address, ConnectionInfo, Switchboard } from "../../../src/index.ts";
import { startBoard } from "../../support/board.ts";
import { close, text } from "../../support/frames.ts";
import { RawClient } from "../../support/raw-client.ts";

async function openAll(port: number, count: number): Promise<RawClient[]> {
  const clients: RawClient[] = [];
  for (let i = 0; i < count; i++) clients.push(await RawClient.open({ port, path: `/room-${i}` }));
  return clients;
}

/** All pages, one after the other. */
async function list(board: Switchboard, limit: number, between = async (): Promise<void> => {}) {
  const pages: ConnectionInfo[][] = [];
  for (let cursor: string | undefined = "0.0"; cursor !== undefined; ) {
    const page: Awaited<ReturnType<Switchboard["connections"]>> = await board.connections({ cursor, limit });
    pages.push([...page.connections]);
    ({ cursor } = page);
    await between();
  }
  return pages;
}

it("shows the properties of each connection", async () => {
  const { board, port } = await startBoard({
    actor: "scripted",
    attach: {
      path: "/:room",
      protocols: ["v2"],
      authorize: () => ({ session: { user: "ada" } }),
    },
  });
  const before = Date.now();
  const client = await RawClient.open({ port, path: "/blue", headers: { "Sec-WebSocket-Protocol": "v2" } });
  client.write(text('{"do":"subscribe","topic":"news"}'));
  await client.text();
  const { connections, cursor } = await board.connections();
  expect(cursor).toBeUndefined();
  expect(connections).toEqual([
    {
      address: "0-0",
      shard: 0,
      session: { user: "ada" },
      params: { room: "blue" },
      protocol: "v2",
      topics: 1,
      bufferedBytes: 0,
      openedAt: expect.any(Number),
      remoteAddress: "127.0.0.1",
    },
  ]);
  const openedAt = connections[0]?.openedAt ?? 0;
  expect(openedAt).toBeGreaterThanOrEqual(before);
  expect(openedAt).toBeLessThanOrEqual(Date.now());
});

it.each([1, 3, 7, 20, 1000])("lists every connection of every shard once, in pages of %i", async (limit) => {
  const { board, port } = await startBoard({ shards: 2, attach: { path: "/:room" } });
  await openAll(port, 14);
  const pages = await list(board, limit);
  for (const page of pages) expect(page.length).toBeLessThanOrEqual(limit);
  const all = pages.flat();
  expect(new Set(all.map(({ address }) => address)).size).toBe(14);
  expect(all.map(({ shard }) => shard)).toEqual([...Array(7).fill(0), ...Array(7).fill(1)]);
  const { connections } = await board.connections({ shard: 1 });
  expect(connections).toEqual(all.slice(7));
});

it("lists every remaining connection once while others come and go", async () => {
  const { board, port } = await startBoard({ attach: { path: "/:room" } });
  const clients = await openAll(port, 20);
  let gone = 0;
  const pages = await list(board, 5, async () => {
    // From both sides of the current place in the list.
    for (const client of [clients.shift(), clients.shift(), clients.pop()]) {
      client?.write(close(1000));
      gone++;
    }
    await vi.waitFor(() => expect(board.stats().connections).toBe(20 - gone));
  });
  const rooms = pages.flat().map(({ params }) => params["room"]);
  expect(rooms).toEqual([...new Set(rooms)]);
  // All connections that stayed are in the list.
  const { connections } = await board.connections();
  for (const { params } of connections) expect(rooms).toContain(params["room"]);
});

it.each([{ limit: 0 }, { limit: 1001 }, { shard: -1 }, { cursor: "x" }, { cursor: 5 }, { page: 1 }])(
  "rejects %j",
  async (options) => {
    const { board } = await startBoard();
    await expect(board.connections(options as object)).rejects.toMatchObject({ code: "ERR_OPTION" });
  },
);

it("closes one connection with a code and a reason, and returns whether it was open", async () => {
  const { board, port } = await startBoard({ shards: 2 });
  const [client, other] = [await RawClient.open({ port }), await RawClient.open({ port })];
  const [first, second] = (await board.connections()).connections.map(({ address }) => address);
  if (first === undefined || second === undefined) throw new Error("there are two");
  expect(await board.disconnect(first, 4001, "kicked")).toBe(true);
  expect(await board.disconnect(first)).toBe(false);
  expect(await client.closeFrame()).toEqual({ code: 4001, reason: "kicked" });
  client.write(close(4001));
  await client.closed();
  expect(await board.disconnect(first)).toBe(false);
  expect(await board.disconnect("0-999" as Address)).toBe(false);
  expect(await board.disconnect("99-0" as Address)).toBe(false);
  other.write(text("hello"));
  expect(await other.text()).toBe("hello");
  expect(await board.disconnect(second)).toBe(true);
  expect(await other.closeFrame()).toEqual({ code: 1000, reason: "" });
});

it("rejects an invalid address, code or reason", async () => {
  const { board } = await startBoard();
  const address = "0-0" as Address;
  await expect(board.disconnect("nobody" as Address)).rejects.toMatchObject({ code: "ERR_ADDRESS" });
  await expect(board.disconnect(address, 1005)).rejects.toMatchObject({ code: "ERR_CLOSE_CODE" });
  await expect(board.disconnect(address, 1000, "x".repeat(124))).rejects.toMatchObject({ code: "ERR_CLOSE_REASON" });
});

it("resolves when a shard ends meanwhile, and rejects when the board is closed", async () => {
  const { board, port } = await startBoard({ actor: "faulty" });
  const client = await RawClient.open({ port });
  client.write(text("exit"));
  await client.closed();
  expect((await board.connections()).connections).toEqual([]);
  await board.close({ timeoutMs: 0 });
  const closed = { code: "ERR_CLOSED" };
  await expect(board.connections()).rejects.toMatchObject(closed);
  await expect(board.disconnect("0-0" as Address)).rejects.toMatchObject(closed);
});

it("returns mail in the mailbox of a closed connection to its sender, and answers its asks with gone", async () => {
  const { board, port } = await startBoard({ actor: "mailing" });
  const client = await RawClient.open({ port });
  client.write(text('{"do":"address"}'));
  const address = (await client.text()) as Address;
  client.write(text('{"do":"hold"}'));
  await vi.waitFor(() => expect(board.stats().shards[0]?.messagesReceived).toBe(2));
  expect(await board.tell(address, 1)).toEqual({ status: "accepted" });
  const asked = expect(board.ask(address, 2)).rejects.toMatchObject({ code: "ERR_ASK_GONE" });
  expect(await board.tell(address, 3)).toEqual({ status: "accepted" });
  const letters: unknown[] = [];
  board.on("deadLetter", (letter) => letters.push(letter));
  expect(await board.disconnect(address)).toBe(true);
  await asked;
  const letter = { shard: 0, to: address, from: undefined, reason: "closed" };
  await vi.waitFor(() => expect(letters).toEqual([letter, letter, letter]));
  expect(await board.tell(address, 4)).toEqual({ status: "gone", mail: 4 });
});
