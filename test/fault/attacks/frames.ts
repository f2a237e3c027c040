/** Attacks by invalid frame headers. */
import { deflateMessage } from "../../support/deflate.ts";
import { clientFrame, ping, text } from "../../support/frames.ts";
import { type Attack, COMMON_GROWTH_MIB, crowd, type Verdict } from "./attack.ts";
import { compressing, Peer } from "./peer.ts";

/** The header of a frame with any 64-bit length. */
function headerWithLength(length: bigint): Buffer {
  const header = Buffer.alloc(14);
  header[0] = 0x82;
  header[1] = 0xff;
  header.writeBigUInt64BE(length, 2);
  return header;
}

/** The bytes that the connections send, in turn. All must get the same verdict. */
function wrongFrames(
  fault: string,
  what: string,
  verdict: Verdict,
  frames: readonly Buffer[],
  headers: Readonly<Record<string, string>> = {},
): Attack {
  return {
    fault,
    tried: (count) => `${count} connections: ${what}`,
    full: 5_000,
    short: 100,
    verdicts: [verdict],
    memoryMiB: COMMON_GROWTH_MIB,
    run: ({ port, count }) =>
      crowd(count, 32, async (index) => {
        const peer = await Peer.open(port, headers);
        await peer.write(frames[index % frames.length] as Buffer);
        return peer.leave(await peer.verdict());
      }),
  };
}

const deflated = deflateMessage("compressed");

export const frames: readonly Attack[] = [
  wrongFrames("64-bit lengths, top bit", "2^63, 2^63 + 1, 2^64 - 1", "1002", [
    headerWithLength(1n << 63n),
    headerWithLength((1n << 63n) + 1n),
    headerWithLength((1n << 64n) - 1n),
  ]),
  wrongFrames("lengths past the limit", "2^63 - 1, 2^53, 2^53 + 1, 2^32, 1 MiB + 1", "1009", [
    headerWithLength((1n << 63n) - 1n),
    headerWithLength(1n << 53n),
    headerWithLength((1n << 53n) + 1n),
    headerWithLength(1n << 32n),
    headerWithLength((1n << 20n) + 1n),
  ]),
  wrongFrames("unmasked frames", "text, ping, close, a fragment without a mask", "1002", [
    text("echo", { masked: false }),
    ping("p", { masked: false }),
    clientFrame(0x8, "", { masked: false }),
    text("echo", { masked: false, fin: false }),
  ]),
  wrongFrames(
    "compressed control frames, reserved bits",
    "compressed ping, pong, close, continuation; bits 2 and 3",
    "1002",
    [
      clientFrame(0x9, deflated, { rsv: 4 }),
      clientFrame(0xa, deflated, { rsv: 4 }),
      clientFrame(0x8, deflated, { rsv: 4 }),
      Buffer.concat([clientFrame(0x1, deflated, { rsv: 4, fin: false }), clientFrame(0x0, deflated, { rsv: 4 })]),
      text("a", { rsv: 2 }),
      text("a", { rsv: 1 }),
    ],
    compressing,
  ),
  wrongFrames(
    "compression not agreed, reserved opcodes",
    "compressed text and ping; opcodes 3 to 7, 11 to 15",
    "1002",
    [
      clientFrame(0x1, deflated, { rsv: 4 }),
      clientFrame(0x9, "", { rsv: 4 }),
      ...[3, 4, 5, 6, 7, 11, 12, 13, 14, 15].map((opcode) => clientFrame(opcode, "a")),
    ],
  ),
];
