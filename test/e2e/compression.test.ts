import { once } from "node:events";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { WebSocket } from "ws";
import { startBoard } from "../support/board.ts";
import { deflateBomb, deflateMessage } from "../support/deflate.ts";
import { clientFrame, ping } from "../support/frames.ts";
import { RawClient, upgradeRequest } from "../support/raw-client.ts";
import { Peer, type StandardSocketClass } from "./support/peer.ts";

type Offer = WebSocket.ClientOptions["perMessageDeflate"];

async function open(port: number, perMessageDeflate: Offer): Promise<WebSocket> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/`, { perMessageDeflate });
  onTestFinished(() => socket.terminate());
  await once(socket, "open");
  return socket;
}

/** Sends one message and resolves with the next message that comes. */
async function ask(socket: WebSocket, data: string | Buffer, options = {}): Promise<string | Buffer> {
  const answer = once(socket, "message");
  socket.send(data, options);
  const [bytes, binary] = await answer;
  return binary ? bytes : String(bytes);
}

/** Text of about `bytes` bytes that compresses about as well as real messages do. */
function letters(bytes: number): string {
  let text = "";
  for (let i = 0; text.length < bytes; i++) text += `{"id":${i},"name":"user ${(i * 7919) % 1000}","straße":"€${i}"},`;
  return Buffer.from(text).subarray(0, bytes).toString().replaceAll("\ufffd", "?");
}

/** Random bytes, the same in each run. */
function noise(bytes: number): Buffer {
  let state = 1;
  return Buffer.from(
    Array.from({ length: bytes }, () => {
      state = (state * 48_271) % 0x7fff_ffff;
      return state >> 8;
    }),
  );
}

const SIZES = [0, 16, 64, 256, 1023, 1024, 4096, 65_535, 65_536, 131_072];

/** All combinations of parameters that a client can offer: the values that `ws` accepts for the four parameters. */
const offers = [true, false].flatMap((serverNoContextTakeover) =>
  // With false, `ws` rejects servers that ask for this parameter, which servers may do.
  [true, undefined].flatMap((clientNoContextTakeover) =>
    [undefined, 9, 12, 15].flatMap((serverMaxWindowBits) =>
      [undefined, true, 8, 9, 10, 11, 12, 13, 14, 15].map((clientMaxWindowBits) => ({
        serverNoContextTakeover,
        ...(clientNoContextTakeover && { clientNoContextTakeover }),
        ...(serverMaxWindowBits !== undefined && { serverMaxWindowBits }),
        ...(clientMaxWindowBits !== undefined && { clientMaxWindowBits: clientMaxWindowBits as number }),
      })),
    ),
  ),
);

describe.each([
  { name: "without context takeover", compression: { threshold: 0 } },
  { name: "with context takeover", compression: { threshold: 0, contextTakeover: true } },
  { name: "with windows of 10", compression: { threshold: 0, contextTakeover: true, windowBits: 10 } },
])("a board $name", ({ compression }) => {
  it("echoes clients with every combination of parameters", async () => {
    const { port, board } = await startBoard({ compression });
    const messages = [letters(3_000), noise(2_000), letters(40_000), "", letters(3_000)];
    for (const offer of offers) {
      const socket = await open(port, { ...offer, threshold: 0 } as Offer);
      expect(socket.extensions).toContain("permessage-deflate");
      for (const message of messages) {
        expect(await ask(socket, message), JSON.stringify(offer)).toEqual(message);
      }
      socket.terminate();
    }
    expect(board.stats().shards[0]?.violations).toBe(0);
  });

  it("echoes messages of every size, text and binary, whole and in fragments", async () => {
    const { port } = await startBoard({ compression });
    const socket = await open(port, { threshold: 0 });
    for (const size of SIZES) {
      for (const message of [letters(size), Buffer.from(letters(size)), noise(size)]) {
        expect(await ask(socket, message)).toEqual(message);
        const answer = once(socket, "message");
        for (let at = 0; at + 1000 < message.length; at += 1000) {
          socket.send(message.slice(at, at + 1000), { fin: false, binary: typeof message !== "string" });
        }
        const last = Math.max(0, Math.ceil(message.length / 1000) - 1) * 1000;
        socket.send(message.slice(last), { fin: true, binary: typeof message !== "string" });
        const [bytes, binary] = await answer;
        expect(binary ? bytes : String(bytes)).toEqual(message);
      }
    }
  });
});

it("is negotiated with Node's own WebSocket, which receives its messages back", async () => {
  const { port } = await startBoard({ compression: { threshold: 0, contextTakeover: true } });
  const peer = await Peer.open(globalThis.WebSocket as unknown as StandardSocketClass, `ws://127.0.0.1:${port}/`);
  expect((peer.socket as unknown as { extensions: string }).extensions).toContain("permessage-deflate");
  for (const message of [letters(100), letters(70_000), noise(3_000), "", letters(100)]) {
    peer.send(message);
    expect(await peer.next()).toEqual(message);
  }
});

it("isn't negotiated unless the board enables it", async () => {
  const { port } = await startBoard();
  const socket = await open(port, { threshold: 0 });
  expect(socket.extensions).toBe("");
  expect(await ask(socket, letters(2_000))).toBe(letters(2_000));
});

it("isn't used with a client that doesn't offer it, nor with one whose offers the board can't accept", async () => {
  const { port } = await startBoard({ compression: { threshold: 0 } });
  for (const offer of [false, { serverMaxWindowBits: 8 }]) {
    const socket = await open(port, offer);
    expect(socket.extensions).toBe("");
    expect(await ask(socket, letters(2_000))).toBe(letters(2_000));
  }
});

it.each([
  "permessage-deflate; server_max_window_bits=",
  'permessage-deflate; server_max_window_bits="10',
  "permessage deflate",
  Array.from({ length: 1_000 }, (_, i) => `x${i}`).join(","),
])("fails the handshake when the extension header breaks the grammar: %s", async (header) => {
  const { port } = await startBoard({ compression: true });
  const client = await RawClient.connect(port);
  client.write(Buffer.from(upgrade(header)));
  expect(await client.response()).toMatchObject({ status: 400 });
});

it("accepts the first valid offer, and none when no offer is valid", async () => {
  const { port } = await startBoard({ compression: true });
  const answered = async (header: string): Promise<string | undefined> => {
    const client = await RawClient.connect(port);
    client.write(Buffer.from(upgrade(header)));
    const { status, headers } = await client.response();
    expect(status).toBe(101);
    return headers["sec-websocket-extensions"];
  };
  const bad = "permessage-deflate; server_max_window_bits=16";
  expect(await answered(`${bad}, permessage-deflate; server_max_window_bits="12"`)).toBe(
    "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=12",
  );
  expect(await answered(`x-unknown, ${bad}`)).toBeUndefined();
});

describe("outgoing messages", () => {
  it("are compressed from the threshold on, if that makes them shorter", async () => {
    const { port } = await startBoard({ compression: true });
    const client = await RawClient.open({ port, headers: { "Sec-WebSocket-Extensions": "permessage-deflate" } });
    const sent = async (payload: Buffer): Promise<{ opcode: number; payload: Buffer }> => {
      client.write(clientFrame(0x2, payload));
      return client.frame();
    };
    expect((await sent(Buffer.alloc(1023, "a"))).opcode).toBe(0x02);
    const compressed = await sent(Buffer.alloc(1024, "a"));
    expect(compressed.opcode).toBe(0x42);
    expect(compressed.payload.length).toBeLessThan(50);
    expect((await sent(noise(4096))).opcode).toBe(0x02);
  });

  it("reach compressed and plain subscribers alike, on every shard", async () => {
    const { port, board } = await startBoard({ actor: "scripted", shards: 2, compression: { threshold: 100 } });
    const peers = await Promise.all(
      [true, false, { serverMaxWindowBits: 9 }, { serverMaxWindowBits: 12 }].flatMap((offer) => [
        open(port, offer as Offer),
        open(port, offer as Offer),
      ]),
    );
    for (const peer of peers) await ask(peer, JSON.stringify({ do: "subscribe", topic: "news" }));
    for (const message of [letters(50), letters(5_000), noise(5_000), Buffer.from(letters(70_000))]) {
      const arrived = peers.map((peer) => once(peer, "message"));
      board.publish("news", message);
      for (const [bytes, binary] of await Promise.all(arrived)) {
        expect(binary ? bytes : String(bytes)).toEqual(message);
      }
    }
  });
});

describe("invalid input", () => {
  const headers = { "Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits" };
  const bomb = deflateBomb(64 * 1024 * 1024);

  it.each([
    { name: "a bomb", bytes: clientFrame(0x42, bomb), code: 1009 },
    { name: "a bomb with garbage after it", bytes: clientFrame(0x42, Buffer.concat([bomb, noise(500)])), code: 1009 },
    {
      name: "a bomb in fragments",
      bytes: Buffer.concat([clientFrame(0x42, bomb, { fin: false }), clientFrame(0x0, noise(100))]),
      code: 1009,
    },
    { name: "a stream that is none", bytes: clientFrame(0x41, Buffer.from("not deflate at all")), code: 1007 },
    { name: "half a stream", bytes: clientFrame(0x41, deflateMessage(letters(5_000)).subarray(0, 500)), code: 1007 },
    { name: "text that isn't UTF-8", bytes: clientFrame(0x41, deflateMessage(Buffer.from([0x61, 0xff]))), code: 1007 },
    { name: "a compressed control frame", bytes: clientFrame(0x49, deflateMessage("a")), code: 1002 },
    { name: "a compressed close frame", bytes: clientFrame(0x48, deflateMessage(Buffer.from([3, 232]))), code: 1002 },
    {
      name: "the compressed bit on a continuation",
      bytes: Buffer.concat([clientFrame(0x41, deflateMessage("a"), { fin: false }), clientFrame(0x40, "")]),
      code: 1002,
    },
    { name: "another reserved bit", bytes: clientFrame(0x61, deflateMessage("a")), code: 1002 },
  ])("$name closes with $code and affects no other connection", async ({ bytes, code }) => {
    const { port, board } = await startBoard({ compression: true });
    const other = await open(port, true);
    const client = await RawClient.open({ port, headers });
    client.write(Buffer.concat([bytes, ping("after")]));
    const { opcode, payload } = await client.frame();
    expect([opcode, payload.readUInt16BE()]).toEqual([8, code]);
    await client.closed();
    expect(await ask(other, letters(2_000))).toBe(letters(2_000));
    expect(board.stats().shards[0]?.violations).toBe(1);
    await vi.waitFor(() => expect(board.stats().connections).toBe(1));
  });

  it("a compressed message without negotiated compression closes with 1002", async () => {
    const { port } = await startBoard({ compression: true });
    const client = await RawClient.open({ port });
    client.write(clientFrame(0x41, deflateMessage("hello")));
    const { opcode, payload } = await client.frame();
    expect([opcode, payload.readUInt16BE()]).toEqual([8, 1002]);
  });
});

function upgrade(extensions: string): string {
  return upgradeRequest({ headers: { "Sec-WebSocket-Extensions": extensions } });
}
