import { describe, expect, it, vi } from "vitest";
import { startBoard } from "../support/board.ts";
import { parseServerFrame, ping, type ServerFrame, text } from "../support/frames.ts";
import { RawClient } from "../support/raw-client.ts";

const PONG = 0xa;
const MIB = 1024 * 1024;

/** Reads frames without keeping them. Resolves with the frame for which `isLast` returns true. */
function readUntil(client: RawClient, isLast: (frame: ServerFrame) => boolean): Promise<ServerFrame> {
  client.socket.removeAllListeners("data");
  return new Promise((resolve, reject) => {
    let rest: Buffer = Buffer.alloc(0);
    client.socket.on("close", () => reject(new Error("the connection ended first")));
    client.socket.on("data", (chunk: Buffer) => {
      rest = Buffer.concat([rest, chunk]);
      for (let parsed = parseServerFrame(rest); parsed !== undefined; parsed = parseServerFrame(rest)) {
        rest = parsed.rest;
        if (!isLast(parsed.frame)) continue;
        client.socket.removeAllListeners("data");
        return resolve(parsed.frame);
      }
    });
    client.socket.resume();
  });
}

/** Pings of 100 bytes, numbered from `from`, masked with a key of zeros, which changes no byte. */
function pings(from: number, count: number): Buffer {
  const frame = ping(" ".repeat(100), { key: Buffer.alloc(4) });
  const all = Buffer.alloc(frame.length * count);
  for (let i = 0; i < count; i++) {
    frame.write(String(from + i).padStart(8, "0"), frame.length - 100, "latin1");
    frame.copy(all, i * frame.length);
  }
  return all;
}

/** Measures the peak memory of this process from now until `stop`. */
function watchMemory(): { stop: () => number } {
  const before = process.memoryUsage.rss();
  let most = before;
  const timer = setInterval(() => {
    most = Math.max(most, process.memoryUsage.rss());
  }, 10);
  return {
    stop: () => {
      clearInterval(timer);
      return Math.max(most, process.memoryUsage.rss()) - before;
    },
  };
}

async function write(client: RawClient, bytes: Uint8Array): Promise<void> {
  await new Promise<void>((resolve) => client.socket.write(bytes, () => resolve()));
}

describe("a peer that doesn't read", () => {
  it("is closed with 1013 when its actor sends more than maxBufferedBytes", async () => {
    const { board, port } = await startBoard({ actor: "scripted", maxBufferedBytes: 256 * 1024, closeTimeoutMs: 500 });
    const watcher = await RawClient.open({ port });
    watcher.write(text('{"do":"subscribe","topic":"log"}'));
    expect(await watcher.text()).toBe("subscribed log");
    const slow = await RawClient.open({ port });
    slow.socket.pause();
    slow.write(Buffer.concat(Array.from({ length: 1_000 }, () => text('{"do":"send","bytes":65536}'))));
    expect(await watcher.text()).toMatch(/^opened /);
    expect(await watcher.text()).toMatch(/^closed \S+ 1013 reads too slowly$/);
    expect(board.stats().shards[0]).toMatchObject({ slowConsumersClosed: 1, abnormalClosures: 0 });
    await vi.waitFor(() => expect(board.stats().connections).toBe(1), 10_000);
  });

  it("gets the messages sent before, then the close frame, when it reads in time", async () => {
    const { port } = await startBoard({ actor: "scripted", maxBufferedBytes: 256 * 1024 });
    const slow = await RawClient.open({ port });
    slow.socket.pause();
    const last = readUntil(slow, ({ opcode }) => opcode === 0x8);
    slow.socket.pause();
    slow.write(Buffer.concat(Array.from({ length: 1_000 }, () => text('{"do":"send","bytes":65536}'))));
    const other = await RawClient.open({ port });
    other.write(text('{"do":"who"}'));
    await other.text();
    slow.socket.resume();
    const { payload } = await last;
    expect(payload.readUInt16BE()).toBe(1013);
    expect(payload.toString("utf8", 2)).toBe("reads too slowly");
  });

  it("costs no more memory than maxBufferedBytes, however much its actor sends", async () => {
    const { board, port } = await startBoard({ actor: "scripted", closeTimeoutMs: 500 });
    const slow = await RawClient.open({ port });
    slow.socket.pause();
    const memory = watchMemory();
    slow.write(Buffer.concat(Array.from({ length: 16_000 }, () => text('{"do":"send","bytes":65536}'))));
    await vi.waitFor(() => expect(board.stats().connections).toBe(0), 20_000);
    // A gigabyte was sent.
    expect(memory.stop()).toBeLessThan(200 * MIB);
    expect(board.stats().shards[0]).toMatchObject({ slowConsumersClosed: 1 });
  });

  it("is closed in a fan-out, while the other subscribers get every message in order", async () => {
    const { board, port } = await startBoard({ actor: "scripted", shards: 2, closeTimeoutMs: 500 });
    const subscribe = async (): Promise<RawClient> => {
      const client = await RawClient.open({ port });
      client.write(text('{"do":"subscribe","topic":"news"}'));
      expect(await client.text()).toBe("subscribed news");
      return client;
    };
    const fast = await Promise.all([subscribe(), subscribe(), subscribe(), subscribe()]);
    const slow = await subscribe();
    slow.socket.pause();
    for (let i = 0; i < 1_000; i++) {
      board.publish("news", `${i} ${"x".repeat(64 * 1024)}`);
      for (const client of fast) expect((await client.text()).split(" ")[0]).toBe(String(i));
    }
    await vi.waitFor(() => expect(board.stats().connections).toBe(4), 10_000);
    const slowConsumersClosed = board.stats().shards.reduce((sum, shard) => sum + shard.slowConsumersClosed, 0);
    expect(slowConsumersClosed).toBe(1);
    expect(board.stats().publishesDropped).toBe(0);
  });

  it("costs no memory when it floods with pings, and gets the pong of the newest", async () => {
    const { board, port } = await startBoard();
    const flood = 800_000;
    const client = await RawClient.open({ port });
    client.socket.pause();
    const memory = watchMemory();
    let sentBytes = 0;
    for (let i = 0; i < flood; i += 8_000) {
      const packet = pings(i, 8_000);
      sentBytes += packet.length;
      await write(client, packet);
    }
    await vi.waitFor(() => expect(board.stats().shards[0]?.bytesReceived).toBe(sentBytes), 20_000);
    // The pongs of all pings would take 80 MB.
    expect(memory.stop()).toBeLessThan(60 * MIB);

    const other = await RawClient.open({ port, head: text("hello") });
    expect(await other.text()).toBe("hello");

    let pongs = 0;
    let newest = -1;
    await readUntil(client, ({ opcode, payload }) => {
      expect(opcode).toBe(PONG);
      const number = Number.parseInt(payload.toString(), 10);
      expect(number).toBeGreaterThan(newest);
      newest = number;
      pongs++;
      return number === flood - 1;
    });
    expect(pongs).toBeLessThan(flood);
  });
});
