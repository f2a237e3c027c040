/**
 * How one attacking connection fared: "survived" (it can still talk), the close code or the HTTP status that it got, or "ended" when its end
 * came without either.
 */
export type Verdict = string;

/** How many attacking connections fared in which way. */
export type Tally = Readonly<Record<Verdict, number>>;

/** Where an attack runs, and how much of it. */
export interface Order {
  readonly port: number;
  /** Of the same server, for HTTP/2. */
  readonly http2Port: number;
  readonly count: number;
}

/** One thing that a hostile or broken peer does, how often it is tried, and the bounds that must hold meanwhile. */
export interface Attack {
  /** Names the fault; unique among all. */
  readonly fault: string;
  /** Says what is done, given how often. */
  readonly tried: (count: string) => string;
  /** How often, by the command and by the tests. */
  readonly full: number;
  readonly short: number;
  /** What its connections may get. */
  readonly verdicts: readonly Verdict[];
  /** What the server may grow meanwhile, over what it has with nobody but the others on it. */
  readonly memoryMiB: number;
  /** How many attacks this is at once: the others' echo may take as many times as long. Default: 1. */
  readonly atOnce?: number;
  /** Whether shard 1 is killed: others that are there may be lost then, and only those. */
  readonly kills?: boolean;
  /** Does it, in a thread of its own. */
  run(order: Order): Promise<Tally>;
}

/**
 * What the server's three threads may grow when nothing of an attack is kept: their young generations (8 MiB twice, each), and buffers
 * that V8 hasn't looked for yet.
 */
export const COMMON_GROWTH_MIB = 192;

/** Runs `one` so often, so many at a time, and counts the verdicts. */
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
