import { once } from "node:events";
import { describe, expect, it, vi } from "vitest";
import WebSocket from "ws";
import type { StartOptions } from "../../../src/index.ts";
import { startBoard } from "../../support/board.ts";
import { binary, continuation, text } from "../../support/frames.ts";
import { addressesOf } from "../../support/moves.ts";
import { RawClient } from "../../support/raw-client.ts";
import { missingUring } from "../../wire/native/availability.ts";

const LENGTHS = [0, 1, 125, 126, 1_023, 1_024, 4_096, 30_000, 65_535, 65_536, 65_537, 200_000];

/** A text that no other call with another seed makes. */
function words(verb: string, length: number, seed = 0): string {
  return `${verb} ${seed} `.padEnd(length, `${seed}-abcdefghijklmnopqrstuvwxyz-`).slice(0, Math.max(length, 1));
}

async function openBoard(options: Partial<StartOptions> = {}) {
  const { board, port } = await startBoard({ actor: "borrowing", sockets: "uring", ...options });
  return { board, port, client: await RawClient.open({ port }) };
}

describe.skipIf(missingUring !== undefined)("an actor that borrows its messages, over io_uring", () => {
  it("echoes messages of every length, to many peers at once", async () => {
    const { port } = await openBoard({ maxBufferedBytes: 8_000_000 });
    await Promise.all(
      Array.from({ length: 12 }, async (_, index) => {
        const client = await RawClient.open({ port });
        const messages = LENGTHS.map((length) => words("echo", length, index));
        client.write(Buffer.concat(messages.map((message) => binary(Buffer.from(message)))));
        for (const message of messages) expect(String((await client.frame()).payload)).toBe(message);
        client.socket.destroy();
      }),
    );
  });

  it("has its message until the promise of its handler has settled, whatever others receive meanwhile", async () => {
    const { port, client } = await openBoard();
    const other = await RawClient.open({ port });
    const long = Array.from({ length: 12 }, (_, index) => words("later", 60_000, index));
    client.write(Buffer.concat(long.map((message) => text(message))));
    for (let index = 0; index < 10; index++) {
      other.write(text(words("echo", 65_000, index)));
      await other.frame();
    }
    for (const message of long) expect(await client.text()).toBe(message);
  });

  it("gets ERR_MESSAGE_RETURNED and overwritten bytes for what it keeps, and keeps copies", async () => {
    const { client } = await openBoard();
    const long = words("keep", 50_000);
    client.write(text(long));
    expect(await client.text()).toBe("kept");
    client.write(text("show"));
    expect(JSON.parse(await client.text())).toEqual({ code: "ERR_MESSAGE_RETURNED", view: [0xdd] });
    expect(await client.text()).toBe(long);
  });

  it("publishes and mails a message", async () => {
    const { port, client } = await openBoard({ shards: 2 });
    const subscribers = await Promise.all(Array.from({ length: 4 }, () => RawClient.open({ port })));
    for (const subscriber of subscribers) {
      subscriber.write(text("subscribe"));
      expect(await subscriber.text()).toBe("subscribed");
    }
    for (let seed = 0; seed < 5; seed++) {
      client.write(text(words("publish", 40_000, seed)));
      client.write(text(words("mail", 40_000, seed)));
      expect(String((await client.frame()).payload)).toBe(words("mail", 40_000, seed));
    }
    for (const subscriber of subscribers) {
      for (let seed = 0; seed < 5; seed++) expect(await subscriber.text()).toBe(words("publish", 40_000, seed));
    }
  });

  it("sends a message in its place among others", async () => {
    const { client } = await openBoard();
    const messages = [1_024, 65_536, 2_000].map((length) => words("between", length));
    client.write(Buffer.concat(messages.map((message) => text(message))));
    for (const message of messages) {
      for (const expected of ["before", message, "after"]) expect(await client.text()).toBe(expected);
    }
  });

  it("echoes to a peer that reads late", async () => {
    const { client } = await openBoard({ maxBufferedBytes: 64_000_000 });
    client.socket.pause();
    const messages = Array.from({ length: 100 }, (_, seed) => words("echo", 60_000, seed));
    for (const message of messages) if (!client.socket.write(text(message))) await once(client.socket, "drain");
    client.socket.resume();
    for (const message of messages) expect(await client.text()).toBe(message);
  });

  it("echoes compressed and fragmented messages", async () => {
    const { port, client } = await openBoard({ compression: true });
    const socket = new WebSocket(`ws://127.0.0.1:${port}`, { perMessageDeflate: { threshold: 0 } });
    await once(socket, "open");
    for (const length of [2_000, 65_536]) {
      socket.send(words("echo", length));
      expect(String((await once(socket, "message"))[0])).toBe(words("echo", length));
      const whole = words("echo", length, 1);
      const [first, second] = [whole.slice(0, 1_500), whole.slice(1_500)];
      client.write(Buffer.concat([text(first, { fin: false }), continuation(second)]));
      expect(await client.text()).toBe(whole);
    }
    socket.terminate();
  });

  it("goes on with half a message when the connection moves, and with those behind it", async () => {
    const { board, client } = await openBoard({ shards: 2 });
    const [address] = await addressesOf(board, 1);
    if (address === undefined) return expect.fail("no connection");
    const messages = Array.from({ length: 6 }, (_, seed) => words("echo", 60_000, seed));
    const bytes = Buffer.concat(messages.map((message) => text(message)));
    for (let at = 0, shard = 0; at < bytes.length; at += 50_000) {
      client.write(bytes.subarray(at, at + 50_000));
      shard = 1 - shard;
      await vi.waitFor(async () => expect((await board.move(address, shard)).moved).toBe(true));
    }
    for (const message of messages) expect(await client.text()).toBe(message);
  });
});
