import { once } from "node:events";
import { Duplex, PassThrough } from "node:stream";
import * as consumers from "node:stream/consumers";
import { pipeline } from "node:stream/promises";
import { describe, expect, it, vi } from "vitest";
import { Upgraded } from "../../../src/wire/upgrade/upgraded.ts";
import { countLeaks } from "./leaks.ts";
import { connectPair } from "./loopback.ts";
import { buffer, HEAD, next, text, upgradedPair } from "./streams.ts";

countLeaks();

const MEBIBYTE = Buffer.alloc(1024 * 1024, "m");

describe("reading", () => {
  it("gives the head first, then the bytes of the socket, in order", async () => {
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

  it("gives the bytes that the socket had read before it was wrapped", async () => {
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

  it("takes a bounded number of bytes from a peer while nobody reads, and all of them later", async () => {
    const { client, server, upgraded } = await upgradedPair("");
    const chunks = 32;
    let sent = 0;
    for (let i = 0; i < chunks; i++) client.socket.write(MEBIBYTE, () => sent++);
    client.socket.end();
    upgraded.once("readable", () => {});
    await once(upgraded, "readable");
    // The kernels' buffers hold a few of the chunks; the others wait in the peer.
    await vi.waitFor(() => expect(server.readableLength).toBeGreaterThanOrEqual(server.readableHighWaterMark));
    expect(server.readableLength + upgraded.readableLength).toBeLessThan(1024 * 1024);
    expect(sent).toBeLessThan(chunks);
    expect(client.socket.writableLength).toBeGreaterThan(0);
    expect((await buffer(upgraded)).length).toBe(chunks * MEBIBYTE.length);
    upgraded.end();
  });
});

describe("writing", () => {
  it("reaches the peer in order, in single and in gathered writes", async () => {
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

  it("returns false while the peer doesn't read, and emits drain when it does", async () => {
    const { peer, server, upgraded } = await upgradedPair();
    peer.removeAllListeners("data").pause();
    let written = 0;
    while (upgraded.write(MEBIBYTE) || written < 16) written++;
    expect(upgraded.writableNeedDrain).toBe(true);
    // The socket gets one write at a time, which contains all chunks that gathered meanwhile.
    expect(server.writableLength).toBeLessThanOrEqual((written + 1) * MEBIBYTE.length);
    const drained = once(upgraded, "drain");
    peer.resume();
    await drained;
    expect(upgraded.writableLength).toBe(0);
  });

  it("calls back when the system has the bytes, or with the error", async () => {
    const { upgraded, client } = await upgradedPair();
    const write = (): Promise<unknown> => new Promise((resolve) => upgraded.write("x", resolve));
    expect(await write()).not.toBeInstanceOf(Error);
    client.reset();
    await new Promise<void>((resolve) => upgraded.once("close", () => resolve()));
    expect(await write()).toBeInstanceOf(Error);
  });
});

describe("ending", () => {
  it("leaves the stream writable after the peer's end", async () => {
    const { client, upgraded } = await upgradedPair();
    client.socket.end("question");
    expect(await text(upgraded)).toBe("head question");
    expect(upgraded.writable).toBe(true);
    upgraded.end("answer");
    expect(await client.rest()).toBe("answer");
  });

  it("leaves the stream readable after its own end", async () => {
    const { client, peer, upgraded } = await upgradedPair();
    peer.allowHalfOpen = true;
    upgraded.end("bye");
    await once(peer, "end");
    client.socket.end("late answer");
    expect(await text(upgraded)).toBe("head late answer");
  });

  it.each([true, false])(
    "ends the two directions separately when the socket's allowHalfOpen is %s",
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

  it("gives all bytes that came before the end, even if the socket is closed by then", async () => {
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

  it("closes after the socket when both directions have ended", async () => {
    const { client, server, upgraded } = await upgradedPair();
    client.socket.end();
    upgraded.resume().end();
    await once(upgraded, "close");
    expect(server.closed).toBe(true);
    expect(upgraded.errored).toBeNull();
  });
});

describe("failing", () => {
  it("destroys the socket when it is destroyed, and closes after the socket", async () => {
    const { client, server, upgraded } = await upgradedPair();
    upgraded.destroy();
    await once(upgraded, "close");
    expect(server.closed).toBe(true);
    await client.closed();
  });

  it("gives the socket's error to readers", async () => {
    const { client, upgraded } = await upgradedPair();
    expect(await next(upgraded)).toBe(HEAD);
    const reading = consumers.text(upgraded);
    client.reset();
    await expect(reading).rejects.toMatchObject({ code: "ECONNRESET" });
  });

  it("doesn't end the process when the socket fails and nobody listens", async () => {
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

  it("is destroyed from the start when the socket is", async () => {
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

describe("over other streams", () => {
  it("becomes a pair of web streams that carry both directions", async () => {
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

  it("wraps a Duplex that was made from web streams", async () => {
    const { client, upgraded } = await upgradedPair("outer ");
    const again = new Upgraded(Duplex.fromWeb(Duplex.toWeb(upgraded) as never), Buffer.from("inner "));
    client.socket.end("peer");
    expect(await text(again)).toBe("inner outer peer");
    again.end("back");
    expect(await client.rest()).toBe("back");
  });
});
