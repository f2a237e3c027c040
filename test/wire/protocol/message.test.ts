import { describe, expect, it, vi } from "vitest";
import { Decoder } from "../../../src/wire/protocol/decoding/decoder.ts";
import { Message, toFrame } from "../../../src/wire/protocol/message.ts";
import { binary, continuation, parseServerFrame, text } from "../../support/frames.ts";
import { feed, LIMITS, pattern, wireBytes } from "./decoding/decoding.ts";

/** The one message that these frames are, and that decoded from two chunks when they are cut. */
function receive(bytes: Buffer, cutAt = bytes.length): Message {
  const decoder = new Decoder(LIMITS);
  const events = [...feed(decoder, bytes.subarray(0, cutAt)), ...feed(decoder, bytes.subarray(cutAt))];
  const [message] = events;
  if (!(message instanceof Message) || events.length !== 1) throw new Error("expected one message");
  return message;
}

describe("Message", () => {
  it("has the type, bytes, length and text that were sent", () => {
    const message = receive(text("grün €"));
    expect(message.kind).toBe("message");
    expect(message.type).toBe("text");
    expect(message.text).toBe("grün €");
    expect(message.bytes).toEqual(Buffer.from("grün €"));
    expect(message.byteLength).toBe(9);
  });

  it("keeps a byte order mark in its text", () => {
    expect(receive(text("\ufeffa")).text).toBe("\ufeffa");
  });

  it("has U+FFFD in its text for bytes of a binary message that aren't UTF-8", () => {
    const message = receive(binary(Buffer.from([0x61, 0xff, 0x62])));
    expect(message.type).toBe("binary");
    expect(message.text).toBe("a\ufffdb");
  });

  it("gives its bytes without copying them", () => {
    const message = receive(binary(pattern(100)));
    expect(message.bytes.buffer).toBe(message.block.buffer);
    expect(message.bytes.byteOffset).toBe(message.end - 100);
  });

  const lengths = [0, 1, 125, 126, 127, 4_096, 65_535, 65_536];
  const arrivals = [
    ["in one chunk", (payload: Buffer) => receive(binary(payload))],
    ["in two chunks", (payload: Buffer) => receive(binary(payload), 14)],
    [
      "in fragments",
      (payload: Buffer) => {
        const half = payload.length >> 1;
        return receive(
          Buffer.concat([
            binary(payload.subarray(0, half), { fin: false }),
            continuation("", { fin: false }),
            continuation(payload.subarray(half)),
          ]),
        );
      },
    ],
  ] as const;
  describe.each(arrivals)("that came %s", (_name, arrive) => {
    it.each(lengths)("of %i bytes is the frame that carries it to another peer", (length) => {
      const message = arrive(pattern(length));
      expect(message.byteLength).toBe(length);
      const parsed = parseServerFrame(wireBytes(message));
      expect(parsed?.rest.length).toBe(0);
      expect(parsed?.frame).toMatchObject({ fin: true, opcode: 0x2 });
      expect(parsed?.frame.payload.equals(pattern(length))).toBe(true);
    });
  });
});

describe("toFrame", () => {
  function carried(data: Parameters<typeof toFrame>[0]): { opcode: number | undefined; payload: string | undefined } {
    const parsed = parseServerFrame(wireBytes(toFrame(data)));
    return { opcode: parsed?.frame.opcode, payload: parsed?.frame.payload.toString("latin1") };
  }
  const bytes = Uint8Array.from(Buffer.from("..abcd.."));
  const shared = new Uint8Array(new SharedArrayBuffer(4));
  shared.set(Buffer.from("abcd"));

  it.each([
    ["a Buffer", Buffer.from("abcd")],
    ["a part of a Uint8Array", bytes.subarray(2, 6)],
    ["a DataView over a part", new DataView(bytes.buffer, 2, 4)],
    ["a Uint16Array over a part", new Uint16Array(bytes.buffer, 2, 2)],
    ["an ArrayBuffer", bytes.buffer.slice(2, 6)],
    ["a view of shared memory", shared],
  ])("sends %s as binary", (_name, data) => {
    expect(carried(data)).toEqual({ opcode: 0x2, payload: "abcd" });
  });

  it("sends a string as text", () => {
    expect(carried("abcd")).toEqual({ opcode: 0x1, payload: "abcd" });
    expect(carried("")).toEqual({ opcode: 0x1, payload: "" });
  });

  it("sends a received message unchanged, without a copy", () => {
    const message = receive(text("abcd"));
    expect(toFrame(message)).toBe(message);
  });

  it("sends a message of another copy of the package with its type and payload", async () => {
    vi.resetModules();
    const copy: typeof import("../../../src/wire/protocol/message.ts") = await import(
      "../../../src/wire/protocol/message.ts"
    );
    expect(copy.Message).not.toBe(Message);
    expect(carried(copy.messageOf(0x1, Buffer.from("abcd")))).toEqual({ opcode: 0x1, payload: "abcd" });
    expect(carried(copy.messageOf(0x2, Buffer.from("abcd")))).toEqual({ opcode: 0x2, payload: "abcd" });
  });

  it.each([[undefined], [null], [42], [{}], [["abcd"]], [Symbol("s")]])("throws ERR_DATA for %s", (data) => {
    const error = expect.objectContaining({ code: "ERR_DATA", kind: "misuse" });
    expect(() => toFrame(data as unknown as string)).toThrow(error);
  });
});
