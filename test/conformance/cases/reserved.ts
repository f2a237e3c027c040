/** Cases of reserved bits and opcodes (RFC 6455 section 5.2). Played against every role. */
import {
  binary,
  type Case,
  close,
  closing,
  continuation,
  type FrameSpec,
  failed,
  ping,
  pong,
  pongs,
  text,
  texts,
} from "../case.ts";

const BITS = [1, 2, 3, 4, 5, 6, 7];

const frames: readonly (readonly [string, (options: { readonly rsv: number }) => FrameSpec])[] = [
  ["an empty text", (options) => text("", options)],
  ["a text", (options) => text("Hello", options)],
  ["a binary", (options) => binary(Buffer.of(0xff, 0x00), options)],
  ["a first fragment", (options) => text("Hello", { ...options, fin: false })],
  ["a ping", (options) => ping("Hello", options)],
  ["a pong", (options) => pong("", options)],
  ["a close frame", (options) => close(closing(1000), options)],
];

/** All values of the three reserved bits. No negotiated extension uses any of them. */
export const reservedBits: readonly Case[] = BITS.flatMap((rsv): Case[] => [
  ...frames.map(([name, frame]) => ({
    name: `reserved bits ${rsv} on ${name}`,
    steps: [frame({ rsv })],
    end: failed(1002),
  })),
  {
    name: `reserved bits ${rsv} on a later fragment`,
    steps: [text("a", { fin: false }), continuation("b", { rsv })],
    end: failed(1002),
  },
  ...(["at once", "frames", 1] as const).map((cut) => ({
    name: `reserved bits ${rsv} after a message, and more after that, written ${cut === 1 ? "byte by byte" : cut}`,
    steps: [text("first"), ping("p"), { awaits: 2 }, text("second", { rsv }), text("third"), ping("q")],
    answers: [...texts("first"), ...pongs("p")],
    cut,
    end: failed(1002),
  })),
]);

const OPCODES = [3, 4, 5, 6, 7, 11, 12, 13, 14, 15];

export const reservedOpcodes: readonly Case[] = OPCODES.flatMap((opcode): Case[] => [
  { name: `opcode ${opcode}, empty`, steps: [{ opcode }], end: failed(1002) },
  { name: `opcode ${opcode} with a payload`, steps: [{ opcode, payload: "reserved" }], end: failed(1002) },
  { name: `opcode ${opcode}, not final`, steps: [{ opcode, payload: "reserved", fin: false }], end: failed(1002) },
  {
    name: `opcode ${opcode} inside a message`,
    steps: [text("a", { fin: false }), { opcode, payload: "b" }, continuation("c")],
    end: failed(1002),
  },
  ...(["at once", "frames", 1] as const).map((cut) => ({
    name: `opcode ${opcode} after a message, and more after that, written ${cut === 1 ? "byte by byte" : cut}`,
    steps: [text("first"), { awaits: 1 }, { opcode, payload: "second" }, ping("p"), text("third")],
    answers: texts("first"),
    cut,
    end: failed(1002),
  })),
]);
