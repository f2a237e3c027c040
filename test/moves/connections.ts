/**
 * `npm run moves:connections`: connections that move all the time, with clients that check every byte. Prints one line
 * for each run: moves, answers, errors, the pauses of the connections, the longest waits for an answer, and the CPU of
 * a move.
 */
import { fileURLToPath } from "node:url";
import { type Address, Switchboard } from "../../src/index.ts";
import { actorUrl } from "../support/actor-url.ts";
import { CountedClient, type CountedOptions } from "../support/counted-client.ts";

export interface MovesRun {
  readonly name: string;
  readonly shards: number;
  readonly connections: number;
  /** Moves of each connection. */
  readonly moves: number;
  /** Connections that move at the same time; `evacuate`: all of a shard, by `board.evacuate`. */
  readonly together: number | "evacuate";
  readonly client: Omit<CountedOptions, "port"> | undefined;
}

export interface MovesResult {
  readonly moves: number;
  readonly answers: number;
  readonly errors: readonly string[];
  /** Times from the call of `suspended` to that of `resumed`, in ms: the median, the 99th percentile, the longest. */
  readonly pauses: readonly [number, number, number];
  /** Waits for an answer, in ms: the median, the 99th percentile, the longest. */
  readonly waits: readonly [number, number, number];
  /** CPU of the whole process in the time of the moves, for each move, in microseconds: that of the clients, too. */
  readonly cpuPerMove: number;
  readonly seconds: number;
}

const HALF_MESSAGES = { window: 4, sizeOf: (i: number) => 1_000 + ((i * 7_919) % 60_000), pieceBytes: 700 };
const SLOW_READERS = { window: 32, sizeOf: (i: number) => 100_000 + ((i * 7_919) % 100_000), readEveryMs: 2 };

const RUNS: readonly MovesRun[] = [
  { name: "idle", shards: 2, connections: 1_000, moves: 50, together: 1_000, client: undefined },
  {
    name: "2 messages a second",
    shards: 2,
    connections: 1_000,
    moves: 50,
    together: 50,
    client: { window: 1, thinkMs: 500 },
  },
  {
    name: "evacuations",
    shards: 2,
    connections: 1_000,
    moves: 10,
    together: "evacuate",
    client: { window: 1, thinkMs: 500 },
  },
  { name: "in the middle of messages", shards: 3, connections: 200, moves: 50, together: 20, client: HALF_MESSAGES },
  { name: "slow readers", shards: 2, connections: 20, moves: 50, together: 5, client: SLOW_READERS },
];

/** Opens clients, moves each of them so many times, and checks all that they got. */
export async function runMoves({ shards, connections, moves, together, client }: MovesRun): Promise<MovesResult> {
  const board = await Switchboard.start({
    actor: actorUrl("pausing"),
    shards,
    maxEventLoopDelayMs: 60_000,
    maxBufferedBytes: 64 * 1024 * 1024,
    pingIntervalMs: 0,
  });
  const { port } = await board.listen({ port: 0, host: "127.0.0.1" });
  const clients: CountedClient[] = [];
  const options = { ...(client ?? { window: 0 }), port };
  while (clients.length < connections) {
    const batch = Math.min(100, connections - clients.length);
    clients.push(...(await Promise.all(Array.from({ length: batch }, () => CountedClient.open(options)))));
  }
  const addresses = await addressesOf(board, connections);
  // The first evacuation moves a part only: it brings all connections into one shard.
  if (together === "evacuate") await board.evacuate(0);
  await board.survey("pauses");
  const startedAt = performance.now();
  const cpu = process.cpuUsage();
  let moved = 0;
  const errors: string[] = [];
  const waiting = addresses.flatMap((address) => Array.from({ length: moves }, () => address));
  // Each connection moves once in a round.
  for (let round = 0; round < moves; round++) {
    if (together === "evacuate") {
      const counts = await board.evacuate((1 + round) % shards);
      moved += counts.moved;
      errors.push(...Object.keys(counts.stayed).map((reason) => `stayed: ${reason}`));
      continue;
    }
    const queue = waiting.filter((_, at) => at % moves === round);
    const lane = async (): Promise<void> => {
      for (let address = queue.pop(); address !== undefined; address = queue.pop()) {
        const result = await board.move(address, (Number.parseInt(address, 10) + 1 + round) % shards);
        if (result.moved) moved++;
        else errors.push(`stayed: ${result.reason}`);
      }
    };
    await Promise.all(Array.from({ length: together }, lane));
  }
  const { user, system } = process.cpuUsage(cpu);
  const seconds = (performance.now() - startedAt) / 1_000;
  if (client !== undefined) await Promise.all(clients.map((one) => one.stop()));
  const pauses = (await board.survey("pauses")).flatMap((one) =>
    one.kind === "answered" ? one.answer : [],
  ) as number[];
  const answers = clients.reduce((sum, one) => sum + one.answers, 0);
  errors.push(...clients.flatMap((one) => one.errors));
  for (const { socket } of clients) socket.destroy();
  await board.close({ timeoutMs: 500 });
  if (pauses.length !== moved) errors.push(`${pauses.length} pauses of ${moved} moves`);
  return {
    moves: moved,
    answers,
    errors,
    pauses: quantiles(pauses),
    waits: quantiles(clients.flatMap((one) => one.waits)),
    cpuPerMove: (user + system) / moved,
    seconds,
  };
}

/** Returns the median, the 99th percentile and the largest. */
function quantiles(values: readonly number[]): readonly [number, number, number] {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (part: number): number => sorted[Math.floor(part * (sorted.length - 1))] ?? 0;
  return [at(0.5), at(0.99), at(1)];
}

async function addressesOf(board: Switchboard, count: number): Promise<Address[]> {
  for (;;) {
    const addresses: Address[] = [];
    let cursor: string | undefined;
    do {
      const page = await board.connections({ limit: 1_000, ...(cursor !== undefined && { cursor }) });
      addresses.push(...page.connections.map(({ address }) => address));
      cursor = page.cursor;
    } while (cursor !== undefined);
    if (addresses.length >= count) return addresses;
  }
}

function shown(times: readonly number[]): string {
  const [p50, p99, longest] = times.map((time) => time.toFixed(1));
  return `p50 ${p50}, p99 ${p99}, max ${longest} ms`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const run of RUNS) {
    const { moves, answers, errors, pauses, waits, cpuPerMove, seconds } = await runMoves(run);
    console.log(
      `${run.name.padEnd(26)} ${moves} moves in ${seconds.toFixed(1)} s, ${answers} answers, ${errors.length} errors; ` +
        `pauses ${shown(pauses)}; waits ${shown(waits)}; ${cpuPerMove.toFixed(0)} µs of CPU a move, clients included`,
    );
    for (const error of errors.slice(0, 5)) console.log(`  ${error}`);
    if (errors.length > 0) process.exitCode = 1;
  }
}
