import { once } from "node:events";
import { createServer } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { Switchboard } from "../../../src/index.ts";
import { actorUrl, startBoard } from "../../support/board.ts";
import { close, ping, text } from "../../support/frames.ts";
import { addressesOf, expectAllRight, moveAll, openClients } from "../../support/moves.ts";
import { RawClient, upgradeRequest } from "../../support/raw-client.ts";
import { ways } from "../../support/ways.ts";

const relayed = { actor: "counting", sockets: "relay", shards: 3 } as const;

it("moves relayed connections that answer all the time, with every message answered once and in order", async () => {
  const { board, port } = await startBoard(relayed);
  const clients = await openClients(20, { port });
  expect(await moveAll(board, await addressesOf(board, 20), 6)).toBe(120);
  await expectAllRight(clients);
  await vi.waitFor(() => expect(board.stats().connections).toBe(0));
});

it("moves relayed connections in the middle of messages", async () => {
  const { board, port } = await startBoard(relayed);
  const sizeOf = (number: number) => 1_000 + ((number * 7_919) % 40_000);
  const clients = await openClients(8, { port, sizeOf, pieceBytes: 700 });
  await moveAll(board, await addressesOf(board, 8), 8);
  await expectAllRight(clients);
});

it("moves what waits for slow readers, beyond the window of the relay", async () => {
  const { board, port } = await startBoard({ ...relayed, maxBufferedBytes: 64 * 1024 * 1024 });
  const clients = await openClients(4, { port, sizeOf: () => 150_000, window: 24, readEveryMs: 1 });
  await moveAll(board, await addressesOf(board, 4), 5);
  await expectAllRight(clients);
});

describe.each(ways.filter(({ name }) => name !== "TLS in the shards"))("with $name", ({ start }) => {
  it("a connection moves, and its messages are answered once and in order", async () => {
    const { board, ask } = await start({ actor: "moving", shards: 2 });
    const { write, text: next } = await ask("/");
    const [address] = await addressesOf(board, 1);
    if (address === undefined) return expect.fail("no connection");
    let isOver = false;
    let moves = 0;
    const moving = (async (): Promise<void> => {
      for (; !isOver; moves++) expect(await board.move(address, (moves + 1) % 2)).toEqual({ moved: true });
    })();
    for (let i = 0; i < 30 || moves < 2; i++) {
      write(text(`${i} one`));
      write(text(`${i} two`));
      expect([await next(), await next()]).toEqual([`${i} one`, `${i} two`]);
    }
    isOver = true;
    await moving;
  });
});

it("moves connections over a Unix socket", async () => {
  const board = await Switchboard.start({ actor: actorUrl("moving"), shards: 2, warmUp: false });
  onTestFinished(async () => void (await board.close({ timeoutMs: 0 })));
  const server = createServer();
  const path = join(tmpdir(), `switchboard-moves-${process.pid}.sock`);
  server.listen(path);
  await once(server, "listening");
  onTestFinished(() => void server.close());
  board.attach(server);
  const client = new RawClient(connect(path));
  client.write(upgradeRequest());
  await client.head();
  const [address] = await addressesOf(board, 1);
  if (address === undefined) return expect.fail("no connection");
  for (const shard of [1, 0, 1]) {
    expect(await board.move(address, shard)).toEqual({ moved: true });
    client.write(text(`to ${shard}`));
    expect(await client.text()).toBe(`to ${shard}`);
  }
  client.socket.destroy();
});

it("answers pings and a close of a relayed peer once and in order, while it moves", async () => {
  const { board, port } = await startBoard({ ...relayed, actor: "moving", shards: 2 });
  const client = await RawClient.open({ port });
  const [address] = await addressesOf(board, 1);
  if (address === undefined) return expect.fail("no connection");
  let isOver = false;
  const moving = (async (): Promise<void> => {
    for (let i = 1; !isOver; i++) if (!(await board.move(address, i % 2)).moved) return;
  })();
  const pings = Array.from({ length: 200 }, (_, i) => `${i}`);
  for (const one of pings) {
    client.write(ping(one));
    if (Number(one) % 10 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  const pongs: string[] = [];
  while (pongs.at(-1) !== "199") pongs.push((await client.frame()).payload.toString());
  expect(pongs).toEqual(pings);
  client.write(close(4001, "bye"));
  client.socket.end();
  const frame = await client.frame();
  expect([frame.opcode, frame.payload.readUInt16BE(), frame.payload.toString("utf8", 2)]).toEqual([0x8, 4001, "bye"]);
  isOver = true;
  await moving;
  await vi.waitFor(() => expect(board.stats().connections).toBe(0));
  const closes = board.stats().shards.map(({ closes: { 1006: lost = 0, "4xxx": own = 0 } }) => [lost, own]);
  expect(closes.toSorted()).toEqual([
    [0, 0],
    [0, 1],
  ]);
});

it("ends relayed connections whose peers vanish in the very moment, once each", async () => {
  const { board, port } = await startBoard({ ...relayed, actor: "moving", shards: 2 });
  const reports: unknown[] = [];
  board.on("reported", ({ value }) => reports.push(value));
  for (let round = 0; round < 12; round++) {
    const client = await RawClient.open({ port });
    const [address] = await addressesOf(board, 1);
    if (address === undefined) return expect.fail("no connection");
    client.write(text("one"));
    const move = board.move(address, round % 2);
    if (round % 3 === 0) await new Promise((resolve) => setImmediate(resolve));
    if (round % 4 < 2) client.socket.resetAndDestroy();
    else client.socket.destroy();
    await move;
    await vi.waitFor(() => expect(board.stats().connections).toBe(0));
  }
  await vi.waitFor(() => expect(reports).toHaveLength(12));
  const ended = reports.filter((report) => (report as string[]).filter((one) => one === "closed 1006").length === 1);
  expect(ended).toHaveLength(12);
});

it("keeps relayed connections through a reload", async () => {
  const { board, port } = await startBoard({ ...relayed, shards: 2 });
  const clients = await openClients(20, { port, thinkMs: 5 });
  await addressesOf(board, 20);
  expect(await board.reload()).toMatchObject({ moved: 20, closed: 0 });
  await expectAllRight(clients);
});

it("goes on in the same shard when the state of a relayed connection can't be cloned", async () => {
  const { board, port } = await startBoard({ ...relayed, actor: "moving", shards: 2 });
  const client = await RawClient.open({ port });
  onTestFinished(() => void client.socket.destroy());
  const [address] = await addressesOf(board, 1);
  if (address === undefined) return expect.fail("no connection");
  client.write(text("plan function"));
  expect(await client.text()).toBe("planned");
  expect(await board.move(address, 1)).toEqual({ moved: false, reason: "state" });
  client.write(text("plan "));
  expect(await client.text()).toBe("planned");
  expect(await board.move(address, 1)).toEqual({ moved: true });
  client.write(text("there"));
  expect(await client.text()).toBe("there");
});
