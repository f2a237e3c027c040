/**
 * Result of one attacking connection: "survived" (the connection still works), the close code or HTTP status that it
 * received, or "ended" if the connection ended without either.
 */
export type Verdict = string;

/** Number of attacking connections per verdict. */
export type Tally = Readonly<Record<Verdict, number>>;

/** The server to attack, and how often. */
export interface Order {
  readonly port: number;
  /** The port for HTTP/2 of the same server. */
  readonly http2Port: number;
  readonly count: number;
}

/** One kind of hostile or broken peer, how often the attack runs, and the bounds that must hold meanwhile. */
export interface Attack {
  /** Name of the fault. Unique. */
  readonly fault: string;
  /** Describes what `count` attackers do. */
  readonly tried: (count: string) => string;
  /** Number of attackers: `full` for `npm run faults`, `short` for the tests. */
  readonly full: number;
  readonly short: number;
  /** The verdicts that its connections may get. */
  readonly verdicts: readonly Verdict[];
  /** Largest growth of the server's memory during the attack, in MiB. */
  readonly memoryMiB: number;
  /** Number of attacks that run at once. The bound of the echo is multiplied by this number. Default: 1. */
  readonly atOnce?: number;
  /** True if the attack kills shard 1. Other connections on that shard may then be lost, and no others. */
  readonly kills?: boolean;
  /** Runs the attack, in a thread of its own. */
  run(order: Order): Promise<Tally>;
}

/**
 * Growth of the server's three threads in MiB if nothing of an attack is kept: their young generations (twice 8 MiB
 * each), and buffers that V8 hasn't collected yet.
 */
export const COMMON_GROWTH_MIB = 192;

/** Runs `one` `count` times, at most `atOnce` at a time, and counts the verdicts. */
export async function crowd(count: number, atOnce: number, one: (index: number) => Promise<Verdict>): Promise<Tally> {
  const tally: Record<Verdict, number> = {};
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count) {
      const verdict = await one(next++);
      tally[verdict] = (tally[verdict] ?? 0) + 1;
    }
  };
  await Promise.all(Array.from({ length: Math.min(count, atOnce) }, worker));
  return tally;
}
