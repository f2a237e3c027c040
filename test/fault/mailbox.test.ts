import { setImmediate as turn } from "node:timers/promises";
import { describe, expect, it, vi } from "vitest";
import { startBoard, type TestBoardOptions } from "../support/board.ts";
import { close, type ServerFrame, text } from "../support/frames.ts";
import { RawClient } from "../support/raw-client.ts";

const TEXT = 0x1;
const PING = 0x9;
const MAILBOX_LIMIT = 8;

/** Starts a board whose actors handle as many messages as the test allows. */
async function setUp(options: TestBoardOptions = {}) {
  const gate = new Int32Array(new SharedArrayBuffer(4));
  const attach = { authorize: () => ({ session: { gate: gate.buffer } }) };
  const { board, port } = await startBoard({ actor: "gated", maxMailboxMessages: MAILBOX_LIMIT, attach, ...options });
  const allow = (messages: number): void => {
    Atomics.store(gate, 0, messages);
    Atomics.notify(gate, 0);
  };
  const shard = () => {
    const [first] = board.stats().shards;
    if (first === undefined) throw new Error("no shard");
    return first;
  };
  return { board, port, allow, shard };
}

const nameOf = (i: number): string => `m${String(i).padStart(8, "0")}`;
const small = (i: number): Buffer => text(nameOf(i));
const large = (i: number): Buffer => text(`${nameOf(i)} ${"x".repeat(16 * 1024)}`);
const series = (count: number, message: (i: number) => Buffer): Buffer[] =>
  Array.from({ length: count }, (_, i) => message(i));

/** The next frame that is a message. */
async function message(client: RawClient): Promise<string> {
  let frame: ServerFrame;
  do frame = await client.frame();
  while (frame.opcode === PING);
  expect(frame.opcode).toBe(TEXT);
  return frame.payload.toString();
}

async function expectHandled(client: RawClient, from: number, to: number): Promise<void> {
  for (let i = from; i < to; i++) expect((await message(client)).trimEnd()).toBe(`handled ${nameOf(i)}`);
}

/** Waits until the number stays the same for many turns of the event loop while other connections work. */
async function steady(read: () => number): Promise<number> {
  for (let last = read(), same = 0; ; ) {
    for (let i = 0; i < 2_000; i++) await turn();
    const now = read();
    same = now === last ? same + 1 : 0;
    last = now;
    if (same === 10) return now;
  }
}

describe("a full mailbox", () => {
  it("stops reading from its peer, so that the peer has to wait", async () => {
    const { port, shard } = await setUp();
    const client = await RawClient.open({ port });
    client.write(Buffer.concat(series(1_000, large)));
    await vi.waitFor(() => expect(shard().messagesReceived).toBe(MAILBOX_LIMIT + 1), 10_000);
    expect(await steady(() => client.socket.writableLength)).toBeGreaterThan(0);
    expect(shard().messagesReceived).toBe(MAILBOX_LIMIT + 1);
  });

  it("also stops reading when its messages reach the limit in bytes", async () => {
    const { port, shard } = await setUp({ maxMailboxMessages: 1_000_000, maxMailboxBytes: 100_000 });
    const client = await RawClient.open({ port });
    client.write(Buffer.concat(series(1_000, large)));
    // One message in the handler, then the messages up to the limit: 7 of 16 KiB.
    await vi.waitFor(() => expect(shard().messagesReceived).toBe(8), 10_000);
    expect(await steady(() => client.socket.writableLength)).toBeGreaterThan(0);
    expect(shard().messagesReceived).toBe(8);
  });

  it.each([
    ["small", small],
    ["large", large],
  ])("drops nothing: every %s message is handled in order as the mailbox drains", async (_, create) => {
    const { port, allow, shard } = await setUp();
    const client = await RawClient.open({ port });
    client.write(Buffer.concat(series(1_000, create)));
    await vi.waitFor(() => expect(shard().messagesReceived).toBe(MAILBOX_LIMIT + 1), 10_000);
    for (const allowed of [1, 2, 9, 10, 500, 1_000]) allow(allowed);
    await expectHandled(client, 0, 1_000);
    expect(shard().messagesReceived).toBe(1_000);
  });

  it("makes its peer send at the pace at which the actor handles messages", async () => {
    const { port, allow, shard } = await setUp();
    const client = await RawClient.open({ port });
    client.write(Buffer.concat(series(300, small)));
    for (let allowed = 0; allowed < 300; allowed += 50) {
      allow(allowed);
      await expectHandled(client, Math.max(0, allowed - 50), allowed);
      expect(shard().messagesReceived).toBeLessThanOrEqual(allowed + MAILBOX_LIMIT + 1);
    }
  });

  it("bounds the bytes that are read ahead of a slow actor", async () => {
    const { port, allow, shard } = await setUp();
    const frames = Buffer.concat(series(200_000, small));
    const client = await RawClient.open({ port });
    const handled = 4_000;
    const frameBytes = small(0).length;
    client.write(frames);
    await vi.waitFor(() => expect(shard().messagesReceived).toBe(MAILBOX_LIMIT + 1), 10_000);
    for (let allowed = 0; allowed < handled; allowed += 100) {
      allow(allowed + 100);
      await expectHandled(client, allowed, allowed + 100);
    }
    // One read takes at most 64 KiB. A few reads may be on their way.
    expect(shard().bytesReceived - handled * frameBytes).toBeLessThan(256 * 1024);
  });

  it("lets the actor handle all messages that came before its peer ended the connection", async () => {
    const { port, allow } = await setUp();
    const watcher = await RawClient.open({ port });
    watcher.write(text("watch"));
    expect(await watcher.text()).toBe("watching");
    const client = await RawClient.open({ port });
    client.write(Buffer.concat(series(1_000, small)));
    client.socket.end();
    allow(1_000);
    expect(await watcher.text()).toBe("closed 1000 1006 ");
  });

  it("lets the actor handle all messages that came before its peer's close frame", async () => {
    const { port, allow } = await setUp();
    const watcher = await RawClient.open({ port });
    watcher.write(text("watch"));
    expect(await watcher.text()).toBe("watching");
    const client = await RawClient.open({ port });
    client.write(Buffer.concat([...series(1_000, small), close(1000, "done")]));
    allow(1_000);
    expect(await watcher.text()).toBe("closed 1000 1000 done");
    await expectHandled(client, 0, 990);
  });

  it("affects no other connection", async () => {
    const { port, allow, shard } = await setUp();
    const stuck = await RawClient.open({ port });
    stuck.write(Buffer.concat(series(100, small)));
    await vi.waitFor(() => expect(shard().messagesReceived).toBe(MAILBOX_LIMIT + 1), 10_000);
    const watcher = await RawClient.open({ port });
    watcher.write(text("watch"));
    expect(await watcher.text()).toBe("watching");
    allow(100);
    await expectHandled(stuck, 0, 100);
  });

  it("isn't mistaken for a dead peer, however long it stays full", async () => {
    const { port, allow, shard } = await setUp({ pingIntervalMs: 100, pongTimeoutMs: 500 });
    const client = await RawClient.open({ port });
    // The kernel takes all of the messages: nothing that follows depends on how fast this client sends.
    client.write(Buffer.concat(series(40, large)));
    await vi.waitFor(() => expect(shard().messagesReceived).toBe(MAILBOX_LIMIT + 1), 10_000);
    // One ping for each time that the pong of a peer whose socket is read would have been overdue.
    for (let pings = 0; pings < 4; pings++) expect(await client.frame()).toMatchObject({ opcode: PING });
    expect(shard().abnormalClosures).toBe(0);
    // From here on the socket is read, and this peer, which sends no pong, may be taken for dead.
    allow(40);
    await expectHandled(client, 0, 40);
  });
});
