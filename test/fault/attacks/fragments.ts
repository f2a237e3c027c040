/** Attacks by fragments and by tiny reads. */
import { setTimeout as delay } from "node:timers/promises";
import { clientFrame } from "../../support/frames.ts";
import { type Attack, COMMON_GROWTH_MIB, crowd } from "./attack.ts";
import { compressing, Peer } from "./peer.ts";

/** Largest number of frames in one message that a board takes by default. */
const MAX_FRAGMENTS = 131_072;
const FRAMES_IN_A_PACKET = 4_096;
const MIB = 1024 * 1024;

/** A first frame, then one continuation frame again and again, past the limit of frames in a message. */
async function flood(peer: Peer, first: Buffer, next: Buffer): Promise<void> {
  await peer.write(first);
  const packet = Buffer.concat(Array.from({ length: FRAMES_IN_A_PACKET }, () => next));
  for (let sent = 0; sent <= MAX_FRAGMENTS && !peer.closed; sent += FRAMES_IN_A_PACKET) await peer.write(packet);
}

const beginning = (opcode: number) => clientFrame(opcode, "a", { fin: false });

export const fragments: readonly Attack[] = [
  {
    fault: "tiny-fragment flood",
    tried: (count) => `${count} messages of 131,073 fragments, a byte each`,
    full: 200,
    short: 4,
    verdicts: ["1008"],
    memoryMiB: COMMON_GROWTH_MIB,
    run: ({ port, count }) =>
      crowd(count, 16, async () => {
        const peer = await Peer.open(port);
        await flood(peer, beginning(0x1), clientFrame(0x0, "a", { fin: false }));
        return peer.leave(await peer.verdict());
      }),
  },
  {
    fault: "empty-continuation flood",
    tried: (count) => `${count} messages of 131,073 empty fragments`,
    full: 200,
    short: 4,
    verdicts: ["1008"],
    memoryMiB: COMMON_GROWTH_MIB,
    run: ({ port, count }) =>
      crowd(count, 16, async () => {
        const peer = await Peer.open(port);
        await flood(peer, beginning(0x2), clientFrame(0x0, "", { fin: false }));
        return peer.leave(await peer.verdict());
      }),
  },
  {
    fault: "fragment flood, compressed",
    tried: (count) => `${count} compressed messages of 131,073 fragments`,
    full: 200,
    short: 4,
    verdicts: ["1008"],
    memoryMiB: COMMON_GROWTH_MIB,
    run: ({ port, count }) =>
      crowd(count, 16, async () => {
        const peer = await Peer.open(port, compressing);
        await flood(peer, beginning(0x41), clientFrame(0x0, "", { fin: false }));
        return peer.leave(await peer.verdict());
      }),
  },
  {
    fault: "data-chunk flood",
    tried: (count) => `${count} packets of one byte each, 50 connections`,
    full: 1_000_000,
    short: 10_000,
    verdicts: ["survived"],
    memoryMiB: COMMON_GROWTH_MIB,
    run: ({ port, count }) => {
      const bytes = count / 50;
      return crowd(50, 50, async () => {
        const peer = await Peer.open(port);
        const frame = clientFrame(0x2, Buffer.alloc(bytes));
        for (let at = 0; at < frame.length && !peer.closed; at++) {
          await peer.write(frame.subarray(at, at + 1));
          // The kernel joins bytes that the server hasn't read yet. The turns of the other connections keep the bytes
          // apart.
          if (at % 16 === 0) await delay(0);
        }
        return peer.leave(await peer.survival());
      });
    },
  },
  {
    fault: "lengths announced, nothing sent",
    tried: (count) => `${count} connections that announce 1 MiB and send a byte of it`,
    full: 2_000,
    short: 100,
    verdicts: ["survived"],
    memoryMiB: COMMON_GROWTH_MIB,
    run: async ({ port, count }) => {
      const head = clientFrame(0x2, Buffer.alloc(MIB)).subarray(0, 15);
      const peers: Peer[] = [];
      await crowd(count, 50, async () => {
        const peer = await Peer.open(port);
        peers.push(peer);
        await peer.write(head);
        return "announced";
      });
      return crowd(peers.length, 50, async (index) => {
        const peer = peers[index] as Peer;
        return peer.leave(peer.closed ? await peer.verdict() : "survived");
      });
    },
  },
];
