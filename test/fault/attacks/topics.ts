/** Attacks by many subscriptions. */
import { type Attack, COMMON_GROWTH_MIB, crowd } from "./attack.ts";
import { Peer } from "./peer.ts";

const TOPICS_EACH = 5_000;
const TOPICS_AT_ONCE = 50;
const STORM_TOPICS = 20;
const STORM_ROUNDS = 250;

/** Opens `count` connections, does something on each, and closes all of them only when the last one is done. */
async function allAtOnce(port: number, count: number, act: (peer: Peer, index: number) => Promise<unknown>) {
  const peers: Peer[] = [];
  await crowd(count, 20, async (index) => {
    const peer = await Peer.open(port);
    peers.push(peer);
    await act(peer, index);
    return "done";
  });
  return crowd(peers.length, 20, async (index) => {
    const peer = peers[index] as Peer;
    return peer.leave(await peer.survival());
  });
}

export const topics: readonly Attack[] = [
  {
    fault: "thousands of topics on a connection",
    tried: (count) => `${count} connections, each with ${TOPICS_EACH.toLocaleString("en")} topics of its own`,
    full: 40,
    short: 2,
    verdicts: ["survived"],
    // Bound for 200,000 topics, each known to every thread.
    memoryMiB: 512,
    run: ({ port, count }) =>
      allAtOnce(port, count, async (peer, index) => {
        for (let from = 0; from < TOPICS_EACH; from += TOPICS_AT_ONCE) {
          await peer.ask(`subscribe mine:${index}:${from}: ${TOPICS_AT_ONCE}`);
        }
      }),
  },
  {
    fault: "topics over many connections",
    tried: (count) => `${count} connections, each with 50 topics of its own and 50 common ones`,
    full: 2_000,
    short: 50,
    verdicts: ["survived"],
    memoryMiB: 512,
    run: ({ port, count }) =>
      allAtOnce(port, count, async (peer, index) => {
        await peer.ask(`subscribe own:${index}: 50`);
        await peer.ask("subscribe common: 50");
      }),
  },
  {
    fault: "subscribe/unsubscribe storm",
    tried: (count) =>
      `${count} connections, ${STORM_ROUNDS} × ${STORM_TOPICS} subscribes and unsubscribes each, and publishes`,
    full: 100,
    short: 4,
    verdicts: ["survived"],
    memoryMiB: COMMON_GROWTH_MIB,
    run: ({ port, count }) =>
      crowd(count, 20, async () => {
        const peer = await Peer.open(port);
        for (let round = 0; round < STORM_ROUNDS && !peer.closed; round++) {
          await peer.ask(`subscribe storm ${STORM_TOPICS}`);
          if (round % 10 === 0) await peer.ask(`publish storm${round % STORM_TOPICS} 100`);
          await peer.ask(`unsubscribe storm ${STORM_TOPICS}`);
        }
        return peer.leave(await peer.survival());
      }),
  },
];
