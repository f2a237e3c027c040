import { once } from "node:events";
import { Duplex, PassThrough } from "node:stream";
import * as consumers from "node:stream/consumers";
import { pipeline } from "node:stream/promises";
import { expect, it, vi } from "vitest";
import { type Downcast, Upgraded } from "../../../src/wire/upgrade/upgraded.ts";
import { countLeaks } from "./leaks.ts";
import { connectPair } from "./loopback.ts";
import { buffer, HEAD, nextUntil, text, upgradedPair } from "./streams.ts";

countLeaks();

it("returns the original socket and the head before anything was read", async () => {
  const { client, server, upgraded } = await upgradedPair();
  const { socket, readBuffer } = upgraded.downcast();
  expect(socket).toBe(server);
  expect(readBuffer.toString()).toBe(HEAD);
  client.socket.end("tail");
  expect(await text(socket)).toBe("tail");
  socket.end();
});

it("returns the socket without listeners, and flowing once it gets a data listener", async () => {
  const { client, server } = await connectPair();
  server.allowHalfOpen = false;
  const events = ["readable", "end", "error", "close", "data", "drain", "finish"];
  const before = events.map((event) => server.listenerCount(event));
  const { socket } = new Upgraded(server, Buffer.alloc(0)).downcast();
  expect(events.map((event) => server.listenerCount(event))).toEqual(before);
  expect(socket.allowHalfOpen).toBe(false);
  client.write("data");
  const [data] = await once(socket, "data");
  expect(String(data)).toBe("data");
});

it.each([0, 1, 2, 4, 5])("loses and repeats no byte when %i bytes of the head were consumed", async (consumed) => {
  const { client, upgraded } = await upgradedPair();
  await once(upgraded, "readable");
  const first: Buffer | null = consumed === 0 ? null : upgraded.read(consumed);
  const { socket, readBuffer } = upgraded.downcast();
  client.socket.end("tail");
  expect(`${first ?? ""}${readBuffer}${await text(socket)}`).toBe("head tail");
  socket.end();
});

it("loses and repeats no byte when some are buffered in the wrapper and some in the socket", async () => {
  const { client, server, upgraded } = await upgradedPair();
  client.write(Buffer.alloc(100_000, "a"));
  expect((await nextUntil(upgraded, `${HEAD}aaa`)).startsWith(`${HEAD}a`)).toBe(true);
  await once(upgraded, "readable");
  await vi.waitFor(() => expect(server.readableLength + upgraded.readableLength).toBeGreaterThan(0));
  upgraded.read(1);
  const inWrapper = upgraded.readableLength;
  const { socket, readBuffer } = upgraded.downcast();
  expect(readBuffer.length).toBe(inWrapper);
  client.socket.end("z");
  const rest = Buffer.concat([readBuffer, await buffer(socket)]).toString();
  expect(rest).toMatch(/^a+z$/);
  expect(rest.length).toBeLessThanOrEqual(100_001);
  socket.end();
});

it("gives no byte twice when a data listener was paused before", async () => {
  const { client, upgraded } = await upgradedPair("one");
  const heard: string[] = [];
  upgraded.on("data", (chunk: Buffer) => heard.push(chunk.toString()));
  upgraded.pause();
  client.write(" two");
  await vi.waitFor(() => {
    upgraded.read(0);
    expect(upgraded.readableLength).toBeGreaterThan(0);
  });
  const { socket, readBuffer } = upgraded.downcast();
  client.socket.end(" three");
  expect(`${readBuffer}${await text(socket)}`).toBe("one two three");
  expect(heard).toEqual([]);
  socket.end();
});

it("may be called by a data listener, which gets no more bytes", async () => {
  const { client, upgraded } = await upgradedPair("line\n");
  const heard: string[] = [];
  const taken = new Promise<Duplex>((resolve) => {
    upgraded.on("data", (chunk: Buffer) => {
      heard.push(chunk.toString());
      resolve(upgraded.downcast().socket);
    });
  });
  const socket = await taken;
  client.socket.end("rest");
  expect(await text(socket)).toBe("rest");
  expect(heard).toEqual(["line\n"]);
  expect(upgraded.destroyed).toBe(false);
  socket.end();
});

it("passes earlier writes to the socket first, in order", async () => {
  const { peer, server, upgraded } = await upgradedPair("");
  peer.removeAllListeners("data").pause();
  const sizes = [];
  for (let i = 0; i < 64; i++) {
    sizes.push(i);
    upgraded.write(Buffer.alloc(256 * 1024, String.fromCharCode(48 + i)));
  }
  upgraded.cork();
  upgraded.write("corked");
  expect(upgraded.writableLength).toBeGreaterThan(0);
  const { socket } = upgraded.downcast();
  expect(upgraded.writableLength).toBe(0);
  socket.end("after");
  peer.end();
  socket.resume();
  const expected = sizes.map((i) => String.fromCharCode(48 + i).repeat(256 * 1024)).join("");
  expect((await text(peer)) === `${expected}corkedafter`).toBe(true);
  await vi.waitFor(() => expect(server.destroyed).toBe(true));
});

it("ends the socket when the wrapper was ended before", async () => {
  const { client, upgraded } = await upgradedPair("");
  upgraded.end("last");
  const { socket } = upgraded.downcast();
  socket.resume();
  client.socket.end();
  expect(await client.rest()).toBe("last");
});

it("returns the unread bytes after the peer's end", async () => {
  const { client, upgraded } = await upgradedPair();
  client.socket.end("tail");
  await once(upgraded, "readable");
  expect(String(upgraded.read(1))).toBe("h");
  const { socket, readBuffer } = upgraded.downcast();
  expect(`${readBuffer}${await text(socket)}`).toBe("ead tail");
  socket.end();
});

it("throws when it is called twice", async () => {
  const { upgraded } = await upgradedPair();
  const { socket } = upgraded.downcast();
  expect(() => upgraded.downcast()).toThrow(expect.objectContaining({ code: "ERR_DOWNCAST", kind: "misuse" }));
  socket.destroy();
});

it("throws when an encoding is set, and leaves the stream working", async () => {
  const { client, upgraded } = await upgradedPair("");
  upgraded.setEncoding("utf8");
  expect(() => upgraded.downcast()).toThrow(expect.objectContaining({ code: "ERR_DOWNCAST_ENCODING" }));
  client.socket.end("€");
  expect(await text(upgraded)).toBe("€");
  upgraded.end();
});

const uses: [string, (upgraded: Upgraded) => unknown][] = [
  ["read", (upgraded) => upgraded.read()],
  ["iterated", (upgraded) => consumers.text(upgraded).catch(() => {})],
  ["listened to", (upgraded) => upgraded.on("data", () => {}).resume()],
  ["written", (upgraded) => upgraded.write("x")],
  ["ended with bytes", (upgraded) => upgraded.end("x")],
  ["piped", (upgraded) => upgraded.pipe(new PassThrough())],
  ["piped into", (upgraded) => pipeline([Buffer.from("x")], upgraded).catch(() => {})],
  ["made web streams", (upgraded) => consumers.text(Duplex.toWeb(upgraded).readable).catch(() => {})],
];
it.each(uses)(
  "fails with ERR_DOWNCAST when the wrapper is %s afterwards, and doesn't affect the socket",
  async (_, use) => {
    const { client, upgraded } = await upgradedPair();
    const { socket } = upgraded.downcast();
    const failed = once(upgraded, "error");
    use(upgraded);
    expect((await failed)[0]).toMatchObject({ code: "ERR_DOWNCAST", message: expect.stringContaining("downcast") });
    socket.write("alive");
    client.socket.end("alive");
    expect(await text(socket)).toBe("alive");
    socket.end();
    expect(await client.rest()).toBe("alive");
  },
);

it("rejects an iteration that begins afterwards", async () => {
  const { upgraded } = await upgradedPair();
  const { socket } = upgraded.downcast();
  await expect(consumers.text(upgraded)).rejects.toMatchObject({ code: "ERR_DOWNCAST" });
  socket.destroy();
});

it("rejects an iteration that waits for bytes at that moment, and leaves the bytes in the socket", async () => {
  const { client, upgraded } = await upgradedPair("");
  const reading = consumers.text(upgraded);
  await once(upgraded, "newListener");
  const { socket } = upgraded.downcast();
  await expect(reading).rejects.toMatchObject({ code: "ERR_DOWNCAST" });
  client.socket.end("alive");
  expect(await text(socket)).toBe("alive");
  socket.end();
});

it("may be called by a readable listener that has removed itself", async () => {
  const { upgraded } = await upgradedPair();
  const errors: unknown[] = [];
  upgraded.on("error", (error) => errors.push(error));
  const { socket, readBuffer } = await new Promise<Downcast>((resolve) => {
    upgraded.once("readable", () => {
      upgraded.read(2);
      resolve(upgraded.downcast());
    });
  });
  expect(readBuffer.toString()).toBe("ad ");
  await new Promise(setImmediate);
  expect(errors).toEqual([]);
  socket.destroy();
});

it("doesn't affect the socket when the wrapper is destroyed afterwards", async () => {
  const { client, upgraded } = await upgradedPair();
  const { socket } = upgraded.downcast();
  upgraded.destroy();
  await once(upgraded, "close");
  client.socket.end("alive");
  expect(await text(socket)).toBe("alive");
  socket.end();
});
