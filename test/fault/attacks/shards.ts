/** The attack that kills a shard while all other attacks run. */
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { text } from "../../support/frames.ts";
import { upgradeRequest } from "../../support/raw-client.ts";
import { type Attack, crowd } from "./attack.ts";
import { churn } from "./churn.ts";
import { deflate } from "./deflate.ts";
import { fragments } from "./fragments.ts";
import { frames } from "./frames.ts";
import { handshakes } from "./handshakes.ts";
import { http2 } from "./http2.ts";
import { Peer } from "./peer.ts";
import { slow } from "./slow.ts";
import { topics } from "./topics.ts";

/** By family, the attacks that end soon even if their connections die. */
const meanwhile = [fragments, frames, deflate, handshakes, http2, topics, churn, slow].map((family) =>
  family.filter(
    ({ fault }) => fault !== "data-chunk flood" && fault !== "HTTP/2 blocked window" && !fault.startsWith("slow"),
  ),
);
/** Number of kills in the tests. */
const SHORT = 2;

/**
 * Connections that look for shard 1 at once. About half of them end in the other shard, and each waits for seconds
 * until the attacked server accepts it.
 */
const SEEKERS = 8;
/** Time within which a connection must reach shard 1 again, in ms. */
const MAY_TAKE_TO_RETURN_MS = 100_000;

const ways = ["exit", "throw"];

/** Opens a connection on shard 1, as soon as that shard takes connections. */
async function openInShard1(port: number): Promise<Peer> {
  for (const tooLate = performance.now() + MAY_TAKE_TO_RETURN_MS; performance.now() < tooLate; await delay(20)) {
    const found = await Promise.all(Array.from({ length: SEEKERS }, () => seekShard1(port)));
    const [first, ...others] = found.filter((peer) => peer !== undefined);
    for (const peer of others) peer.leave("not needed");
    if (first !== undefined) return first;
  }
  throw new Error("shard 1 didn't come back");
}

async function seekShard1(port: number): Promise<Peer | undefined> {
  const peer = await Peer.dial(port);
  await peer.write(upgradeRequest());
  if ((await peer.status()) === 101 && (await peer.ask("where")) === "1") return peer;
  peer.leave("elsewhere");
  return undefined;
}

export const shards: readonly Attack[] = [
  {
    fault: "shard killed during all of it",
    tried: (count) => `${count} times, by process.exit or an uncaught error, while all other attacks run`,
    full: 4,
    short: SHORT,
    verdicts: ["killed"],
    memoryMiB: 1_024,
    atOnce: meanwhile.flat().length,
    kills: true,
    run: async (order) => {
      const { port, count } = order;
      let over = false;
      const keepAttacking = async (attack: Attack): Promise<void> => {
        while (!over) {
          // This attack is about connections that die with their shard or find no shard, so their failures are ignored.
          await attack.run({ ...order, count: Math.ceil(attack.short / 4) }).catch(() => delay(20));
        }
      };
      // The tests run one attack of each family: the other programs on the machine need some of its time, too.
      const attacks = count > SHORT ? meanwhile.flat() : meanwhile.flatMap((family) => family.slice(0, 1));
      const attacking = attacks.map(keepAttacking);
      const tally = await crowd(count, 1, async (index) => {
        const peer = await openInShard1(port);
        await delay(count > SHORT ? 3_000 : 100);
        const gone = peer.closed ? Promise.resolve() : once(peer.socket, "close");
        await peer.write(text(ways[index % ways.length] as string));
        await gone;
        return "killed";
      });
      over = true;
      await Promise.all(attacking);
      return tally;
    },
  },
];
