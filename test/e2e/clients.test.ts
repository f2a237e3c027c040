import { describe, expect, it } from "vitest";
import { WebSocket as WsWebSocket } from "ws";
import { startBoard } from "../support/board.ts";
import { Peer, type StandardSocketClass } from "./support/peer.ts";

const MEBIBYTE = 1024 * 1024;

const clients: readonly { name: string; socketClass: StandardSocketClass }[] = [
  { name: "the WebSocket of ws", socketClass: WsWebSocket as unknown as StandardSocketClass },
  { name: "the WebSocket of Node", socketClass: WebSocket as unknown as StandardSocketClass },
];

describe.each(clients)("$name", ({ socketClass }) => {
  const open = (port: number, protocols?: string[]): Promise<Peer> =>
    Peer.open(socketClass, `ws://127.0.0.1:${port}/`, protocols);

  it.each([
    ["nothing", ""],
    ["ASCII", "hello"],
    ["characters of one to four bytes", "aß水🎈"],
    ["1 MiB", "x".repeat(MEBIBYTE)],
  ])("receives its text back: %s", async (_, sent) => {
    const { port } = await startBoard();
    const peer = await open(port);
    peer.send(sent);
    expect(await peer.next()).toBe(sent);
  });

  it.each([0, 1, 125, 126, 65_535, 65_536, MEBIBYTE])("receives %i bytes back unchanged", async (size) => {
    const { port } = await startBoard();
    const peer = await open(port);
    const sent = Buffer.from(Array.from({ length: size }, (_, i) => (i * 31) % 251));
    peer.send(sent);
    const received = await peer.next();
    expect(received).toBeInstanceOf(Buffer);
    expect(sent.equals(received as Buffer)).toBe(true);
  });

  it("gets close code 1009 for a message one byte too long", async () => {
    const { port } = await startBoard();
    const peer = await open(port);
    peer.send(Buffer.alloc(MEBIBYTE + 1));
    expect(await peer.closed).toMatchObject({ code: 1009, wasClean: true });
  });

  it.each([
    [1000, "done"],
    [3000, ""],
    [4999, "ü".repeat(61)],
  ])("closes with %i; the code comes back and reaches the actor", async (code, reason) => {
    const { port } = await startBoard({ actor: "scripted" });
    const observer = await open(port);
    observer.sendJson({ do: "subscribe", topic: "log" });
    expect(await observer.next()).toBe("subscribed log");
    const peer = await open(port);
    const [, id] = /^opened (.+)$/.exec(String(await observer.next())) ?? [];
    expect(await peer.close(code, reason)).toEqual({ code, reason, wasClean: true });
    expect(await observer.next()).toBe(`closed ${id} ${code} ${reason}`);
  });

  it("gets the code and the reason that the actor closes with", async () => {
    const { port } = await startBoard({ actor: "scripted" });
    const peer = await open(port);
    peer.sendJson({ do: "close", code: 4001, reason: "because" });
    expect(await peer.closed).toEqual({ code: 4001, reason: "because", wasClean: true });
  });

  it("gets close code 1011 when the actor fails", async () => {
    const { port, board } = await startBoard({ actor: "scripted" });
    const failures: string[] = [];
    board.on("actorFailed", ({ error }) => failures.push(error.message));
    const peer = await open(port);
    peer.sendJson({ do: "throw", reason: "on demand" });
    expect(await peer.closed).toMatchObject({ code: 1011, wasClean: true });
    expect(failures).toEqual(["on demand"]);
  });

  it("gets close code 1001 when the board closes", async () => {
    const { port, board } = await startBoard();
    const peer = await open(port);
    const [counts, closed] = await Promise.all([board.close(), peer.closed]);
    expect(closed).toMatchObject({ code: 1001, wasClean: true });
    expect(counts).toEqual({ closed: 1, dropped: 0, cut: 0 });
  });

  it("negotiates a subprotocol", async () => {
    const { port } = await startBoard({ attach: { protocols: ["v2.chat"] } });
    const peer = await open(port, ["v3.chat", "v2.chat"]);
    expect(peer.socket.protocol).toBe("v2.chat");
  });
});
