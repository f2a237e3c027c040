/** Cases of large and many messages, and of the limits of the ends under test. Played against every role. */
import {
  type Answer,
  binaries,
  binary,
  type Case,
  continuation,
  failed,
  fragments,
  type Step,
  slices,
  text,
  texts,
} from "../case.ts";
import { letters } from "./payloads.ts";

const KIB = 1024;
const MIB = 1024 * KIB;

type Kind = "text" | "binary";
const KINDS: readonly Kind[] = ["text", "binary"];

const size = (bytes: number): string =>
  bytes < KIB ? `${bytes} B` : bytes < MIB ? `${bytes / KIB} KiB` : `${bytes / MIB} MiB`;
const opcodeOf = (kind: Kind): number => (kind === "text" ? 0x1 : 0x2);
const answersOf = (kind: Kind, ...payloads: readonly Uint8Array[]): Answer[] =>
  kind === "text" ? texts(...payloads) : binaries(...payloads);

const whole = KINDS.flatMap((kind) =>
  [64 * KIB, 256 * KIB, MIB, 4 * MIB, 8 * MIB, 16 * MIB].map(
    (bytes): Case => ({
      name: `a ${kind} of ${size(bytes)}`,
      steps: () => [{ opcode: opcodeOf(kind), payload: letters(bytes) }],
      answers: () => answersOf(kind, letters(bytes)),
    }),
  ),
);

const fragmented = KINDS.flatMap((kind) =>
  [64, 256, KIB, 4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, MIB, 4 * MIB].map(
    (piece): Case => ({
      name: `a ${kind} of 4 MiB in fragments of ${size(piece)}`,
      steps: () => fragments(opcodeOf(kind), slices(letters(4 * MIB), piece)),
      answers: () => answersOf(kind, letters(4 * MIB)),
    }),
  ),
);

const chopped = KINDS.flatMap((kind) =>
  (
    [
      [64 * KIB, 64],
      [64 * KIB, 256],
      [MIB, KIB],
      [MIB, 2 * KIB],
      [MIB, 4 * KIB],
      [MIB, 16 * KIB],
      [MIB, 64 * KIB],
    ] as const
  ).map(
    ([bytes, cut]): Case => ({
      name: `a ${kind} of ${size(bytes)}, ${size(cut)} at a time`,
      steps: () => [{ opcode: opcodeOf(kind), payload: letters(bytes) }],
      answers: () => answersOf(kind, letters(bytes)),
      cut,
    }),
  ),
);

/** `count` messages. Each differs a little from the others if it has room for that. */
function numbered(count: number, bytes: number): Buffer[] {
  return Array.from({ length: count }, (_, i) => {
    const payload = Buffer.from(letters(bytes));
    if (bytes >= 16) payload.write(String(i).padStart(6, "0"));
    return payload;
  });
}

const many = KINDS.flatMap((kind) =>
  (
    [
      [1000, 0],
      [1000, 16],
      [1000, 64],
      [1000, 256],
      [1000, KIB],
      [1000, 4 * KIB],
      [250, 16 * KIB],
      [60, 64 * KIB],
    ] as const
  ).map(
    ([count, bytes]): Case => ({
      name: `${count} ${kind} messages of ${size(bytes)} in a row`,
      steps: () => numbered(count, bytes).map((payload) => ({ opcode: opcodeOf(kind), payload })),
      answers: () => answersOf(kind, ...numbered(count, bytes)),
    }),
  ),
);

const roundTrips = KINDS.flatMap((kind) =>
  [0, 16, 64, 256, KIB, 4 * KIB, 16 * KIB, 64 * KIB].map((bytes): Case => {
    const count = bytes < 4 * KIB ? 300 : 60;
    return {
      name: `${count} ${kind} messages of ${size(bytes)}, each awaited`,
      steps: () =>
        numbered(count, bytes).flatMap((payload, i): Step[] => [
          { opcode: opcodeOf(kind), payload },
          { awaits: i + 1 },
        ]),
      answers: () => answersOf(kind, ...numbered(count, bytes)),
    };
  }),
);

/** Cases above the limits of the ends under test: 32 MiB and 131,072 frames. */
const tooMuch: Case[] = [
  {
    name: "a message one byte longer than the limit, header only",
    steps: [binary("", { announces: BigInt(32 * MIB + 1) })],
    end: failed(1009),
  },
  {
    name: "the largest possible length, header only",
    steps: [text("", { announces: (1n << 63n) - 1n })],
    end: failed(1009),
  },
  {
    name: "a fragment that makes the message one byte too long, header only",
    steps: () => [binary(letters(MIB), { fin: false }), continuation("", { announces: BigInt(31 * MIB + 1) })],
    end: failed(1009),
  },
  {
    name: "a message of 131,072 empty fragments",
    steps: () => fragments(0x1, new Array<string>(131_072).fill("")),
    answers: texts(""),
  },
  {
    name: "a message of 131,073 empty fragments",
    steps: () => fragments(0x1, new Array<string>(131_073).fill("")),
    end: failed(1008),
  },
];

export const limits: readonly Case[] = [...whole, ...fragmented, ...chopped, ...many, ...roundTrips, ...tooMuch];
