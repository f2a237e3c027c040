import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { expect, it, onTestFinished, vi } from "vitest";
import { WebSocket } from "ws";
import type { Address, Switchboard } from "../../../src/index.ts";
import { startBoard } from "../../support/board.ts";
import { close, continuation, ping, text } from "../../support/frames.ts";
import { RawClient } from "../../support/raw-client.ts";

interface Hopping {
  readonly moves: () => number;
  /** Resolves when the connection moves no more. */
  end(): Promise<void>;
}

/** Moves a connection to and fro until it has closed, or until `end`. */
function hop(board: Switchboard, address: Address): Hopping {
  let moves = 0;
  let isOver = false;
  const hopping = (async (): Promise<void> => {
    for (; !isOver; moves++) if (!(await board.move(address, (moves + 1) % 2)).moved) return;
  })();
  return {
    moves: () => moves,
    end: () => {
      isOver = true;
      return hopping;
    },
  };
}

async function addressIn(board: Switchboard): Promise<Address> {
  return (await board.connections()).connections[0]?.address as Address;
}

it("moves compressed connections whose peers refer to their earlier messages", async () => {
  const { board, port } = await startBoard({
    actor: "moving",
    shards: 2,
    compression: { contextTakeover: true, threshold: 64 },
  });
  const socket = new WebSocket(`ws://127.0.0.1:${port}/`, { perMessageDeflate: { threshold: 0 } });
  onTestFinished(() => socket.terminate());
  await once(socket, "open");
  expect(socket.extensions).not.toContain("client_no_context_takeover");
  const noise = randomBytes(3_000).toString("base64");
  const hopping = hop(board, await addressIn(board));
  for (let i = 0; i < 120 || hopping.moves() < 10; i++) {
    const message = `${i} ${noise.slice(i, i + 2_000)} ${noise.slice(0, (i % 500) * 7)}`;
    const answer = once(socket, "message");
    socket.send(message);
    expect(String((await answer)[0])).toBe(message);
  }
  await hopping.end();
});

it("moves in the middle of a fragmented text with pings between the fragments, cut at every byte", async () => {
  const { board, port } = await startBoard({ actor: "moving", shards: 2 });
  const client = await RawClient.open({ port });
  onTestFinished(() => void client.socket.destroy());
  const address = await addressIn(board);
  const stream = Buffer.concat([
    text("first ", { fin: false }),
    ping("one"),
    continuation("née ", { fin: false }),
    ping("two"),
    continuation("last"),
  ]);
  let shard = 0;
  for (let at = 0; at < stream.length; at++) {
    client.write(stream.subarray(at, at + 1));
    if (at % 3 !== 0) continue;
    shard = 1 - shard;
    expect(await board.move(address, shard)).toEqual({ moved: true });
  }
  const frames = [await client.frame(), await client.frame(), await client.frame()];
  expect(frames.map(({ opcode, payload }) => [opcode, payload.toString()])).toEqual([
    [0xa, "one"],
    [0xa, "two"],
    [0x1, "first née last"],
  ]);
});

it("answers a burst of pings, and a close, once and in order, while it moves", async () => {
  const { board, port } = await startBoard({ actor: "moving", shards: 2 });
  const client = await RawClient.open({ port });
  const address = await addressIn(board);
  const hopping = hop(board, address);
  const pings = Array.from({ length: 1_000 }, (_, i) => `${i}`);
  for (const one of pings) {
    client.write(ping(one));
    if (Number(one) % 10 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  const pongs: string[] = [];
  while (pongs.at(-1) !== "999") pongs.push((await client.frame()).payload.toString());
  expect(pongs).toEqual(pings);
  await vi.waitFor(() => expect(hopping.moves()).toBeGreaterThan(0));
  client.write(close(4001, "bye"));
  const frame = await client.frame();
  expect([frame.opcode, frame.payload.readUInt16BE(), frame.payload.toString("utf8", 2)]).toEqual([0x8, 4001, "bye"]);
  await hopping.end();
  await vi.waitFor(() => expect(board.stats().connections).toBe(0));
  const closes = board.stats().shards.map(({ closes: { 1006: lost = 0, "4xxx": own = 0 } }) => ({ lost, own }));
  expect(closes.reduce((sum, { own }) => sum + own, 0)).toBe(1);
  expect(closes.reduce((sum, { lost }) => sum + lost, 0)).toBe(0);
});

it("ends connections whose peers vanish in the very moment, once each", async () => {
  const { board, port } = await startBoard({ actor: "moving", shards: 2 });
  const reports: unknown[] = [];
  board.on("reported", ({ value }) => reports.push(value));
  for (let round = 0; round < 20; round++) {
    const client = await RawClient.open({ port });
    await vi.waitFor(async () => expect((await board.connections()).connections).toHaveLength(1));
    const address = await addressIn(board);
    client.write(text("one"));
    const move = board.move(address, round % 2);
    if (round % 3 === 0) await new Promise((resolve) => setImmediate(resolve));
    if (round % 4 < 2) client.socket.resetAndDestroy();
    else client.socket.destroy();
    await move;
    await vi.waitFor(() => expect(board.stats().connections).toBe(0));
  }
  await vi.waitFor(() => expect(reports).toHaveLength(20));
  expect(board.stats().shards.reduce((sum, { actors }) => sum + actors, 0)).toBe(0);
  const ended = reports.filter((report) => (report as string[]).filter((one) => one === "closed 1006").length === 1);
  expect(ended).toHaveLength(20);
});

it("keeps what waits for a slow reader droppable, and replaceable by topic", async () => {
  const { board, port } = await startBoard({
    actor: "moving",
    shards: 2,
    slowConsumerPolicy: "dropOldest",
    maxBufferedBytes: 4 * 1024 * 1024,
  });
  const client = await RawClient.open({ port });
  onTestFinished(() => void client.socket.destroy());
  const address = await addressIn(board);
  client.socket.pause();
  // More than the system takes and than may wait: the oldest frames are dropped, before and after the move.
  const send = (from: number, to: number): void => {
    for (let i = from; i < to; i++) client.write(text(`${String(i).padStart(6, "0")}${"x".repeat(20_000)}`));
  };
  send(0, 800);
  await vi.waitFor(() => expect(board.stats().shards[0]?.messagesReceived).toBe(800));
  expect(await board.move(address, 1)).toEqual({ moved: true });
  send(800, 1_200);
  await vi.waitFor(() => expect(board.stats().shards[1]?.messagesReceived).toBe(400));
  client.socket.resume();
  const numbers: number[] = [];
  while (numbers.at(-1) !== 1_199) numbers.push(Number((await client.frame()).payload.toString("utf8", 0, 6)));
  expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
  // A message is received before its echo drops others: only now all are counted.
  const [before = 0, after = 0] = board.stats().shards.map(({ droppedOldest }) => droppedOldest);
  expect(after).toBeGreaterThan(300);
  expect(numbers).toHaveLength(1_200 - before - after);
});
