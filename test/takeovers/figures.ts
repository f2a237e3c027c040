/**
 * `npm run takeovers:figures -- [--run] [--node PATH] [--topics NUMBER] [connections…]`: a chain of five takeovers under load, with clients that
 * know nothing of them and check every byte. Prints one line for each takeover. Default: 2,000 and 10,000 connections. Needs
 * about twice as many descriptors as connections.
 *
 * `--topics`: topics with 100 publications of 100 bytes each, in the memory engine. Not with `--run`.
 *
 * `--run`: under `switchboard run`. `--node PATH`: the Node of the programs; one without `node:ffi` needs `--run`.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { projectFolder, RunningProgram } from "../e2e/support/process.ts";
import { actorUrl } from "../support/actor-url.ts";
import { CountedClient } from "../support/counted-client.ts";

const { values, positionals } = parseArgs({
  options: { run: { type: "boolean" }, node: { type: "string" }, topics: { type: "string" } },
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

/** A server that is replaced again and again. */
interface Chain {
  readonly port: number;
  /** Resolves with what the new and the old process say. */
  replace(): Promise<readonly [takenOver: Story, handedOver: Story]>;
  end(): Promise<void>;
}

/** @param filled number of topics that the process fills */
function optionsWith(takeover: string | undefined, filled = 0): string {
  const start = {
    actor: String(actorUrl("counting")),
    ...(takeover === undefined ? {} : { takeover }),
    shards: SHARDS,
    pingIntervalMs: 0,
    maxEventLoopDelayMs: 60_000,
    ...(values.topics === undefined ? {} : { topics: { "filled:*": { history: { size: 100, ttlMs: 3_600_000 } } } }),
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

/** Processes that meet at a path. */
async function atPath(folder: string): Promise<Chain> {
  const start = (filled?: number): RunningProgram => {
    return new RunningProgram(node, [program, optionsWith(join(folder, "socket"), filled)]);
  };
  let old = start(Number(values.topics ?? 0));
  return {
    port: await portOf(old),
    replace: async () => {
      const next = start();
      const both = [await told(next, "takenOver"), await told(old, "handedOver")] as const;
      await old.exit;
      old = next;
      return both;
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
      const both = [await told(supervisor, "takenOver"), await told(supervisor, "handedOver")] as const;
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

/** Runs a chain of takeovers. Returns everything that was wrong. */
async function run(connections: number): Promise<string[]> {
  const folder = mkdtempSync(join(tmpdir(), "takeover-"));
  const chain = await (values.run ? underSupervisor(folder) : atPath(folder));
  try {
    const clients = await openClients(chain.port, connections);
    for (let takeover = 1; takeover <= TAKEOVERS; takeover++) {
      for (const { waits } of clients) waits.length = 0;
      const [taken, given] = await chain.replace();
      const before = clients.map(({ answers }) => answers);
      while (clients.some((client, at) => client.answers === before[at] && client.errors.length === 0)) {
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      const longest = clients.reduce((most, { waits }) => Math.max(most, ...waits), 0);
      const errors = clients.reduce((sum, client) => sum + client.errors.length, 0);
      console.log(
        `${connections} connections, takeover ${takeover}: ${taken["connections"]} moved in ${taken["ms"]?.toFixed(0)} ms ` +
          `(the new program's listen included), stopped for ${given["pauseMs"]?.toFixed(0)} ms; ` +
          `longest wait of a client ${longest.toFixed(0)} ms; ${errors} errors`,
      );
    }
    await Promise.all(clients.map((client) => client.stop()));
    return clients.flatMap(({ errors }) => errors);
  } finally {
    await chain.end();
    rmSync(folder, { recursive: true });
  }
}

const counts = positionals.map(Number);
for (const connections of counts.length === 0 ? [2_000, 10_000] : counts) {
  const errors = await run(connections);
  for (const error of errors.slice(0, 5)) console.log(`  ${error}`);
  if (errors.length > 0) process.exitCode = 1;
}
