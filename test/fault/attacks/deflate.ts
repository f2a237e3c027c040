/** Attacks by compressed messages: bombs and corrupt streams. */
import { deflateBomb, deflateMessage } from "../../support/deflate.ts";
import { clientFrame } from "../../support/frames.ts";
import { type Attack, COMMON_GROWTH_MIB, crowd, type Verdict } from "./attack.ts";
import { compressing, Peer } from "./peer.ts";

const MIB = 1024 * 1024;
const COMPRESSED = { rsv: 4 };
const FRAGMENTS = 64;
const SMALL_BOMBS = 60;

/** One compressed message in `frames` frames. */
function fragmented(payload: Buffer): Buffer {
  const size = Math.ceil(payload.length / FRAGMENTS);
  const pieces = Array.from({ length: FRAGMENTS }, (_, i) => payload.subarray(i * size, (i + 1) * size));
  const frames = pieces.map((piece, i) =>
    i === 0
      ? clientFrame(0x2, piece, { ...COMPRESSED, fin: false })
      : clientFrame(0x0, piece, { fin: i === FRAGMENTS - 1 }),
  );
  return Buffer.concat(frames);
}

/** The same bytes with the last tenth replaced by nonsense. */
function corrupted(payload: Buffer): Buffer {
  const from = Math.floor(payload.length * 0.9);
  return Buffer.concat([payload.subarray(0, from), Buffer.alloc(payload.length - from, 0xff)]);
}

function bombs(
  fault: string,
  what: string,
  verdict: Verdict,
  bytes: () => Buffer,
  memoryMiB = COMMON_GROWTH_MIB,
): Attack {
  return {
    fault,
    tried: (count) => `${count} × ${what}`,
    full: 500,
    short: 8,
    verdicts: [verdict],
    memoryMiB,
    run: ({ port, count }) => {
      const bomb = bytes();
      return crowd(count, 8, async () => {
        const peer = await Peer.open(port, compressing);
        await peer.write(bomb);
        return peer.leave(await (verdict === "survived" ? peer.survival() : peer.verdict()));
      });
    },
  };
}

export const deflate: readonly Attack[] = [
  bombs("deflate bomb", "256 MiB in 256 KiB", "1009", () => clientFrame(0x2, deflateBomb(256 * MIB), COMPRESSED)),
  bombs("deflate bomb, fragmented", "256 MiB in 64 fragments", "1009", () => fragmented(deflateBomb(256 * MIB))),
  bombs("deflate bomb, corrupt tail", "256 MiB, the last tenth nonsense", "1009", () =>
    clientFrame(0x1, corrupted(deflateBomb(256 * MIB)), COMPRESSED),
  ),
  bombs("deflate bomb, then garbage", "256 MiB, then 64 KiB of no meaning", "1009", () =>
    Buffer.concat([clientFrame(0x2, deflateBomb(256 * MIB), COMPRESSED), Buffer.alloc(64 * 1024, 0xff)]),
  ),
  bombs("corrupt deflate stream", "512 KiB, the last tenth nonsense", "1007", () =>
    clientFrame(0x2, corrupted(deflateMessage(Buffer.alloc(MIB / 2))), COMPRESSED),
  ),
  bombs(
    "many small bombs",
    `${SMALL_BOMBS} allowed messages of 1 MiB in one read`,
    "survived",
    () => {
      const small = clientFrame(0x2, deflateBomb(MIB), COMPRESSED);
      return Buffer.concat(Array.from({ length: SMALL_BOMBS }, () => small));
    },
    // V8 lets some hundred MiB of dead buffers pile up in each thread before it collects them.
    640,
  ),
  bombs("many final blocks", "a message of 10,000 streams", "1008", () => {
    // An empty stored block that is marked as the last (RFC 1951 section 3.2.4).
    const stream = Buffer.from([0x01, 0x00, 0x00, 0xff, 0xff]);
    return clientFrame(0x2, Buffer.concat(Array.from({ length: 10_000 }, () => stream)), COMPRESSED);
  }),
];
