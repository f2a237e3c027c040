import { constants, createDeflateRaw, deflateRawSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { deflateBomb, deflateMessage } from "../../../support/deflate.ts";
import { pattern } from "../decoding/decoding.ts";
import { createInflater } from "./deflating.ts";

const MIB = 1024 * 1024;
const hello = Buffer.from("Hello");

function bytes(hex: string): Buffer {
  return Buffer.from(hex.replaceAll(" ", ""), "hex");
}

/** The payloads of a sender with context takeover: one endless stream, cut at its flushes. */
async function deflateInContext(messages: readonly Buffer[], windowBits: number): Promise<Buffer[]> {
  const stream = createDeflateRaw({ windowBits });
  const payloads: Buffer[] = [];
  for (const message of messages) {
    stream.write(message);
    await new Promise<void>((resolve) => stream.flush(constants.Z_SYNC_FLUSH, resolve));
    payloads.push((stream.read() as Buffer).subarray(0, -4));
  }
  stream.close();
  return payloads;
}

describe("the examples of RFC 7692", () => {
  it.each([
    ["7.2.3.1: one block", "f2 48 cd c9 c9 07 00"],
    ["7.2.3.3: a block without compression", "00 05 00 fa ff 48 65 6c 6c 6f 00"],
    ["7.2.3.4: a block that says it is the last", "f3 48 cd c9 c9 07 00 00"],
    ["7.2.3.5: two blocks", "f2 48 05 00 00 00 ff ff ca c9 c9 07 00"],
  ])("%s", (_section, payload) => {
    for (const peerContextTakeover of [true, false]) {
      expect(createInflater({ peerContextTakeover }).inflate(bytes(payload), 5)).toEqual(hello);
    }
  });

  it("7.2.3.2: the second message refers to the first", () => {
    const inflater = createInflater({ peerContextTakeover: true });
    expect(inflater.inflate(bytes("f2 48 cd c9 c9 07 00"), 5)).toEqual(hello);
    expect(inflater.inflate(bytes("f2 00 11 00 00"), 5)).toEqual(hello);
    const stateless = createInflater();
    expect(stateless.inflate(bytes("f2 48 cd c9 c9 07 00"), 5)).toEqual(hello);
    expect(stateless.inflate(bytes("f2 00 11 00 00"), 5)).toBe("ERR_INVALID_DEFLATE");
  });

  it("7.2.3.6: an empty message", () => {
    expect(createInflater().inflate(bytes("00"), 5)).toEqual(Buffer.alloc(0));
  });
});

describe("streams that end within a message", () => {
  const last = (text: string): Buffer => deflateRawSync(text);

  it("are inflated one after the other, and may refer to each other", () => {
    const first = "a text that is long enough to be referred to";
    const second = deflateMessage(first, Buffer.from(first));
    expect(second.length).toBeLessThan(12);
    for (const peerContextTakeover of [true, false]) {
      const inflater = createInflater({ peerContextTakeover });
      expect(String(inflater.inflate(Buffer.concat([last(first), second]), 1000))).toBe(first + first);
    }
  });

  it("may be many, up to a limit", () => {
    const streams = (count: number): Buffer => Buffer.concat([...Array(count).fill(last("ab")), bytes("00")]);
    expect(String(createInflater().inflate(streams(255), 1000))).toBe("ab".repeat(255));
    expect(createInflater().inflate(streams(256), 1000)).toBe("ERR_TOO_MANY_STREAMS");
    expect(createInflater().inflate(streams(100_000), 1000)).toMatch(/^ERR_(TOO_MANY_STREAMS|MESSAGE_TOO_BIG)$/);
  });

  it("count together towards the size limit", () => {
    const message = Buffer.concat([last("abc"), last("def"), bytes("00")]);
    expect(String(createInflater().inflate(message, 6))).toBe("abcdef");
    for (const limit of [1, 2, 3, 4, 5]) {
      expect(createInflater().inflate(message, limit)).toBe("ERR_MESSAGE_TOO_BIG");
    }
  });
});

describe("context takeover", () => {
  const messages = Array.from({ length: 60 }, (_, i) => {
    const text = Array.from({ length: 1 + ((i * 37) % 90) }, (_, n) => `${i % 7}: ${n * n} and so on. `).join("");
    return Buffer.from(text);
  });

  it.each([9, 10, 11, 12, 13, 14, 15])("spans many messages with a window of %i bits", async (windowBits) => {
    const inflater = createInflater({ peerWindowBits: windowBits, peerContextTakeover: true });
    for (const [i, payload] of (await deflateInContext(messages, windowBits)).entries()) {
      expect(inflater.inflate(payload, MIB)).toEqual(messages[i]);
      expect(inflater.keptBytes).toBeLessThanOrEqual(2 ** windowBits);
    }
  });

  it("spans empty messages, with and without a payload", () => {
    const inflater = createInflater({ peerContextTakeover: true });
    expect(inflater.inflate(bytes("f2 48 cd c9 c9 07 00"), 5)).toEqual(hello);
    expect(inflater.inflate(bytes("00"), 5)).toEqual(Buffer.alloc(0));
    expect(inflater.inflate(bytes(""), 5)).toEqual(Buffer.alloc(0));
    expect(inflater.inflate(bytes("f2 00 11 00 00"), 5)).toEqual(hello);
  });

  it("keeps no memory before the first message, and none at all when it is off", () => {
    expect(createInflater({ peerContextTakeover: true }).keptBytes).toBe(0);
    const stateless = createInflater();
    stateless.inflate(deflateMessage(pattern(100_000)), MIB);
    expect(stateless.keptBytes).toBe(0);
  });

  it("keeps 32 KiB for an idle connection, however long its messages were", () => {
    const payload = deflateMessage(pattern(100_000));
    const inflaters = Array.from({ length: 300 }, () => createInflater({ peerContextTakeover: true }));
    for (const inflater of inflaters) inflater.inflate(payload, MIB);
    for (const inflater of inflaters) expect(inflater.keptBytes).toBe(32 * 1024);
  });
});

describe("a payload that can't be inflated", () => {
  const whole = deflateMessage("a message that is compressed, compressed, compressed and compressed");

  it("is a stream that is cut short anywhere", () => {
    for (let length = 1; length < whole.length; length++) {
      expect(createInflater().inflate(whole.subarray(0, length), 1000)).toBe("ERR_INVALID_DEFLATE");
    }
  });

  it.each([
    ["a reserved block type", "06"],
    ["a stored block with a wrong length", "00 05 00 fa fe 48"],
    ["a distance beyond the start", "f2 00 11 00 00"],
    ["bytes after the end", `${whole.toString("hex")} ff ff ff`],
  ])("is %s", (_name, payload) => {
    expect(createInflater().inflate(bytes(payload), 1000)).toBe("ERR_INVALID_DEFLATE");
  });

  it("never makes the inflater throw, whatever its bytes", () => {
    for (let seed = 0; seed < 2_000; seed++) {
      const noise = Buffer.from(
        Array.from({ length: seed % 50 }, (_, i) => (seed * 31 + i * i * 17 + (seed >> 3)) & 255),
      );
      const result = createInflater({ peerContextTakeover: seed % 2 === 0 }).inflate(noise, 1000);
      if (typeof result === "string") expect(result).toMatch(/^ERR_(INVALID_DEFLATE|MESSAGE_TOO_BIG)$/);
    }
  });
});

describe("the limit", () => {
  it.each([1, 100, 16_384, 65_536, 100_000])("of %i bytes allows exactly that many", (limit) => {
    const payload = (length: number): Buffer => deflateMessage(Buffer.alloc(length, "a"));
    expect(createInflater().inflate(payload(limit), limit)).toHaveLength(limit);
    expect(createInflater().inflate(payload(limit + 1), limit)).toBe("ERR_MESSAGE_TOO_BIG");
  });

  it("stops inflating before more memory is allocated", () => {
    const bomb = deflateBomb(256 * MIB);
    const inflater = createInflater({ peerContextTakeover: true });
    const before = process.memoryUsage().arrayBuffers;
    expect(inflater.inflate(bomb, MIB)).toBe("ERR_MESSAGE_TOO_BIG");
    const grown = process.memoryUsage().arrayBuffers - before;
    expect(grown).toBeLessThan(4 * MIB);
  });

  it("stops a decompression bomb with garbage after it", () => {
    const bomb = Buffer.concat([deflateBomb(64 * MIB), pattern(1000)]);
    expect(createInflater().inflate(bomb, MIB)).toBe("ERR_MESSAGE_TOO_BIG");
  });
});
