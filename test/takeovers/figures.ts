/**
 * `npm run takeovers:figures -- [--run] [--node PATH] [--topics NUMBER] [--memberships NUMBER] [connections…]`: a chain
 * of five takeovers under load, with clients that know nothing of them and check every byte. Prints one line for each
 * takeover. Default: 2,000 and 10,000 connections. Needs about twice as many descriptors as connections.
 *
 * `--topics`: topics with 100 publications of 100 bytes each, in the memory engine. Not with `--run`.
 *
 * `--memberships`: members of topics with history and presence, in the memory engine. Each connection is a member of as
 * many topics as all others. Runs a chain without members first, and compares the two. Not with `--run`.
 *
 * `--run`: under `switchboard run`. `--node PATH`: the Node of the programs; one without `node:ffi` needs `--run`.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { projectFolder, RunningProgram } from "../e2e/support/process.ts";
import { actorUrl } from "../support/actor-url.ts";
import { CountedClient } from "../support/counted-client.ts";

const { values, positionals } = parseArgs({
  options: {
    run: { type: "boolean" },
    node: { type: "string" },
    topics: { type: "string" },
    memberships: { type: "string" },
  },
  allowPositionals: true,
});
const node = values.node ?? process.execPath;

const program = fileURLToPath(new URL("../e2e/takeover/programs/server.ts", import.meta.url));
/** The same with its options in a file, for `switchboard run`. */
const supervised = fileURLToPath(new URL("../cli/run/programs/board.ts", import.meta.url));

const TAKEOVERS = 5;
const SHARDS = 2;
/** Messages of all clients together in a second. */
const MESSAGES_PER_SECOND = 4_000;
/** Clients that connect at the same time. */
const TOGETHER = 100;

type Story = Readonly<Record<string, number>>;

/** What the new and the old process say of a takeover. */
interface Replacement {
  readonly takenOver: Story;
  readonly handedOver: Story;
  /** CPU time of both processes, from the start of the new one to the end of the takeover, in ms. */
  readonly cpuMs?: number;
}

/** A server that is replaced again and again. */
interface Chain {
  readonly port: number;
  replace(): Promise<Replacement>;
  end(): Promise<void>;
}

/**
 * @param filled number of topics that the process fills
 * @param attended number of topics that each connection is a member of
 */
function optionsWith(takeover: string | undefined, filled = 0, attended = 0): string {
  const start = {
    actor: String(actorUrl(attended === 0 ? "counting" : "attending")),
    ...(takeover === undefined ? {} : { takeover }),
    shards: SHARDS,
    pingIntervalMs: 0,
    maxEventLoopDelayMs: 60_000,
    maxSubscriptions: 100_000,
    topics: {
      ...(values.topics === undefined ? {} : { "filled:*": { history: { size: 100, ttlMs: 3_600_000 } } }),
      ...(attended === 0 ? {} : { "attended:*": { history: { size: 100 }, presence: true } }),
    },
  };
  return JSON.stringify({ start, listen: [{}], filled });
}

async function told(process: RunningProgram, event: string): Promise<Story> {
  const [, story = ""] = await process.prints(new RegExp(`^(\\{"event":"${event}".*)\\n`, "m"));
  return JSON.parse(story);
}

async function portOf(process: RunningProgram): Promise<number> {
  const { ports } = (await told(process, "listening")) as unknown as { readonly ports: readonly number[] };
  return ports[0] as number;
}

/**
 * Returns the CPU time of a process so far, in ms. Source: proc_pid_stat(5), utime and stime, in hundredths of a
 * second.
 */
function cpuMsOf({ pid }: RunningProgram): number {
  const [, fields = ""] = readFileSync(`/proc/${pid}/stat`, "latin1").split(") ");
  const [utime, stime] = fields.split(" ").slice(11, 13);
  return 10 * (Number(utime) + Number(stime));
}

/** Processes that meet at a path. */
async function atPath(folder: string, attended: number): Promise<Chain> {
  const start = (filled?: number): RunningProgram => {
    const args = [program, optionsWith(join(folder, "socket"), filled, attended)];
    return new RunningProgram(node, args, { env: { ...process.env, ATTENDED_TOPICS: String(attended) } });
  };
  let old = start(Number(values.topics ?? 0));
  return {
    port: await portOf(old),
    replace: async () => {
      const before = cpuMsOf(old);
      const next = start();
      const handedOver = await told(old, "handedOver");
      const oldMs = cpuMsOf(old) - before;
      const takenOver = await told(next, "takenOver");
      const cpuMs = oldMs + cpuMsOf(next);
      await old.exit;
      old = next;
      return { takenOver, handedOver, cpuMs };
    },
    end: () => old.destroy(),
  };
}

/** Processes under one supervisor. */
async function underSupervisor(folder: string): Promise<Chain> {
  const file = join(folder, "options.json");
  writeFileSync(file, optionsWith(undefined));
  const main = join(projectFolder, "src/cli/main.ts");
  const supervisor = new RunningProgram(node, [main, "run", supervised, file]);
  return {
    port: await portOf(supervisor),
    replace: async () => {
      supervisor.forget();
      supervisor.kill("SIGHUP");
      const both = { takenOver: await told(supervisor, "takenOver"), handedOver: await told(supervisor, "handedOver") };
      await supervisor.logs(/took over from/);
      return both;
    },
    end: async () => {
      supervisor.kill("SIGTERM");
      await supervisor.exit;
    },
  };
}

async function openClients(port: number, count: number): Promise<CountedClient[]> {
  // Clients that all think for the same time would send together, and be silent together during a takeover.
  const think = (): number => ((1_000 * count) / MESSAGES_PER_SECOND) * (0.5 + Math.random());
  const clients: CountedClient[] = [];
  while (clients.length < count) {
    const batch = Math.min(TOGETHER, count - clients.length);
    const open = (): Promise<CountedClient> => CountedClient.open({ port, window: 1, thinkMs: think() });
    clients.push(...(await Promise.all(Array.from({ length: batch }, open))));
  }
  while (clients.some(({ answers }) => answers === 0)) await new Promise((resolve) => setTimeout(resolve, 10));
  return clients;
}

/** The medians of a chain of takeovers, in ms. */
interface Figures {
  readonly pauseMs: number;
  readonly waitMs: number;
  readonly cpuMs: number;
}

/** Runs a chain of takeovers. Prints everything that was wrong. */
async function run(connections: number, memberships = 0): Promise<Figures> {
  const folder = mkdtempSync(join(tmpdir(), "takeover-"));
  const chain = await (values.run ? underSupervisor(folder) : atPath(folder, Math.ceil(memberships / connections)));
  const [pauses, longest, cpu]: [number[], number[], number[]] = [[], [], []];
  try {
    const clients = await openClients(chain.port, connections);
    for (let takeover = 1; takeover <= TAKEOVERS; takeover++) {
      for (const { waits } of clients) waits.length = 0;
      const { takenOver, handedOver, cpuMs = 0 } = await chain.replace();
      const before = clients.map(({ answers }) => answers);
      while (clients.some((client, at) => client.answers === before[at] && client.errors.length === 0)) {
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      const waitMs = clients.reduce((most, { waits }) => Math.max(most, ...waits), 0);
      const pauseMs = handedOver["pauseMs"] ?? 0;
      const errors = clients.reduce((sum, client) => sum + client.errors.length, 0);
      pauses.push(pauseMs);
      longest.push(waitMs);
      cpu.push(cpuMs);
      console.log(
        `${connections} connections, takeover ${takeover}: ${takenOver["connections"]} moved in ${takenOver["ms"]?.toFixed(0)} ms ` +
          `(the new program's listen included), stopped for ${pauseMs.toFixed(0)} ms; ` +
          `longest wait of a client ${waitMs.toFixed(0)} ms; ${errors} errors`,
      );
    }
    await Promise.all(clients.map((client) => client.stop()));
    const errors = clients.flatMap((client) => client.errors);
    for (const error of errors.slice(0, 5)) console.log(`  ${error}`);
    if (errors.length > 0) process.exitCode = 1;
    return { pauseMs: medianOf(pauses), waitMs: medianOf(longest), cpuMs: medianOf(cpu) };
  } finally {
    await chain.end();
    rmSync(folder, { recursive: true });
  }
}

function medianOf(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}

const counts = positionals.map(Number);
for (const connections of counts.length === 0 ? [2_000, 10_000] : counts) {
  const without = await run(connections);
  if (values.memberships === undefined) continue;
  const memberships = Number(values.memberships);
  console.log(`the same with ${memberships} memberships:`);
  const those = await run(connections, memberships);
  const compared = (["pauseMs", "waitMs", "cpuMs"] as const).map((figure) => {
    const [none, all] = [without[figure], those[figure]];
    return `${all.toFixed(0)} / ${none.toFixed(0)} = ${(all / none).toFixed(1)} (+${(all - none).toFixed(0)} ms)`;
  });
  console.log(`medians with / without: stopped for ${compared[0]}, longest wait ${compared[1]}, CPU ${compared[2]}`);
}
