import { once } from "node:events";
import type { Socket } from "node:net";
import { Duplex, PassThrough } from "node:stream";
import * as consumers from "node:stream/consumers";
import { pipeline } from "node:stream/promises";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { type Downcast, Upgraded } from "../../src/upgrade/upgraded.ts";
import type { RawClient } from "../support/raw-client.ts";
import { countLeaks } from "./leaks.ts";
import { connectPair } from "./loopback.ts";

countLeaks();

const HEAD = "head ";
const MEBIBYTE = Buffer.alloc(1024 * 1024, "m");

async function upgradedPair(
  head = HEAD,
): Promise<{ client: RawClient; peer: Socket; server: Socket; upgraded: Upgraded }> {
  const { client, server } = await connectPair();
  const upgraded = new Upgraded(server, Buffer.from(head));
  onTestFinished(() => {
    upgraded.destroy();
  });
  return { client, peer: client.socket, server, upgraded };
}

/** All bytes up to the end, which ends the reading only. */
const buffer = (stream: Duplex): Promise<Buffer> =>
  consumers.buffer(stream.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>);
const text = async (stream: Duplex): Promise<string> => (await buffer(stream)).toString();

/** The next bytes, as many as there are. */
async function next(stream: Duplex): Promise<string> {
  for (;;) {
    const chunk: Buffer | null = stream.read();
    if (chunk !== null) return chunk.toString();
    await once(stream, "readable");
  }
}

/** Reads until it has seen this; gives what came. */
async function nextUntil(stream: Duplex, expected: string): Promise<string> {
  let seen = "";
  while (seen.length < expected.length) seen += await next(stream);
  return seen;
}

describe("reading", () => {
  it("gives the head first, then what the socket has, byte by byte in order", async () => {
    const { client, upgraded } = await upgradedPair("0123456789");
    const letters = Array.from({ length: 200 }, (_, i) => String.fromCharCode(97 + (i % 26)));
    for (const letter of letters) client.write(letter);
    client.socket.end();
    expect(await text(upgraded)).toBe(`0123456789${letters.join("")}`);
    upgraded.end();
  });

  it("gives a head that is read one byte at a time before the first byte of the socket", async () => {
    const { client, upgraded } = await upgradedPair("ab");
    client.write("cd");
    const bytes: string[] = [];
    while (bytes.length < 4) {
      const byte: Buffer | null = upgraded.read(1);
      if (byte === null) await once(upgraded, "readable");
      else bytes.push(byte.toString());
    }
    expect(bytes.join("")).toBe("abcd");
  });

  it("gives what the socket had read before it was wrapped", async () => {
    const { client, server } = await connectPair();
    client.write("early ");
    await once(server, "readable");
    const upgraded = new Upgraded(server, Buffer.from("head "));
    client.write("late");
    client.socket.end();
    expect(await text(upgraded)).toBe("head early late");
    upgraded.end();
  });

  it("works without a head, and on a socket that has ended already", async () => {
    const { client, server } = await connectPair();
    client.socket.allowHalfOpen = true;
    client.socket.end();
    server.resume();
    await once(server, "end");
    const upgraded = new Upgraded(server, Buffer.alloc(0));
    expect(await text(upgraded)).toBe("");
    upgraded.end("still writable");
    expect(await client.rest()).toBe("still writable");
  });

  it("takes no more from a peer than a bound when nobody reads, and all of it when somebody does", async () => {
    const { client, server, upgraded } = await upgradedPair("");
    const chunks = 32;
    let sent = 0;
    for (let i = 0; i < chunks; i++) client.socket.write(MEBIBYTE, () => sent++);
    client.socket.end();
    upgraded.once("readable", () => {});
    await once(upgraded, "readable");
    // The kernels' buffers hold a few of them: the rest waits in the peer.
    await vi.waitFor(() => expect(server.readableLength).toBeGreaterThanOrEqual(server.readableHighWaterMark));
    expect(server.readableLength + upgraded.readableLength).toBeLessThan(1024 * 1024);
    expect(sent).toBeLessThan(chunks);
    expect(client.socket.writableLength).toBeGreaterThan(0);
    expect((await buffer(upgraded)).length).toBe(chunks * MEBIBYTE.length);
    upgraded.end();
  });
});

describe("writing", () => {
  it("reaches the peer in order, single writes and gathered ones", async () => {
    const { client, upgraded } = await upgradedPair();
    const expected = Array.from({ length: 500 }, (_, i) => `${i},`);
    for (const part of expected) upgraded.write(part);
    upgraded.cork();
    upgraded.write("a");
    upgraded.write(Buffer.from("b"));
    upgraded.write("ÿ", "latin1");
    upgraded.uncork();
    upgraded.end("end");
    upgraded.resume();
    client.socket.end();
    const bytes = Buffer.from(await client.rest());
    expect(bytes.toString()).toBe(`${expected.join("")}ab${Buffer.of(0xff).toString()}end`);
  });

  it("returns false under a peer that doesn't read, and drains when it does", async () => {
    const { client, server, upgraded } = await upgradedPair();
    client.socket.pause();
    let written = 0;
    while (upgraded.write(MEBIBYTE) || written < 16) written++;
    expect(upgraded.writableNeedDrain).toBe(true);
    // One write at a time is given to the socket, with what has gathered meanwhile.
    expect(server.writableLength).toBeLessThanOrEqual((written + 1) * MEBIBYTE.length);
    const drained = once(upgraded, "drain");
    client.socket.resume();
    await drained;
    expect(upgraded.writableLength).toBe(0);
  });

  it("calls back when the system has the bytes, and with the error when it can't", async () => {
    const { upgraded, client } = await upgradedPair();
    const write = (): Promise<unknown> => new Promise((resolve) => upgraded.write("x", resolve));
    expect(await write()).not.toBeInstanceOf(Error);
    client.reset();
    await new Promise<void>((resolve) => upgraded.once("close", () => resolve()));
    expect(await write()).toBeInstanceOf(Error);
  });
});

describe("ending", () => {
  it("lets one write on after the peer's end", async () => {
    const { client, upgraded } = await upgradedPair();
    client.socket.end("question");
    expect(await text(upgraded)).toBe("head question");
    expect(upgraded.writable).toBe(true);
    upgraded.end("answer");
    expect(await client.rest()).toBe("answer");
  });

  it("lets one read on after one's own end", async () => {
    const { client, peer, upgraded } = await upgradedPair();
    peer.allowHalfOpen = true;
    upgraded.end("bye");
    await once(peer, "end");
    client.socket.end("late answer");
    expect(await text(upgraded)).toBe("head late answer");
  });

  it.each([true, false])(
    "leaves both ways to end apart when the socket's allowHalfOpen is %s",
    async (allowHalfOpen) => {
      const { client, server } = await connectPair();
      server.allowHalfOpen = allowHalfOpen;
      client.socket.allowHalfOpen = true;
      const upgraded = new Upgraded(server, Buffer.alloc(0));
      client.socket.end();
      expect(await text(upgraded)).toBe("");
      await new Promise(setImmediate);
      upgraded.end("written after the end");
      expect(await client.rest()).toBe("written after the end");
    },
  );

  it("gives all that came before the end, also when the socket is closed by then", async () => {
    const { client, server, upgraded } = await upgradedPair();
    client.socket.allowHalfOpen = true;
    upgraded.end();
    await once(upgraded, "finish");
    client.socket.end(Buffer.alloc(40_000, "x"));
    await once(upgraded, "readable");
    const first: Buffer = upgraded.read(5);
    await once(server, "close");
    expect(first.toString() + (await text(upgraded))).toBe(HEAD + "x".repeat(40_000));
  });

  it("closes when both ways have ended, after the socket", async () => {
    const { client, server, upgraded } = await upgradedPair();
    client.socket.end();
    upgraded.resume().end();
    await once(upgraded, "close");
    expect(server.closed).toBe(true);
    expect(upgraded.errored).toBeNull();
  });
});

describe("failing", () => {
  it("destroys the socket when it is destroyed, and is closed when that is", async () => {
    const { client, server, upgraded } = await upgradedPair();
    upgraded.destroy();
    await once(upgraded, "close");
    expect(server.closed).toBe(true);
    await client.closed();
  });

  it("gives the socket's error to whoever reads", async () => {
    const { client, upgraded } = await upgradedPair();
    expect(await next(upgraded)).toBe(HEAD);
    const reading = consumers.text(upgraded);
    client.reset();
    await expect(reading).rejects.toMatchObject({ code: "ECONNRESET" });
  });

  it("ends no process when the socket fails and nobody listens", async () => {
    const { client, upgraded } = await upgradedPair();
    upgraded.resume();
    client.reset();
    await new Promise<void>((resolve) => upgraded.once("close", () => resolve()));
    expect(upgraded.errored).toMatchObject({ code: "ECONNRESET" });
  });

  it("emits the error to listeners", async () => {
    const { client, upgraded } = await upgradedPair();
    const failed = once(upgraded, "error");
    upgraded.resume();
    client.reset();
    expect((await failed)[0]).toMatchObject({ code: "ECONNRESET" });
  });

  it("is destroyed from the start on a socket that is", async () => {
    const { server } = await connectPair();
    server.on("error", () => {}).destroy(new Error("gone"));
    await new Promise<void>((resolve) => server.once("close", () => resolve()));
    const upgraded = new Upgraded(server, Buffer.from("head"));
    await expect(consumers.text(upgraded)).rejects.toThrow("gone");
  });

  it("closes the socket when a pipeline through it fails", async () => {
    const { client, upgraded } = await upgradedPair();
    const source = new PassThrough();
    const piped = pipeline(source, upgraded, new PassThrough().resume());
    source.write("some");
    source.destroy(new Error("source failed"));
    await expect(piped).rejects.toThrow("source failed");
    await client.closed();
  });

  it("closes the socket when an iteration is left early", async () => {
    const { client, upgraded } = await upgradedPair();
    for await (const chunk of upgraded) {
      expect(String(chunk)).toBe(HEAD);
      break;
    }
    await client.closed();
  });
});

describe("downcast", () => {
  it("gives the original socket and the head before anything was read", async () => {
    const { client, server, upgraded } = await upgradedPair();
    const { socket, readBuffer } = upgraded.downcast();
    expect(socket).toBe(server);
    expect(readBuffer.toString()).toBe(HEAD);
    client.socket.end("tail");
    expect(await text(socket)).toBe("tail");
    socket.end();
  });

  it("gives a socket as it was: no listeners, flowing when somebody asks", async () => {
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

  it.each([0, 1, 2, 4, 5])("loses and repeats nothing when %i bytes of the head were consumed", async (consumed) => {
    const { client, upgraded } = await upgradedPair();
    await once(upgraded, "readable");
    const first: Buffer | null = consumed === 0 ? null : upgraded.read(consumed);
    const { socket, readBuffer } = upgraded.downcast();
    client.socket.end("tail");
    expect(`${first ?? ""}${readBuffer}${await text(socket)}`).toBe("head tail");
    socket.end();
  });

  it("loses and repeats nothing after bytes of the socket came into the wrapper, and into the socket", async () => {
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

  it("may be called by a data listener, which is given nothing more", async () => {
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

  it("gives the socket first what was written before, in order", async () => {
    const { client, server, upgraded } = await upgradedPair("");
    client.socket.pause();
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
    client.socket.end();
    client.socket.resume();
    socket.resume();
    const expected = sizes.map((i) => String.fromCharCode(48 + i).repeat(256 * 1024)).join("");
    expect((await client.rest()) === `${expected}corkedafter`).toBe(true);
    expect(server.destroyed).toBe(true);
  });

  it("ends the socket when the wrapper was ended before", async () => {
    const { client, upgraded } = await upgradedPair("");
    upgraded.end("last");
    const { socket } = upgraded.downcast();
    socket.resume();
    client.socket.end();
    expect(await client.rest()).toBe("last");
  });

  it("gives what is left after the peer's end", async () => {
    const { client, upgraded } = await upgradedPair();
    client.socket.end("tail");
    await once(upgraded, "readable");
    expect(String(upgraded.read(1))).toBe("h");
    const { socket, readBuffer } = upgraded.downcast();
    expect(`${readBuffer}${await text(socket)}`).toBe("ead tail");
    socket.end();
  });

  it("throws at the second call", async () => {
    const { upgraded } = await upgradedPair();
    const { socket } = upgraded.downcast();
    expect(() => upgraded.downcast()).toThrow(expect.objectContaining({ code: "ERR_DOWNCAST", kind: "misuse" }));
    socket.destroy();
  });

  it("throws when an encoding is set, and goes on working", async () => {
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
  it.each(uses)("says what is wrong when the wrapper is %s afterwards, and leaves the socket alone", async (_, use) => {
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
  });

  it("rejects an iteration that begins afterwards", async () => {
    const { upgraded } = await upgradedPair();
    const { socket } = upgraded.downcast();
    await expect(consumers.text(upgraded)).rejects.toMatchObject({ code: "ERR_DOWNCAST" });
    socket.destroy();
  });

  it("rejects an iteration that waits for bytes at that moment, and gives those to the socket", async () => {
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

  it("leaves the socket alone when the wrapper is destroyed afterwards", async () => {
    const { client, upgraded } = await upgradedPair();
    const { socket } = upgraded.downcast();
    upgraded.destroy();
    await once(upgraded, "close");
    client.socket.end("alive");
    expect(await text(socket)).toBe("alive");
    socket.end();
  });
});

describe("over other streams", () => {
  it("becomes a pair of web streams that carry both ways", async () => {
    const { client, upgraded } = await upgradedPair();
    const { readable, writable } = Duplex.toWeb(upgraded);
    client.socket.end("question");
    const writer = writable.getWriter();
    await writer.write(Buffer.from("answer"));
    expect(await consumers.text(readable)).toBe("head question");
    await writer.close();
    expect(await client.rest()).toBe("answer");
  });

  it("stops the peer when a web reader stops", async () => {
    const { client, server, upgraded } = await upgradedPair("");
    const { readable } = Duplex.toWeb(upgraded);
    const reader = readable.getReader();
    let sent = 0;
    for (let i = 0; i < 32; i++) client.socket.write(MEBIBYTE, () => sent++);
    await reader.read();
    await vi.waitFor(() => expect(server.readableLength).toBeGreaterThanOrEqual(server.readableHighWaterMark));
    expect(sent).toBeLessThan(32);
    const closed = new Promise<void>((resolve) => client.socket.once("close", () => resolve()));
    await reader.cancel();
    await closed;
  });

  it("wraps a Duplex that was made of web streams", async () => {
    const { client, upgraded } = await upgradedPair("outer ");
    const again = new Upgraded(Duplex.fromWeb(Duplex.toWeb(upgraded) as never), Buffer.from("inner "));
    client.socket.end("peer");
    expect(await text(again)).toBe("inner outer peer");
    again.end("back");
    expect(await client.rest()).toBe("back");
  });
});
