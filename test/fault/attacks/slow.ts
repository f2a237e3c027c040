/** Attacks by peers that send or read slowly. */
import { setTimeout as delay } from "node:timers/promises";
import { clientFrame, ping, text } from "../../support/frames.ts";
import { upgradeRequest } from "../../support/raw-client.ts";
import { type Attack, COMMON_GROWTH_MIB, crowd } from "./attack.ts";
import { Peer } from "./peer.ts";

const PINGS_IN_A_PACKET = 500;
const PINGS_EACH = 50_000;
const PAUSE_MS = 100;
/**
 * Payload of a piece. With its header it exceeds the size up to which a board collects frames, so each piece is written
 * at once.
 */
const POURED_BYTES = 1024 * 1024;
const PUBLISHED_BYTES = 64 * 1024;
/** More bytes than the kernel's buffers and a board's send buffer hold together. */
const PUBLISHES = 400;

/** Sends bytes one at a time, with pauses, until the server ends the connection. */
async function drip(peer: Peer, bytes: Buffer): Promise<void> {
  for (const byte of bytes) {
    if (peer.closed) return;
    await peer.write(Buffer.from([byte]));
    await delay(PAUSE_MS);
  }
}

export const slow: readonly Attack[] = [
  {
    fault: "ping flood, pongs unread",
    tried: (count) => `${count} connections, ${PINGS_EACH.toLocaleString("en")} pings of 125 bytes each`,
    full: 100,
    short: 4,
    verdicts: ["survived"],
    memoryMiB: COMMON_GROWTH_MIB,
    run: ({ port, count }) => {
      const one = ping(Buffer.alloc(125, "ping"));
      const packet = Buffer.concat(Array.from({ length: PINGS_IN_A_PACKET }, () => one));
      return crowd(count, 20, async () => {
        const peer = await Peer.open(port);
        peer.socket.pause();
        for (let sent = 0; sent < PINGS_EACH; sent += PINGS_IN_A_PACKET) await peer.write(packet);
        peer.socket.resume();
        return peer.leave(await peer.survival());
      });
    },
  },
  {
    fault: "slowloris in the request",
    tried: (count) => `${count} requests, a byte every ${PAUSE_MS} ms, never ending`,
    full: 2_000,
    short: 50,
    // Node answers a request that it gives up with 408.
    verdicts: ["408", "ended"],
    memoryMiB: COMMON_GROWTH_MIB,
    run: ({ port, count }) =>
      crowd(count, count, async (index) => {
        // The attackers come one after the other, as they would in the field.
        await delay((index % 100) * 10);
        const peer = await Peer.dial(port);
        await drip(peer, Buffer.from(upgradeRequest({ headers: { "X-Filler": "x".repeat(1_000) } })));
        return peer.leave(await peer.answer());
      }),
  },
  {
    fault: "slowloris in a frame",
    tried: (count) => `${count} connections, a message of 64 bytes, a byte every ${PAUSE_MS} ms`,
    full: 1_000,
    short: 50,
    verdicts: ["survived"],
    memoryMiB: COMMON_GROWTH_MIB,
    run: ({ port, count }) =>
      crowd(count, count, async (index) => {
        await delay((index % 100) * 10);
        const peer = await Peer.open(port);
        await drip(peer, clientFrame(0x2, Buffer.alloc(count > 100 ? 64 : 8)));
        return peer.leave(await peer.survival());
      }),
  },
  {
    fault: "endless downloads, reset",
    tried: (count) => `${count} × a stream without an end in pieces of 1 MiB, reset after the first`,
    full: 500,
    short: 40,
    verdicts: ["left"],
    // Each piece is a copy, which stays in memory until the next collection.
    memoryMiB: 2 * COMMON_GROWTH_MIB,
    run: ({ port, count }) =>
      crowd(count, 10, async () => {
        const peer = await Peer.open(port);
        await peer.write(text(`pour ${POURED_BYTES}`));
        await peer.binaries(1);
        return peer.closed ? peer.verdict() : peer.leave("left");
      }),
  },
  slowReaders("slow readers", "each when two others have the one before", true),
  slowReaders("slow readers, fast publisher", "as fast as it can", false),
];

/** Subscribers that never read, beside two that do, one on each shard. */
function slowReaders(fault: string, how: string, paced: boolean): Attack {
  return {
    fault,
    tried: (count) => `${count} subscribers that never read, ${PUBLISHES} publishes of 64 KiB, ${how}`,
    full: 200,
    short: 10,
    // The server cuts off a subscriber that doesn't read its close frame either, after two seconds.
    verdicts: ["1013", "ended"],
    // The subscribers share the bytes that wait for them.
    memoryMiB: COMMON_GROWTH_MIB,
    run: async ({ port, count }) => {
      const readers = await Promise.all([Peer.open(port), Peer.open(port)]);
      for (const reader of readers) await reader.ask("subscribe slow 1");
      const peers: Peer[] = [];
      await crowd(count, 20, async () => {
        const peer = await Peer.open(port);
        peers.push(peer);
        await peer.ask("subscribe slow 1");
        peer.socket.pause();
        return "subscribed";
      });
      const publisher = await Peer.open(port);
      for (let sent = 1; sent <= PUBLISHES; sent++) {
        await publisher.ask(`publish slow0 ${PUBLISHED_BYTES}`);
        if (paced) await Promise.all(readers.map((reader) => reader.binaries(sent)));
      }
      for (const reader of readers) {
        await reader.binaries(PUBLISHES);
        reader.leave("done");
      }
      publisher.leave("done");
      return crowd(count, 20, async (index) => {
        const peer = peers[index] as Peer;
        peer.socket.resume();
        return peer.leave(await peer.verdict());
      });
    },
  };
}
