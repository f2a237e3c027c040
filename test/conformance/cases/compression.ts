/** Cases of compressed messages and frames (RFC 7692). Played against every role. */
import { deflateBomb, deflateMessage } from "../../support/deflate.ts";
import {
  binaries,
  binary,
  type Case,
  type CompressionSetup,
  close,
  closing,
  continuation,
  type DeflateParameters,
  type FrameSpec,
  failed,
  inAllCuts,
  ping,
  pong,
  pongs,
  text,
  texts,
} from "../case.ts";
import { farRepeats, letters, noise } from "./payloads.ts";

const KIB = 1024;
const COUNTS: readonly (readonly [bytes: number, count: number])[] = [
  [16, 1000],
  [64, 1000],
  [256, 1000],
  [KIB, 1000],
  [4 * KIB, 200],
  [8 * KIB, 100],
  [16 * KIB, 50],
  [32 * KIB, 25],
  [64 * KIB, 12],
  [128 * KIB, 8],
];

const TAKEOVERS: readonly (readonly [string, DeflateParameters])[] = [
  ["a kept context", { clientMaxWindowBits: true }],
  ["no kept context", { serverNoContextTakeover: true, clientNoContextTakeover: true }],
];

/** Messages that mostly repeat earlier messages, as those of an application do. */
function similar(count: number, bytes: number): Buffer[] {
  const all = letters(bytes + 64 * count);
  return Array.from({ length: count }, (_, i) => {
    // A cut inside a character would make invalid text. Spaces replace that character.
    const piece = Buffer.from(all.subarray(64 * i, 64 * i + bytes));
    for (let at = 0; at < bytes && ((piece[at] as number) & 0xc0) === 0x80; at++) piece[at] = 0x20;
    for (let at = bytes - 1; at >= Math.max(0, bytes - 4) && (piece[at] as number) >= 0x80; at--) piece[at] = 0x20;
    return piece;
  });
}

const batches = TAKEOVERS.flatMap(([takeover, parameters]) =>
  COUNTS.map(
    ([bytes, count]): Case => ({
      name: `${count} texts of ${bytes} bytes with ${takeover}`,
      steps: () => similar(count, bytes).map((deflated) => ({ opcode: 0x1, deflated })),
      answers: () => texts(...similar(count, bytes)),
      deflate: { setup: "widest", parameters },
    }),
  ),
);

const incompressible = COUNTS.map(([bytes, count]): Case => {
  const few = Math.ceil(count / 10);
  const payloads = (): Buffer[] => Array.from({ length: few }, (_, i) => noise(bytes, i + 1));
  return {
    name: `${few} binaries of ${bytes} bytes that don't compress`,
    steps: () => payloads().map((deflated) => ({ opcode: 0x2, deflated })),
    answers: () => binaries(...payloads()),
    deflate: { setup: "widest", parameters: {} },
  };
});

const fragmented = TAKEOVERS.flatMap(([takeover, parameters]) =>
  (
    [
      [16, 1, 50],
      [KIB, 1, 20],
      [KIB, 64, 50],
      [4 * KIB, 128, 50],
      [8 * KIB, 256, 20],
      [64 * KIB, KIB, 10],
      [128 * KIB, 4 * KIB, 8],
    ] as const
  ).map(
    ([bytes, fragmentBytes, count]): Case => ({
      name: `${count} texts of ${bytes} bytes in fragments of ${fragmentBytes} with ${takeover}`,
      steps: () => similar(count, bytes).map((deflated) => ({ opcode: 0x1, deflated, fragmentBytes })),
      answers: () => texts(...similar(count, bytes)),
      deflate: { setup: "widest", parameters },
    }),
  ),
);

const chopped = [1, 7, 997].map(
  (cut): Case => ({
    name: `texts of 0 to 2,000 bytes, ${cut} bytes at a time`,
    steps: () => [0, 1, 100, 2000, 2000].map((bytes) => ({ opcode: 0x1, deflated: letters(bytes) })),
    answers: () => texts(...[0, 1, 100, 2000, 2000].map(letters)),
    cut,
    deflate: { setup: "widest", parameters: {} },
  }),
);

const defaults = COUNTS.map(
  ([bytes]): Case => ({
    name: `5 texts of ${bytes} bytes where compression is set up by default`,
    steps: () => similar(5, bytes).map((deflated) => ({ opcode: 0x1, deflated })),
    answers: () => texts(...similar(5, bytes)),
    deflate: { setup: "default", parameters: { clientMaxWindowBits: true } },
  }),
);

export const compressedMessages: readonly Case[] = [
  ...batches,
  ...incompressible,
  ...fragmented,
  ...chopped,
  ...defaults,
];

/** Messages that repeat bytes from as far back as a window reaches, within one message and across messages. */
function windows(setup: CompressionSetup, parameters: DeflateParameters): Case {
  const answers = (): Buffer[] => [
    letters(3000),
    letters(3000),
    farRepeats(),
    letters(3000),
    Buffer.alloc(0),
    letters(50),
  ];
  const said = Object.entries(parameters).map(([name, value]) => (value === true ? name : `${name} ${value}`));
  return {
    name: `set up ${setup}, with ${said.length === 0 ? "no parameters" : said.join(", ")}`,
    steps: () => answers().map((deflated) => ({ opcode: 0x2, deflated })),
    answers: () => binaries(...answers()),
    deflate: { setup, parameters },
  };
}

const BITS = [9, 10, 11, 12, 13, 14, 15] as const;
const server = [{}, ...BITS.map((bits) => ({ serverMaxWindowBits: bits }))];
const client = [{}, { clientMaxWindowBits: true as const }, ...BITS.map((bits) => ({ clientMaxWindowBits: bits }))];
const takeovers = [
  { serverNoContextTakeover: true },
  { clientNoContextTakeover: true },
  { serverNoContextTakeover: true, clientNoContextTakeover: true },
];
const few = [
  {},
  { serverMaxWindowBits: 9 },
  { serverMaxWindowBits: 13, clientMaxWindowBits: 11 },
  { clientMaxWindowBits: 15 },
];

export const compressionWindows: readonly Case[] = [
  ...server.flatMap((one) => client.map((other) => windows("widest", { ...one, ...other }))),
  ...takeovers.flatMap((one) => few.map((other) => windows("widest", { ...one, ...other }))),
  ...(["narrow", "medium"] as const).flatMap((setup) => [
    ...server.map((one) => windows(setup, { ...one, clientMaxWindowBits: true })),
    ...client.slice(2).map((one) => windows(setup, { ...one, serverMaxWindowBits: 15 })),
    ...takeovers.map((one) => windows(setup, one)),
  ]),
];

const RSV1 = { rsv: 4 };
const hex = (bytes: string): Buffer => Buffer.from(bytes, "hex");
const KEPT = { setup: "widest", parameters: {} } as const;
const ALONE = {
  setup: "widest",
  parameters: { serverNoContextTakeover: true, clientNoContextTakeover: true },
} as const;
const HELLO = "f248cdc9c90700";

/** The samples of RFC 7692 section 7.2.3, and other valid streams. */
const samples: Case[] = [
  { name: "one compressed block", steps: [text(hex(HELLO), RSV1)], answers: texts("Hello") },
  {
    name: "one compressed block in two fragments",
    steps: [text(hex("f248cd"), { ...RSV1, fin: false }), continuation(hex("c9c90700"))],
    answers: texts("Hello"),
  },
  {
    name: "a message that only refers to the message before",
    steps: [text(hex(HELLO), RSV1), text(hex("f200110000"), RSV1)],
    answers: texts("Hello", "Hello"),
  },
  { name: "a stored block", steps: [text(hex("000500faff48656c6c6f00"), RSV1)], answers: texts("Hello") },
  { name: "a block that is marked as the last", steps: [text(hex("f348cdc9c9070000"), RSV1)], answers: texts("Hello") },
  { name: "two blocks", steps: [text(hex("f24805000000ffffcac9c90700"), RSV1)], answers: texts("Hello") },
  { name: "an empty message", steps: [text(hex("00"), RSV1)], answers: texts("") },
  { name: "an empty message in an empty stored block", steps: [text(hex("000000ffff00"), RSV1)], answers: texts("") },
  {
    name: "compressed and plain messages in turn",
    steps: [
      text(hex(HELLO), RSV1),
      text("plain"),
      text(hex("f200110000"), RSV1),
      binary("plain"),
      text(hex(HELLO), RSV1),
    ],
    answers: [...texts("Hello", "plain", "Hello"), ...binaries("plain"), ...texts("Hello")],
  },
  {
    name: "a ping and a pong between compressed fragments",
    steps: [
      ...[text(hex("f248"), { ...RSV1, fin: false }), ping("p"), continuation(hex("cdc9"), { fin: false })],
      ...[pong("q"), continuation(hex("c90700"))],
    ],
    answers: [...texts("Hello"), ...pongs("p")],
  },
  {
    name: "empty fragments around compressed ones",
    steps: [
      ...[text("", { ...RSV1, fin: false }), continuation(hex(HELLO), { fin: false })],
      ...[continuation("", { fin: false }), continuation()],
    ],
    answers: texts("Hello"),
  },
  { name: "plain fragments", steps: [text("Hel", { fin: false }), continuation("lo")], answers: texts("Hello") },
  {
    name: "a close frame between compressed fragments",
    steps: [text(hex("f248"), { ...RSV1, fin: false }), close(closing(1001, "bye"))],
    end: { kind: "echoed", code: 1001, reason: "bye" } as const,
  },
].map((one) => ({ ...one, deflate: KEPT }));

const bits = (frame: (options: { readonly rsv: number }) => FrameSpec, name: string, all: readonly number[]): Case[] =>
  all.map((rsv) => ({ name: `reserved bits ${rsv} on ${name}`, steps: [frame({ rsv })], end: failed(1002) }));

const violations: Case[] = [
  ...bits((options) => text(hex(HELLO), options), "a text", [1, 2, 3, 5, 6, 7]),
  ...bits((options) => ping("", options), "a ping", [1, 2, 4, 7]),
  ...bits((options) => pong("", options), "a pong", [1, 2, 4, 7]),
  ...bits((options) => close("", options), "a close frame", [1, 2, 4, 7]),
  {
    name: "the compressed bit on a later fragment, too",
    steps: [text(hex("f248cd"), { ...RSV1, fin: false }), continuation(hex("c9c90700"), RSV1)],
    end: failed(1002),
  },
  {
    name: "the compressed bit on a later fragment only",
    steps: [text("Hel", { fin: false }), continuation(hex(HELLO), RSV1)],
    end: failed(1002),
  },
  { name: "a block of a type that doesn't exist", steps: [binary(hex("07"), RSV1)], end: failed(1007) },
  { name: "bytes that aren't a deflate stream", steps: [binary(hex("ffffffffff"), RSV1)], end: failed(1007) },
  {
    name: "a stored block whose lengths differ",
    steps: [binary(hex("000500fbff48656c6c6f00"), RSV1)],
    end: failed(1007),
  },
  {
    name: "a block that is cut short",
    steps: [binary(deflateMessage(noise(500)).subarray(0, 250), RSV1)],
    end: failed(1007),
  },
  { name: "a reference to bytes before the first message", steps: [text(hex("f200110000"), RSV1)], end: failed(1007) },
  {
    name: "invalid text in a compressed message",
    steps: [text(deflateMessage(hex("cebaeda080")), RSV1)],
    end: failed(1007),
  },
  {
    name: "compressed text that ends inside a character",
    steps: [text(deflateMessage(hex("61e282")), RSV1)],
    end: failed(1007),
  },
].map((one) => ({ ...one, deflate: KEPT }));

const others: Case[] = [
  {
    name: "a message that inflates to one byte more than the limit",
    steps: () => [binary(deflateBomb(32 * KIB * KIB + 1), RSV1)],
    end: failed(1009),
    deflate: KEPT,
  },
  {
    name: "a reference to a message when context takeover is off",
    steps: [text(hex(HELLO), RSV1), { awaits: 1 }, text(hex("f200110000"), RSV1)],
    answers: texts("Hello"),
    end: failed(1007),
    deflate: ALONE,
  },
];

export const compressedFrames: readonly Case[] = [...inAllCuts([...samples, ...violations]), ...others];
