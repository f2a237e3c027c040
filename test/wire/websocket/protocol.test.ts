import type { Socket } from "node:net";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { acceptKey } from "../../../src/wire/handshake/accept-key.ts";
import { type ConnectOptions, connect } from "../../../src/wire/websocket/index.ts";
import type { UpgradeConnectionOptions } from "../../../src/wire/websocket/upgrade-connection.ts";
import type { WebSocket } from "../../../src/wire/websocket/websocket.ts";
import { binary, clientFrame, close, continuation, ping, pong, text } from "../../support/frames.ts";
import { RawClient } from "../../support/raw-client.ts";
import { echo, nextText, startRawServer, startSocketServer } from "./servers.ts";

/** A peer that writes bytes itself, and our end of the connection to it. */
interface Ends {
  readonly peer: RawClient;
  readonly ours: WebSocket;
  readonly masked: boolean;
  readonly sockets: ReadonlySet<Socket>;
}

async function asServer(options: UpgradeConnectionOptions = {}): Promise<Ends> {
  const { port, nextSocket, sockets } = await startSocketServer(options);
  const peer = await RawClient.open({ port });
  onTestFinished(() => peer.reset());
  return { peer, ours: await nextSocket(), masked: true, sockets };
}

async function asClient(options: ConnectOptions = {}): Promise<Ends> {
  const accepted = Promise.withResolvers<Socket>();
  const { port, sockets } = await startRawServer((socket, request) => {
    const key = /sec-websocket-key: (.+)\r\n/i.exec(request)?.[1] ?? "";
    const accept = `Sec-WebSocket-Accept: ${acceptKey(key)}`;
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n${accept}\r\n\r\n`);
    accepted.resolve(socket);
  });
  const ours = await connect(`ws://127.0.0.1:${port}/`, { proxy: false, ...options });
  onTestFinished(() => ours.destroy());
  return { peer: new RawClient(await accepted.promise), ours, masked: false, sockets };
}

/** The opcodes of short frames, masked or not. */
function opcodesOf(bytes: Buffer): number[] {
  const opcodes: number[] = [];
  for (let at = 0; at < bytes.length; ) {
    const second = bytes[at + 1] ?? 0;
    opcodes.push((bytes[at] ?? 0) & 0xf);
    at += 2 + (second > 0x7f ? 4 : 0) + (second & 0x7f);
  }
  return opcodes;
}

describe.each([
  { role: "server", open: asServer },
  { role: "client", open: asClient },
])("as $role", ({ role, open }) => {
  it.each<[string, (masked: boolean) => Buffer, number, string]>([
    ["reserved bits", (masked) => text("x", { masked, rsv: 4 }), 1002, "ERR_RESERVED_BITS"],
    ["a reserved opcode", (masked) => clientFrame(0x3, "", { masked }), 1002, "ERR_RESERVED_OPCODE"],
    [
      "the wrong masking",
      (masked) => text("x", { masked: !masked }),
      1002,
      role === "server" ? "ERR_UNMASKED_FRAME" : "ERR_MASKED_FRAME",
    ],
    ["a continuation of nothing", (masked) => continuation("x", { masked }), 1002, "ERR_UNEXPECTED_CONTINUATION"],
    ["a fragmented ping", (masked) => ping("x", { masked, fin: false }), 1002, "ERR_FRAGMENTED_CONTROL"],
    ["a close code that isn't one", (masked) => close(1005, "", { masked }), 1002, "ERR_INVALID_CLOSE_CODE"],
    ["text that isn't UTF-8", (masked) => clientFrame(0x1, Buffer.of(0xff), { masked }), 1007, "ERR_INVALID_UTF8"],
    ["a message that is too long", (masked) => binary(Buffer.alloc(1001), { masked }), 1009, "ERR_MESSAGE_TOO_BIG"],
    [
      "too many fragments",
      (masked) =>
        Buffer.concat([
          text("", { masked, fin: false }),
          ...Array.from({ length: 4 }, () => continuation("", { masked, fin: false })),
        ]),
      1008,
      "ERR_TOO_MANY_FRAGMENTS",
    ],
  ])("closes for %s", async (_, bytes, code, error) => {
    const { peer, ours, masked, sockets } = await open({ maxPayloadBytes: 1000, maxFragments: 4 });
    peer.write(bytes(masked));
    peer.socket.once("end", () => peer.socket.end());
    expect(await ours.next()).toEqual({ done: true, value: undefined });
    expect(ours.error).toMatchObject({ kind: "protocol", code: error });
    expect(await ours.closed).toMatchObject({ code, wasClean: false });
    await vi.waitFor(() => expect(sockets.size).toBe(0));
  });

  it("delivers messages that came before the violation", async () => {
    const { peer, ours, masked } = await open();
    peer.write(Buffer.concat([text("good", { masked }), text("bad", { masked, rsv: 1 })]));
    expect(await nextText(ours)).toBe("good");
    expect(await ours.next()).toMatchObject({ done: true });
  });

  it("sends a reader's immediate answers before the close frame for the same packet", async () => {
    for (const end of [
      text("bad", { masked: role === "server", rsv: 1 }),
      close(1000, "", { masked: role === "server" }),
    ]) {
      const { peer, ours, masked } = await open();
      void echo(ours);
      const chunks: Buffer[] = [];
      peer.socket.on("data", (chunk: Buffer) => chunks.push(chunk));
      peer.write(Buffer.concat([text("one", { masked }), text("two", { masked }), end]));
      peer.socket.end();
      await Promise.all([ours.closed, peer.closed()]);
      expect(opcodesOf(Buffer.concat(chunks))).toEqual([0x1, 0x1, 0x8]);
    }
  });

  it.each<{ name: string; frames: (masked: boolean) => Buffer[]; closes?: true; ended: object; error?: string }>([
    {
      name: "two close frames",
      frames: (masked) => [close(1000, "", { masked }), close(4002, "", { masked })],
      ended: { code: 1000, wasClean: true },
    },
    {
      name: "a close frame and a violation",
      frames: (masked) => [close(1000, "", { masked }), text("bad", { masked, rsv: 1 })],
      ended: { code: 1000, wasClean: true },
    },
    {
      name: "a violation and a close frame",
      frames: (masked) => [text("bad", { masked, rsv: 1 }), close(1000, "", { masked })],
      ended: { code: 1002, wasClean: false },
      error: "ERR_RESERVED_BITS",
    },
    {
      name: "a message whose reader closes, and a close frame",
      frames: (masked) => [text("close", { masked }), close(1000, "", { masked })],
      closes: true,
      ended: { code: 4000, wasClean: true },
    },
    {
      name: "a message whose reader closes, and a violation",
      frames: (masked) => [text("close", { masked }), text("bad", { masked, rsv: 1 })],
      closes: true,
      ended: { code: 1002, wasClean: false },
      error: "ERR_RESERVED_BITS",
    },
  ])("sends one close frame for $name in one packet", async ({ frames, closes, ended, error }) => {
    const { peer, ours, masked } = await open();
    const chunks: Buffer[] = [];
    peer.socket.on("data", (chunk: Buffer) => chunks.push(chunk));
    if (closes) void ours.next().then(() => ours.close(4000));
    peer.write(Buffer.concat(frames(masked)));
    peer.socket.end();
    expect(await ours.closed).toMatchObject(ended);
    await peer.closed();
    expect(opcodesOf(Buffer.concat(chunks))).toEqual([0x8]);
    expect(ours.error?.code).toBe(error);
  });

  it("drops a peer that vanishes without a word", async () => {
    const { ours, sockets } = await open({ pingIntervalMs: 20, pongTimeoutMs: 20 });
    expect(await ours.closed).toEqual({ code: 1006, reason: "", wasClean: false });
    for (const socket of sockets) socket.destroy();
  });

  it("answers a close frame without a code with one without a code, and reports 1005", async () => {
    const { peer, ours, masked } = await open();
    peer.write(close(undefined, "", { masked }));
    peer.socket.end();
    expect(await ours.closed).toEqual({ code: 1005, reason: "", wasClean: true });
  });

  it("gives up a peer that keeps its end open after the close handshake", async () => {
    const { peer, ours, masked } = await open({ closeTimeoutMs: 50 });
    peer.write(close(1000, "", { masked }));
    expect(await ours.closed).toMatchObject({ code: 1000, wasClean: true });
  });

  it("reports a peer that ends without a close frame as lost", async () => {
    const { peer, ours, sockets } = await open();
    peer.socket.end();
    expect(await ours.closed).toEqual({ code: 1006, reason: "", wasClean: false });
    await vi.waitFor(() => expect(sockets.size).toBe(0));
  });
});

it("answers every one of 50 pings in one packet, in order", async () => {
  const { peer } = await asServer();
  peer.write(Buffer.concat(Array.from({ length: 50 }, (_, i) => ping(`${i}`))));
  for (let i = 0; i < 50; i++) {
    const { opcode, payload } = await peer.frame();
    expect([opcode, payload.toString()]).toEqual([0xa, `${i}`]);
  }
});

it("answers the first pings of a flood and the newest", async () => {
  const { peer, ours } = await asServer();
  peer.write(Buffer.concat([...Array.from({ length: 1_000 }, (_, i) => ping(`${i}`)), text("after")]));
  expect(await nextText(ours)).toBe("after");
  let last: string | undefined;
  while (last !== "999") last = await peer.text();
});

it("pings a silent peer again and again, and keeps it while it answers", async () => {
  const { peer, ours } = await asServer({ pingIntervalMs: 20, pongTimeoutMs: 20_000 });
  for (let pings = 0; pings < 3; pings++) {
    const { opcode, payload } = await peer.frame();
    expect(opcode).toBe(0x9);
    peer.write(pong(payload));
  }
  peer.write(text("still here"));
  expect(await nextText(ours)).toBe("still here");
});

it("masks every frame with a different key", async () => {
  const received = Promise.withResolvers<Buffer>();
  const { peer, ours } = await asClient();
  peer.socket.removeAllListeners("data");
  let bytes = Buffer.alloc(0);
  peer.socket.on("data", (chunk: Buffer) => {
    bytes = Buffer.concat([bytes, chunk]);
    if (bytes.length === 100 * 7) received.resolve(bytes);
  });
  for (let i = 0; i < 100; i++) void ours.send("x");
  const frames = Array.from(await received.promise);
  const keys = Array.from({ length: 100 }, (_, i) => Buffer.from(frames.slice(i * 7 + 2, i * 7 + 6)).toString("hex"));
  expect(new Set(keys).size).toBe(100);
});
