import { describe, expect, it } from "vitest";
import { Decoder } from "../../../../src/wire/protocol/decoding/decoder.ts";
import { LentMessage, Message, toFrame } from "../../../../src/wire/protocol/message.ts";
import { binary, parseServerFrame, text } from "../../../support/frames.ts";
import { LIMITS, pattern, wireBytes } from "./decoding.ts";

/** Memory of a transport that counts its holders, and is overwritten when the last one has released it. */
class Memory {
  readonly block = Buffer.alloc(300_000);
  holders = 0;

  hold(): void {
    this.holders++;
  }

  release(): void {
    if (--this.holders === 0) this.block.fill(0xdd);
  }

  /** Gives bytes to a decoder, as a transport does. Returns the messages. */
  feed(decoder: Decoder, bytes: Buffer): Message[] {
    bytes.copy(this.block);
    this.hold();
    decoder.feed(this.block.subarray(0, bytes.length), this);
    const messages: Message[] = [];
    for (let event = decoder.next(); event !== undefined; event = decoder.next()) {
      if (!(event instanceof Message)) throw new Error(`expected a message, got ${event.kind}`);
      messages.push(event);
    }
    this.release();
    return messages;
  }
}

function lent(bytes: Buffer): { memory: Memory; message: LentMessage } {
  const memory = new Memory();
  const [message] = memory.feed(new Decoder(LIMITS), bytes);
  if (!(message instanceof LentMessage)) throw new Error("expected a lent message");
  return { memory, message };
}

describe("a decoder that is lent its chunk", () => {
  it.each([1_024, 4_096, 65_535, 65_536, 200_000])("leaves a message of %i bytes where it is", (length) => {
    const { memory, message } = lent(binary(pattern(length)));
    expect(message.block.buffer).toBe(memory.block.buffer);
    expect(message.bytes.equals(pattern(length))).toBe(true);
    expect(message).toMatchObject({ kind: "message", type: "binary", byteLength: length });
    const parsed = parseServerFrame(wireBytes(message));
    expect(parsed?.frame).toMatchObject({ fin: true, opcode: 0x2 });
    expect(parsed?.frame.payload.equals(pattern(length))).toBe(true);
  });

  it("holds the memory until the last message of the chunk is given back", () => {
    const memory = new Memory();
    const chunk = Buffer.concat([text("x".repeat(2_000)), text("short"), text("ü".repeat(2_000))]);
    const messages = memory.feed(new Decoder(LIMITS), chunk);
    expect(messages.map((message) => message instanceof LentMessage)).toEqual([true, false, true]);
    expect(messages.map((message) => message.text)).toEqual(["x".repeat(2_000), "short", "ü".repeat(2_000)]);
    expect(memory.holders).toBe(2);
    for (const message of messages) if (message instanceof LentMessage) message.handled();
    expect(memory.holders).toBe(0);
    expect(messages[1]?.text).toBe("short");
  });

  it.each([1_023, 100, 0])("gives a message of %i bytes memory of its own", (length) => {
    const memory = new Memory();
    const messages = memory.feed(new Decoder(LIMITS), binary(pattern(length)));
    expect(messages.map((message) => message instanceof LentMessage)).toEqual([false]);
    expect(messages[0]?.bytes.equals(pattern(length))).toBe(true);
  });

  it("gives a message that comes in two chunks memory of its own, and lends the next", () => {
    const memory = new Memory();
    const decoder = new Decoder(LIMITS);
    const bytes = Buffer.concat([binary(pattern(5_000)), binary(pattern(3_000))]);
    expect(memory.feed(decoder, bytes.subarray(0, 4_000))).toEqual([]);
    const messages = memory.feed(decoder, bytes.subarray(4_000));
    expect(messages.map((message) => message instanceof LentMessage)).toEqual([false, true]);
    expect(messages.map(({ bytes }) => bytes.equals(pattern(bytes.length)))).toEqual([true, true]);
  });

  it("refuses a text that isn't UTF-8, and holds nothing then", () => {
    const memory = new Memory();
    const bytes = text("x".repeat(2_000));
    // The key of the helper's frames at this place is not 0.
    bytes[1_000] = (bytes[1_000] as number) ^ 0x80;
    expect(() => memory.feed(new Decoder(LIMITS), bytes)).toThrow("violation");
    expect(memory.holders).toBe(1);
  });
});

describe("a lent message", () => {
  it("throws ERR_MESSAGE_RETURNED for every use after it was given back", () => {
    const { memory, message } = lent(text("y".repeat(3_000)));
    const copies = [message.compact(), message.toOwned(), toFrame(message)];
    message.giveBack();
    message.giveBack();
    expect(memory.holders).toBe(0);
    const uses = [
      () => message.text,
      () => message.bytes,
      () => message.type,
      () => message.byteLength,
      () => message.memory,
      () => message.compact(),
      () => toFrame(message),
    ];
    for (const use of uses) {
      expect(use).toThrow(expect.objectContaining({ code: "ERR_MESSAGE_RETURNED", kind: "misuse" }));
    }
    for (const copy of copies)
      expect(parseServerFrame(wireBytes(copy))?.frame.payload.toString()).toBe("y".repeat(3_000));
  });

  it("stays after the call that got it if somebody keeps it", () => {
    const { memory, message } = lent(text("z".repeat(3_000)));
    message.keep();
    message.handled();
    expect(message.text).toBe("z".repeat(3_000));
    message.giveBack();
    expect(memory.holders).toBe(0);
  });
});
