/** Cases of close frames: codes, reasons, lengths, and frames before and after them (RFC 6455 section 5.5.1). */
import { type Case, close, closing, continuation, failed, inAllCuts, ping, text, texts } from "../case.ts";

const VALID = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999];
const INVALID = [
  ...[0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1099, 1100, 1999, 2000, 2999],
  ...[5000, 5001, 9999, 32_768, 65_535],
];

const echoed = (code?: number, reason = "") => ({ kind: "echoed", code, reason }) as const;

const codes: Case[] = [
  ...VALID.map((code) => ({ name: `code ${code}`, steps: [close(closing(code))], end: echoed(code) })),
  ...VALID.map((code) => ({
    name: `code ${code} with a reason`,
    steps: [close(closing(code, "tschüß €"))],
    end: echoed(code, "tschüß €"),
  })),
  ...INVALID.map((code) => ({ name: `code ${code}`, steps: [close(closing(code))], end: failed(1002) })),
  ...INVALID.map((code) => ({
    name: `code ${code} with a reason`,
    steps: [close(closing(code, "why"))],
    end: failed(1002),
  })),
];

const payloads: Case[] = [
  { name: "no payload", steps: [close()], end: echoed() },
  { name: "a payload of one byte", steps: [close("x")], end: failed(1002) },
  { name: "a payload of one byte, 0", steps: [close(Buffer.of(0))], end: failed(1002) },
  { name: "a payload of 2 bytes", steps: [close(closing(1000))], end: echoed(1000) },
  { name: "a payload of 3 bytes", steps: [close(closing(1000, "x"))], end: echoed(1000, "x") },
  {
    name: "a payload of 125 bytes",
    steps: [close(closing(1000, "x".repeat(123)))],
    end: echoed(1000, "x".repeat(123)),
  },
  {
    name: "a reason of 41 characters in 123 bytes",
    steps: [close(closing(1000, "€".repeat(41)))],
    end: echoed(1000, "€".repeat(41)),
  },
  { name: "a payload of 126 bytes", steps: [close(closing(1000, "x".repeat(124)))], end: failed(1002) },
  { name: "a payload of 65,536 bytes, announced", steps: [close("", { announces: 65_536n })], end: failed(1002) },
  ...["cebaedbfbf", "cebaeda080", "c080", "f4908080", "ff", "e282"].map((bytes) => ({
    name: `a reason that isn't UTF-8: ${bytes}`,
    steps: [close(closing(1000, Buffer.from(bytes, "hex")))],
    end: failed(1007),
  })),
];

const after: Case[] = [
  { name: "a text after the close frame", steps: [close(closing(1000)), text("late")], end: echoed(1000) },
  { name: "a ping after the close frame", steps: [close(closing(1000)), ping("late")], end: echoed(1000) },
  { name: "nonsense after the close frame", steps: [close(closing(1000)), { opcode: 7, rsv: 7 }], end: echoed(1000) },
  { name: "two close frames", steps: [close(closing(1000)), close(closing(1001))], end: echoed(1000) },
  {
    name: "a close frame between two fragments",
    steps: [text("frag", { fin: false }), close(closing(1000)), continuation("ment")],
    end: echoed(1000),
  },
  {
    name: "a close frame after a first fragment",
    steps: [text("frag", { fin: false }), close(closing(3001, "enough"))],
    end: echoed(3001, "enough"),
  },
  {
    name: "a message right before the close frame",
    steps: [text("last"), close(closing(1000))],
    answers: texts("last"),
    end: echoed(1000),
  },
  {
    name: "large messages after the close frame",
    steps: [close(closing(1000)), ...Array.from({ length: 16 }, () => text("x".repeat(16_384)))],
    end: echoed(1000),
  },
];

export const closings: readonly Case[] = [...inAllCuts([...codes, ...payloads]), ...inAllCuts(after).filter(fast)];

/** 256 KiB byte by byte would test nothing new. */
function fast({ name, cut }: Case): boolean {
  return !name.startsWith("large") || cut !== 1;
}
