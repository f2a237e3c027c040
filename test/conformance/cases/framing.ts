/** Cases of lengths and masking (RFC 6455 sections 5.2 and 5.3). Played against every role. */
import { binaries, binary, type Case, continuation, failed, ping, text, texts } from "../case.ts";
import { letters, noise } from "./payloads.ts";

const LENGTHS = [0, 1, 125, 126, 127, 128, 65_535, 65_536];
const SMALL = 128;

const lengths: Case[] = LENGTHS.flatMap((length) => [
  { name: `text of ${length} bytes`, steps: [text(letters(length))], answers: texts(letters(length)) },
  { name: `binary of ${length} bytes`, steps: [binary(noise(length))], answers: binaries(noise(length)) },
]);

const cuts: Case[] = lengths.flatMap((one, i) => {
  const cut = (LENGTHS[i >> 1] ?? 0) <= SMALL ? 1 : 997;
  return [{ ...one, name: `${one.name}, ${cut === 1 ? "byte by byte" : "997 bytes at a time"}`, cut }];
});

const wrongLengths: Case[] = [
  { name: "0 bytes, length in 16 bits", steps: [text("", { lengthBits: 16 })] },
  { name: "125 bytes, length in 16 bits", steps: [binary(noise(125), { lengthBits: 16 })] },
  { name: "1 byte, length in 64 bits", steps: [text("x", { lengthBits: 64 })] },
  { name: "126 bytes, length in 64 bits", steps: [binary(noise(126), { lengthBits: 64 })] },
  { name: "65,535 bytes, length in 64 bits", steps: [binary(noise(65_535), { lengthBits: 64 })] },
  { name: "a length with its top bit set", steps: [binary("", { announces: 1n << 63n })] },
  { name: "the largest length with its top bit set", steps: [binary("", { announces: (1n << 64n) - 1n })] },
].map((one) => ({ ...one, end: failed(1002) }));

const masks: Case[] = [
  { name: "text with the wrong masking", steps: [text("x", { wronglyMasked: true })] },
  { name: "an empty binary with the wrong masking", steps: [binary("", { wronglyMasked: true })] },
  { name: "a ping with the wrong masking", steps: [ping("", { wronglyMasked: true })] },
  {
    name: "a second fragment with the wrong masking",
    steps: [text("x", { fin: false }), continuation("y", { wronglyMasked: true })],
  },
].map((one) => ({ ...one, end: failed(1002) }));

const keys: Case[] = ["00000000", "ffffffff", "000000ff", "ff000000", "01020408"].map((key) => ({
  name: `texts masked with ${key}`,
  steps: [0, 1, 5, 126].map((length) => text(letters(length), { key: Buffer.from(key, "hex") })),
  answers: texts(...[0, 1, 5, 126].map(letters)),
}));

const rightAfter: Case = {
  name: "a wrong masking after a message",
  steps: [text("first"), text("second", { wronglyMasked: true })],
  answers: texts("first"),
  end: failed(1002),
};

export const framing: readonly Case[] = [...lengths, ...cuts, ...wrongLengths, ...masks, ...keys, rightAfter];
