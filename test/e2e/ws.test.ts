import { once } from "node:events";
import { expect, it, vi } from "vitest";
import { WebSocket } from "ws";
import { startBoard } from "../support/board.ts";
import { Peer, type StandardSocketClass } from "./support/peer.ts";

async function open(port: number, path = "/"): Promise<WebSocket> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`);
  await once(socket, "open");
  return socket;
}

it("sends a message in fragments, of text and of bytes", async () => {
  const { port } = await startBoard();
  const socket = await open(port);
  for (const binary of [false, true]) {
    socket.send("in ", { fin: false, binary });
    socket.send("three ", { fin: false, binary });
    socket.send("pieces", { fin: true, binary });
    const [data, isBinary] = await once(socket, "message");
    expect([String(data), isBinary]).toEqual(["in three pieces", binary]);
  }
});

it("splits a character between two fragments", async () => {
  const { port } = await startBoard();
  const socket = await open(port);
  const balloon = Buffer.from("🎈");
  socket.send(balloon.subarray(0, 2), { fin: false, binary: false });
  socket.send(balloon.subarray(2), { fin: true, binary: false });
  expect(String((await once(socket, "message"))[0])).toBe("🎈");
});

it("gets a pong with its own payload, also between the fragments of a message", async () => {
  const { port } = await startBoard();
  const socket = await open(port);
  const message = once(socket, "message");
  socket.send("half", { fin: false });
  socket.ping("are you there");
  const [payload] = await once(socket, "pong");
  expect(String(payload)).toBe("are you there");
  socket.send("way", { fin: true });
  expect(String((await message)[0])).toBe("halfway");
});

it("gets pings, and stays connected while it answers", async () => {
  const { port } = await startBoard({ pingIntervalMs: 20, pongTimeoutMs: 20_000 });
  const socket = await open(port);
  const closed = once(socket, "close").then(([code]) => `closed with ${code}`);
  for (let pings = 0; pings < 3; pings++) {
    expect(await Promise.race([once(socket, "ping").then(() => "pinged"), closed])).toBe("pinged");
  }
  socket.close();
  // The answer to a close frame without a code has no code either.
  expect(await closed).toBe("closed with 1005");
});

it("offers permessage-deflate, which the server declines", async () => {
  const { port } = await startBoard();
  const socket = await open(port);
  expect(socket.extensions).toBe("");
});

it("gets 404 on a path where nothing is attached", async () => {
  const { port } = await startBoard({ attach: { path: "/chat/:room" } });
  const socket = new WebSocket(`ws://127.0.0.1:${port}/elsewhere`);
  socket.on("error", () => {});
  const [, response] = await once(socket, "unexpected-response");
  expect(response.statusCode).toBe(404);
});

it("opens 200 connections at once, spread evenly, each with its own answers in order", async () => {
  const { port, board } = await startBoard({ shards: 2 });
  const url = `ws://127.0.0.1:${port}/`;
  const socketClass = WebSocket as unknown as StandardSocketClass;
  const peers = await Promise.all(Array.from({ length: 200 }, () => Peer.open(socketClass, url)));
  expect(board.stats()).toMatchObject({ connections: 200, shards: [{ connections: 100 }, { connections: 100 }] });

  await Promise.all(
    peers.map(async (peer, i) => {
      const sent = Array.from({ length: 20 }, (_, n) => `${i}: ${n}`);
      for (const message of sent) peer.send(message);
      const received: unknown[] = [];
      while (received.length < sent.length) received.push(await peer.next());
      expect(received).toEqual(sent);
    }),
  );

  const closed = await Promise.all(peers.map((peer) => peer.close(1000)));
  expect(new Set(closed.map(({ code }) => code))).toEqual(new Set([1000]));
  await vi.waitFor(() => expect(board.stats().connections).toBe(0));
});
