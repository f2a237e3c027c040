/** Cases of valid and invalid text (RFC 6455 section 8.1). Played against every role. */
import { type Case, close, closing, continuation, failed, fragments, slices, text, texts } from "../case.ts";

/** Valid texts, in hex: the ends of each range of UTF-8, and samples with characters of all lengths. */
const VALID: readonly (readonly [string, string])[] = [
  ["characters of all lengths", Buffer.from("Straße κόσμε ₿ 😀!").toString("hex")],
  ["Greek with accents", "cebae1bdb9cf83cebcceb5"],
  ["U+0000", "00"],
  ["U+007F", "7f"],
  ["U+0080", "c280"],
  ["U+07FF", "dfbf"],
  ["U+0800", "e0a080"],
  ["U+0FFF and U+1000", "e0bfbfe18080"],
  ["U+D7FF", "ed9fbf"],
  ["U+E000", "ee8080"],
  ["U+FEFF, the byte order mark", "efbbbf"],
  ["U+FFFD", "efbfbd"],
  ["U+FFFE and U+FFFF", "efbfbeefbfbf"],
  ["U+FDD0 to U+FDEF", "efb790efb7af"],
  ["U+10000", "f0908080"],
  ["U+3FFFF and U+40000", "f0bfbfbff1808080"],
  ["U+FFFFF and U+100000", "f3bfbfbff4808080"],
  ["U+10FFFF", "f48fbfbf"],
  ["the last two of planes 1 and 15", "f09fbfbef09fbfbff3bfbfbef3bfbfbf"],
];

/** Invalid texts, in hex. The bar stands behind the first byte that no valid text could have there. */
const INVALID: readonly (readonly [string, string])[] = [
  ["a surrogate after Greek, and more text", "cebae1bdb9cf83cebcceb5eda0|80656469746564"],
  ["above U+10FFFF after Greek, and more text", "cebae1bdb9cf83cebcceb5f490|8080656469746564"],
  ["an overlong slash of 2 bytes", "c0|af"],
  ["an overlong slash of 3 bytes", "e080|af"],
  ["an overlong slash of 4 bytes", "f080|80af"],
  ["an overlong slash of 5 bytes", "f8|808080af"],
  ["an overlong slash of 6 bytes", "fc|80808080af"],
  ["the last overlong of 2 bytes", "c1|bf"],
  ["the last overlong of 3 bytes", "e09f|bf"],
  ["the last overlong of 4 bytes", "f08f|bfbf"],
  ["the last overlong of 5 bytes", "f8|87bfbfbf"],
  ["the last overlong of 6 bytes", "fc|83bfbfbfbf"],
  ["U+0000 overlong in 2 bytes", "c0|80"],
  ["U+0000 overlong in 3 bytes", "e080|80"],
  ["U+0000 overlong in 4 bytes", "f080|8080"],
  ["the first surrogate", "eda0|80"],
  ["the last high surrogate", "edaf|bf"],
  ["the first low surrogate", "edb0|80"],
  ["the last surrogate", "edbf|bf"],
  ["a pair of surrogates", "eda0|80edb080"],
  ["the last pair of surrogates", "edaf|bfedbfbf"],
  ["U+110000", "f490|8080"],
  ["the last of 4 bytes", "f7|bfbfbf"],
  ["the first of 5 bytes", "f8|88808080"],
  ["the last of 5 bytes", "fb|bfbfbfbf"],
  ["the first of 6 bytes", "fc|8480808080"],
  ["the last of 6 bytes", "fd|bfbfbfbfbf"],
  ["F5", "f5|808080"],
  ["FE", "fe|"],
  ["FF", "ff|"],
  ["FE and FF twice", "fe|feffff"],
  ["a lone first continuation", "80|"],
  ["a lone last continuation", "bf|"],
  ["2 continuations", "80|bf"],
  ["5 continuations", "80|bf80bf80"],
  ["a continuation after text", "616263bf|"],
  ["a continuation too many", "e2828280|"],
  ["2-byte leads, each with a space", "c320|c420df20"],
  ["3-byte leads, each with a space", "e020|e120ef20"],
  ["4-byte leads, each with a space", "f020|f120f420"],
  ["2 bytes lack their last", "dfe2|"],
  ["3 bytes lack their last", "efbf20|"],
  ["4 bytes lack their last", "f48fbf20|"],
  ["4 bytes lack their last two", "f09f41|"],
  ["a lead after a lead", "c3c3|a4"],
  ["Latin-1", "e4f6|fc"],
  ["UTF-16 with a byte order mark", "fe|ff00480069"],
];

/** Texts that end inside a character and are valid until there. */
const TRUNCATED = [
  "c3",
  "df",
  "e0a0",
  "e282",
  "ed9f",
  "ef",
  "efbf",
  "f090",
  "f09f98",
  "f48fbf",
  "616263f4",
  "cebae1bd",
];

const bytesOf = (hex: string): Buffer => Buffer.from(hex.replace("|", ""), "hex");

const valid: Case[] = VALID.flatMap(([name, hex]) => {
  const bytes = bytesOf(hex);
  const cuts = Array.from({ length: bytes.length + 1 }, (_, at) => [bytes.subarray(0, at), bytes.subarray(at)]);
  const inFragments = cuts.flatMap((pieces) => fragments(1, pieces));
  const single = fragments(1, slices(bytes, 1));
  const all = cuts.map(() => bytes);
  return [
    { name: `${name}, whole`, steps: [text(bytes)], answers: texts(bytes) },
    { name: `${name}, byte by byte`, steps: [text(bytes)], answers: texts(bytes), cut: 1 },
    { name: `${name}, in two fragments cut at each byte`, steps: inFragments, answers: texts(...all) },
    {
      name: `${name}, in two fragments cut at each byte, frame by frame`,
      steps: inFragments,
      answers: texts(...all),
      cut: "frames",
    },
    ...[1, 2, 3, 5, 7].map((cut) => ({
      name: `${name}, in two fragments cut at each byte, ${cut} bytes at a time`,
      steps: inFragments,
      answers: texts(...all),
      cut,
    })),
    { name: `${name}, a byte in each fragment`, steps: single, answers: texts(bytes) },
    { name: `${name}, a byte in each fragment, frame by frame`, steps: single, answers: texts(bytes), cut: "frames" },
  ] satisfies Case[];
});

const invalid: Case[] = [...INVALID, ...TRUNCATED.map((hex) => [`cut short: ${hex}`, hex] as const)].flatMap(
  ([name, hex]) => {
    const bytes = bytesOf(hex);
    const single = fragments(1, slices(bytes, 1));
    const end = failed(1007);
    return [
      { name: `${name}, whole`, steps: [text(bytes)], end },
      { name: `${name}, byte by byte`, steps: [text(bytes)], end, cut: 1 },
      { name: `${name}, a byte in each fragment`, steps: single, end },
      { name: `${name}, a byte in each fragment, frame by frame`, steps: single, end, cut: "frames" },
      {
        name: `${name}, after a message`,
        steps: [text("fine"), { awaits: 1 }, text(bytes)],
        answers: texts("fine"),
        end,
      },
      {
        name: `${name}, behind 4 KiB of text`,
        steps: [text(Buffer.concat([Buffer.alloc(4096, "€"), Buffer.from("  "), bytes]))],
        end,
      },
    ] satisfies Case[];
  },
);

/** The peer sends nothing more once the text is invalid: the end under test must not wait for the rest. */
const failFast: Case[] = INVALID.flatMap(([name, hex]) => {
  const bytes = Buffer.from(hex.split("|")[0] as string, "hex");
  const [good, bad] = [bytes.subarray(0, -1), bytes.subarray(-1)];
  const announced = Buffer.concat([bytes, Buffer.alloc(100, "x")]);
  const end = failed(1007);
  return [
    { name: `at the first byte of: ${name}, in an unfinished message`, steps: [text(bytes, { fin: false })], end },
    {
      name: `at the first byte of: ${name}, in an unfinished frame`,
      steps: [text(announced, { sentBytes: bytes.length })],
      end,
    },
    {
      name: `at the first byte of: ${name}, in an unfinished frame, byte by byte`,
      steps: [text(announced, { sentBytes: bytes.length })],
      cut: 1,
      end,
    },
    {
      name: `at the first byte of: ${name}, in a second fragment`,
      steps: [text(good, { fin: false }), continuation(bad, { fin: false })],
      cut: "frames",
      end,
    },
  ] satisfies Case[];
});

/** Text that isn't invalid yet: the end under test must wait for the rest. */
const patience: Case[] = TRUNCATED.map((hex) => ({
  name: `${hex} may still become valid`,
  steps: [text(bytesOf(hex), { fin: false }), close(closing(1000))],
  cut: "frames",
  end: { kind: "echoed", code: 1000, reason: "" },
}));

export const validText: readonly Case[] = valid;
export const invalidText: readonly Case[] = invalid;
export const textFailsFast: readonly Case[] = [...failFast, ...patience];
