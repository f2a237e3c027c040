import { setImmediate as turn } from "node:timers/promises";
import { describe, expect, it, vi } from "vitest";
import { startBoard } from "../support/board.ts";
import { binary, text } from "../support/frames.ts";
import { RawClient, upgradeRequest } from "../support/raw-client.ts";

/** An authorize that waits until the test opens the door. */
function openDoor() {
  const asked = Promise.withResolvers<void>();
  const door = Promise.withResolvers<void>();
  const authorize = async (): Promise<{ session: undefined }> => {
    asked.resolve();
    await door.promise;
    return { session: undefined };
  };
  return { asked: asked.promise, open: () => door.resolve(), authorize };
}

/**
 * Writes bytes and lets the server read them. Bytes that the kernel has taken on loopback are readable in the next
 * turns.
 */
async function writeAndSettle(client: RawClient, bytes: Uint8Array | string): Promise<void> {
  await new Promise<void>((resolve) => client.socket.write(bytes, () => resolve()));
  for (let i = 0; i < 5; i++) await turn();
}

async function texts(client: RawClient, count: number): Promise<string[]> {
  const all: string[] = [];
  while (all.length < count) all.push(await client.text());
  return all;
}

const numbered = (from: number, to: number): string[] =>
  Array.from({ length: to - from }, (_, i) => `message ${from + i}`);
const framesOf = (messages: readonly string[]): Buffer => Buffer.concat(messages.map((message) => text(message)));

/** Expects that no message came twice: the next echo is that of a message sent now. */
async function expectNoMore(client: RawClient): Promise<void> {
  client.write(text("the last"));
  expect(await client.text()).toBe("the last");
}

describe("a handoff", () => {
  it("delivers frames that arrived in one packet with the request first, and once", async () => {
    const { port } = await startBoard();
    const early = numbered(0, 100);
    const client = await RawClient.open({ port, head: framesOf(early) });
    expect(await texts(client, 100)).toEqual(early);
    await expectNoMore(client);
  });

  it("delivers bytes that arrive while authorize is pending, in order", async () => {
    const door = openDoor();
    const { port } = await startBoard({ attach: { authorize: door.authorize } });
    const client = await RawClient.connect(port);
    client.write(Buffer.concat([Buffer.from(upgradeRequest()), framesOf(numbered(0, 10))]));
    await door.asked;
    for (const message of numbered(10, 30)) await writeAndSettle(client, text(message));
    door.open();
    client.write(framesOf(numbered(30, 40)));
    expect(await client.response()).toMatchObject({ status: 101 });
    client.write(framesOf(numbered(40, 50)));
    expect(await texts(client, 50)).toEqual(numbered(0, 50));
    await expectNoMore(client);
  });

  it("delivers more bytes than a stream buffers if they arrive while authorize is pending", async () => {
    const door = openDoor();
    const { port } = await startBoard({ attach: { authorize: door.authorize } });
    const client = await RawClient.connect(port);
    client.write(upgradeRequest());
    await door.asked;
    const large = Array.from({ length: 8 }, (_, i) => Buffer.alloc(100_000, i));
    for (const payload of large) client.write(binary(payload));
    for (let i = 0; i < 50; i++) await turn();
    door.open();
    expect(await client.response()).toMatchObject({ status: 101 });
    for (const payload of large) expect((await client.frame()).payload.equals(payload)).toBe(true);
    await expectNoMore(client);
  });

  it.each([
    ["7-bit", "x".repeat(10), 6],
    ["16-bit", "x".repeat(200), 8],
    ["64-bit", "x".repeat(70_000), 14],
  ])("reassembles a frame when the handoff splits its %s header at any byte", async (_, payload, headerBytes) => {
    const { port } = await startBoard();
    const frame = text(payload);
    for (let cut = 1; cut <= headerBytes; cut++) {
      const client = await RawClient.open({ port, head: frame.subarray(0, cut) });
      client.write(frame.subarray(cut));
      expect(await client.text()).toBe(payload);
      await expectNoMore(client);
      client.reset();
    }
  });

  it("reassembles a frame whose parts arrive before, during and after the handoff", async () => {
    const door = openDoor();
    const { port } = await startBoard({ attach: { authorize: door.authorize } });
    const client = await RawClient.connect(port);
    const frame = text("in four pieces");
    client.write(Buffer.concat([Buffer.from(upgradeRequest()), frame.subarray(0, 1)]));
    await door.asked;
    await writeAndSettle(client, frame.subarray(1, 3));
    await writeAndSettle(client, frame.subarray(3, 9));
    door.open();
    await client.response();
    client.write(frame.subarray(9));
    expect(await client.text()).toBe("in four pieces");
    await expectNoMore(client);
  });

  it("delivers bytes in order when the peer writes every byte by itself", async () => {
    const { port } = await startBoard();
    const client = await RawClient.connect(port);
    const messages = numbered(0, 20);
    for (const byte of Buffer.concat([Buffer.from(upgradeRequest()), framesOf(messages)])) {
      await new Promise<void>((resolve) => client.socket.write(Buffer.from([byte]), () => resolve()));
      await turn();
    }
    await client.response();
    expect(await texts(client, 20)).toEqual(messages);
    await expectNoMore(client);
  });

  it("delivers messages in order on many connections whose peers never stop sending", async () => {
    const { port } = await startBoard({ shards: 2 });
    const messages = numbered(0, 200);
    const run = async (): Promise<void> => {
      const client = await RawClient.connect(port);
      client.write(upgradeRequest());
      const writing = (async () => {
        for (const message of messages) {
          client.write(text(message));
          await turn();
        }
      })();
      await client.response();
      expect(await texts(client, 200)).toEqual(messages);
      await writing;
      await expectNoMore(client);
    };
    await Promise.all(Array.from({ length: 20 }, run));
  });

  it("delivers messages that arrived before the peer ended its direction while authorize was pending", async () => {
    const door = openDoor();
    const { board, port } = await startBoard({ attach: { authorize: door.authorize } });
    const client = await RawClient.connect(port);
    client.write(upgradeRequest());
    await door.asked;
    client.write(framesOf(numbered(0, 3)));
    client.socket.end();
    for (let i = 0; i < 20; i++) await turn();
    door.open();
    await client.closed();
    await vi.waitFor(() => expect(board.stats().connections).toBe(0));
    expect(board.stats().upgrades.accepted).toBe(1);
    expect(board.stats().shards[0]).toMatchObject({ messagesReceived: 3, abnormalClosures: 1 });
  });
});
