/**
 * `npm run takeovers:figures -- [connections…]`: a chain of five takeovers under load, with clients that know nothing of them
 * and check every byte. Prints one line for each takeover. Default: 2,000 and 10,000 connections. Needs about twice as many
 * descriptors as connections.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { RunningProgram } from "../e2e/support/process.ts";
import { actorUrl } from "../support/actor-url.ts";
import { CountedClient } from "../support/counted-client.ts";

const program = fileURLToPath(new URL("../e2e/takeover/programs/server.ts", import.meta.url));

const TAKEOVERS = 5;
const SHARDS = 2;
/** Messages of all clients together in a second. */
const MESSAGES_PER_SECOND = 4_000;
/** Clients that connect at the same time. */
const TOGETHER = 100;

function start(path: string): RunningProgram {
  const start = {
    actor: String(actorUrl("counting")),
    takeover: path,
    shards: SHARDS,
    pingIntervalMs: 0,
    maxEventLoopDelayMs: 60_000,
  };
  return new RunningProgram(process.execPath, [program, JSON.stringify({ start, listen: [{}] })]);
}

async function told(process: RunningProgram, event: string): Promise<Record<string, number>> {
  const [, story = ""] = await process.prints(new RegExp(`^(\\{"event":"${event}".*)\\n`, "m"));
  return JSON.parse(story);
}

async function openClients(port: number, count: number): Promise<CountedClient[]> {
  const thinkMs = (1_000 * count) / MESSAGES_PER_SECOND;
  const clients: CountedClient[] = [];
  while (clients.length < count) {
    const batch = Math.min(TOGETHER, count - clients.length);
    const open = (): Promise<CountedClient> => CountedClient.open({ port, window: 1, thinkMs });
    clients.push(...(await Promise.all(Array.from({ length: batch }, open))));
  }
  while (clients.some(({ answers }) => answers === 0)) await new Promise((resolve) => setTimeout(resolve, 10));
  return clients;
}

/** Runs a chain of takeovers. Returns everything that was wrong. */
async function run(connections: number): Promise<string[]> {
  const folder = mkdtempSync(join(tmpdir(), "takeover-"));
  let old = start(join(folder, "socket"));
  try {
    const { ports } = (await told(old, "listening")) as unknown as { readonly ports: readonly number[] };
    const clients = await openClients(ports[0] as number, connections);
    for (let takeover = 1; takeover <= TAKEOVERS; takeover++) {
      for (const { waits } of clients) waits.length = 0;
      const next = start(join(folder, "socket"));
      const taken = await told(next, "takenOver");
      const given = await told(old, "handedOver");
      await old.exit;
      old = next;
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
    await old.destroy();
    rmSync(folder, { recursive: true });
  }
}

const counts = process.argv.slice(2).map(Number);
for (const connections of counts.length === 0 ? [2_000, 10_000] : counts) {
  const errors = await run(connections);
  for (const error of errors.slice(0, 5)) console.log(`  ${error}`);
  if (errors.length > 0) process.exitCode = 1;
}
