/** Memory of a client that is connected and subscribed. Used by `serve.ts`. */
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { median, spreadOf } from "../statistics.ts";
import { JSON_COMMANDS, openAll, RawClient, subscribed } from "./client.ts";
import { type Settings, startServer } from "./run.ts";
import { tokenOf } from "./settings.ts";

const AT_ONCE = 50;
const CHANNELS = 100;
/** Time for the collection of garbage, after which memory still has to settle. */
const COLLECT_MS = 1_000;

/** Opens clients in two steps. The first step isn't counted: it also pays for code and for room in the heap. */
async function bytesEach(file: string, first: number, open: (port: number, index: number) => Promise<RawClient>) {
  const server = await startServer(file, { flags: ["--import", join(import.meta.dirname, "collect.ts")] });
  const kept = async (): Promise<number> => {
    // The second time gives the memory back that the first one freed.
    for (let time = 0; time < 2; time++) {
      server.signal("SIGUSR2");
      await delay(COLLECT_MS);
    }
    return server.settledBytes();
  };
  try {
    const sockets = await openAll(first, AT_ONCE, (index) => open(server.port, index));
    const before = await kept();
    sockets.push(...(await openAll(2 * first, AT_ONCE, (index) => open(server.port, first + index))));
    const bytes = (await kept()) - before;
    for (const { socket } of sockets) socket.destroy();
    return bytes / (2 * first);
  } finally {
    await server.stop();
  }
}

export async function measureIdle(hasSocketIo: boolean, { rounds, clients }: Settings): Promise<void> {
  const first = 2 * clients;
  const of = (index: number): string => `channel-${index % CHANNELS}`;
  const kinds: readonly [name: string, file: string, open: (port: number, index: number) => Promise<RawClient>][] = [
    ["raw connection", "raw.ts", (port) => RawClient.open(port, "/")],
    [
      "raw, subscribed",
      "raw.ts",
      async (port, index) => {
        const client = await RawClient.open(port, `/${of(index)}`);
        await client.next();
        return client;
      },
    ],
    ["JSON, no token", "server.ts", async (port, i) => (await subscribed(port, JSON_COMMANDS, of(i))).client],
    [
      "JSON, HS256 token",
      "server.ts",
      async (port, i) => (await subscribed(port, JSON_COMMANDS, of(i), tokenOf(`user-${i}`))).client,
    ],
    [
      "JSON, history",
      "server.ts",
      async (port, i) => (await subscribed(port, JSON_COMMANDS, `history:${of(i)}`)).client,
    ],
  ];
  const socketIo: typeof kinds = [
    [
      "Socket.IO",
      "socket-io.ts",
      async (port, index) => {
        const client = await RawClient.open(port, "/socket.io/?EIO=4&transport=websocket");
        await client.next();
        await client.ask("40");
        await client.ask(`420["join","${of(index)}"]`);
        return client;
      },
    ],
  ];
  console.log(
    `\nIdle: resident memory of each of ${2 * first} clients after the first ${first}, garbage collected, medians (bar 6 KiB)`,
  );
  const all = [...kinds, ...(hasSocketIo ? socketIo : [])];
  const figures = all.map(() => [] as number[]);
  for (let round = 0; round < rounds; round++) {
    for (const [kind, [, file, open]] of all.entries())
      figures[kind]?.push((await bytesEach(file, first, open)) / 1_024);
  }
  for (const [kind, [name]] of all.entries()) {
    const own = figures[kind] ?? [];
    const { low = Number.NaN, high = Number.NaN } = spreadOf(own) ?? {};
    console.log(
      `  ${name.padEnd(28)} ${median(own).toFixed(2).padStart(8)} KiB (${low.toFixed(2)} to ${high.toFixed(2)})`,
    );
  }
}
