import { describe, expect, it, onTestFinished } from "vitest";
import { startBoard } from "../support/board.ts";
import { deflateMessage } from "../support/deflate.ts";
import { entrances } from "../support/entrances.ts";
import { clientFrame, text } from "../support/frames.ts";
import { RawClient } from "../support/raw-client.ts";

const MIB = 1024 * 1024;
const COUNT = 1_024;
const TEXT = 0x1;
const COMPRESSED = 0x4;

/** Masks with a key of zeros, which changes no byte. */
const key = Buffer.alloc(4);
const payload = (i: number, bytes: number): string => `${i} `.padEnd(bytes, "x");
const all = (message: (i: number) => Buffer): Buffer =>
  Buffer.concat([...Array.from({ length: COUNT }, (_, i) => message(i)), text("done")]);

/** Size of each write. Small, because bytes that wait for encryption on the client's side would count, too. */
async function write(client: RawClient, bytes: Buffer): Promise<void> {
  for (let at = 0; at < bytes.length; at += 256 * 1024) {
    await new Promise<void>((resolve) => client.socket.write(bytes.subarray(at, at + 256 * 1024), () => resolve()));
  }
}

/**
 * Messages and the bound of the process's memory growth: below the number of bytes sent, and above what a thread leaves
 * to its garbage collector and to the buffers of io_uring, which count twice (32 MiB).
 */
const kinds = [
  { kind: "96 MiB of plain", bound: 80 * MIB, frames: all((i) => text(payload(i, 96 * 1024), { key })) },
  {
    kind: "256 MiB of compressed",
    bound: 128 * MIB,
    frames: all((i) => clientFrame(TEXT, deflateMessage(payload(i, 256 * 1024)), { rsv: COMPRESSED, key })),
  },
];

describe.each(entrances)("over $name, an actor that is slower than its peer", ({ start }) => {
  it.each(kinds)("receives all $kind messages without the process buffering them", async ({ frames, bound }) => {
    const { open } = await start({ actor: "slow", compression: true });
    const client = await open({ "Sec-WebSocket-Extensions": "permessage-deflate" });
    const before = process.memoryUsage.rss();
    let most = before;
    const watch = setInterval(() => {
      most = Math.max(most, process.memoryUsage.rss());
    }, 5);
    onTestFinished(() => clearInterval(watch));
    const written = write(client, frames);
    expect(await client.text()).toBe(`${COUNT}`);
    await written;
    expect(most - before).toBeLessThan(bound);
  });
});

describe("a connection's rate limits", () => {
  it.each([
    ["messages", { maxMessagesPerSecond: 50 }],
    ["bytes", { maxBytesPerSecond: 50 * text("m00").length }],
  ])("delay a peer that exceeds %s, and lose no message", async (_, rates) => {
    const { board, port } = await startBoard(rates);
    const client = await RawClient.open({ port });
    const sent = Array.from({ length: 75 }, (__, i) => `m${i + 10}`);
    // The peer sends all messages at once. A peer that a busy machine slows down might stay below the rate.
    const writtenAt = performance.now();
    client.write(Buffer.concat(sent.map((one) => text(one))));
    for (const one of sent) expect(await client.text()).toBe(one);
    // The first 50 messages are the allowance of one second. The others come at 50 per second.
    expect(performance.now() - writtenAt).toBeGreaterThan(400);
    expect(board.stats().shards[0]).toMatchObject({ violations: 0, abnormalClosures: 0 });
    expect(board.stats().shards[0]?.rateLimited).toBeGreaterThan(0);
    expect(board.stats().connections).toBe(1);
  });

  it.each([
    ["messages", { maxMessagesPerSecond: 50 }],
    ["bytes", { maxBytesPerSecond: 1_000 }],
  ])("close a peer that exceeds %s, if rateLimitPolicy says so", async (_, rates) => {
    const { board, port } = await startBoard({ ...rates, rateLimitPolicy: "close" });
    const startedAt = performance.now();
    const client = await RawClient.open({ port });
    client.write(Buffer.concat(Array.from({ length: 500 }, () => text("much"))));
    for (;;) {
      const { opcode, payload: told } = await client.frame();
      if (opcode === TEXT) continue;
      expect([told.readUInt16BE(), told.toString("utf8", 2)]).toEqual([1008, "sends too much"]);
      break;
    }
    expect(board.stats().shards[0]).toMatchObject({ rateLimited: 1 });
    // One second's allowance, and what became due until the end: a busy machine may take longer.
    const seconds = (performance.now() - startedAt) / 1_000;
    expect(board.stats().shards[0]?.messagesReceived).toBeLessThanOrEqual(50 * (1 + seconds));
  });

  it("don't affect a peer that stays below them", async () => {
    const { board, port } = await startBoard({
      maxMessagesPerSecond: 100,
      maxBytesPerSecond: 10_000,
      rateLimitPolicy: "close",
    });
    const client = await RawClient.open({ port });
    for (let i = 0; i < 100; i++) {
      client.write(text(`${i}`));
      expect(await client.text()).toBe(`${i}`);
    }
    expect(board.stats().shards[0]).toMatchObject({ rateLimited: 0 });
  });
});
