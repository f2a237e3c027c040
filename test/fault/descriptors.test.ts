import { once } from "node:events";
import { get } from "node:http";
import { get as getTls } from "node:https";
import { describe, expect, it, vi } from "vitest";
import { selfSigned } from "../support/certificate.ts";
import { type AskingClient, askForWebSocket, LimitedServer, type Way } from "../support/limited-server.ts";

/** Much longer than any answer takes, also on a slow machine. */
const PATIENCE_MS = 20_000;
/** Number of clients at a time that fit into 100 descriptors beside an earlier client that is still being closed. */
const BATCH = 20;

/** Events that tell of the lack: of a thread that accepts, or of one that gives a socket to another. */
const FAILURES = ["acceptFailed ERR_OUT_OF_DESCRIPTORS", "handshakeFailed ERR_SOCKET_STAYED"];

const tls = selfSigned();

function isTls(way: Way): boolean {
  return way === "https" || way.endsWith("tls");
}

async function askAll(server: LimitedServer, way: Way, count: number): Promise<AskingClient[]> {
  return Promise.all(Array.from({ length: count }, () => askForWebSocket(server.port, isTls(way), PATIENCE_MS)));
}

function countOf(clients: readonly AskingClient[], outcome: AskingClient["outcome"]): number {
  return clients.filter((client) => client.outcome === outcome).length;
}

async function closeAll(clients: readonly AskingClient[]): Promise<void> {
  const closed = clients.map(({ socket }) => (socket.closed ? undefined : once(socket, "close")));
  for (const { socket } of clients) socket.destroy();
  await Promise.all(closed);
}

/** The status of the answer to a plain HTTP request. */
async function statusOfPlain(server: LimitedServer, way: Way): Promise<number | undefined> {
  const options = { port: server.port, host: "127.0.0.1", agent: false as const };
  const request = isTls(way) ? getTls({ ...options, rejectUnauthorized: false }) : get(options);
  const [response] = await once(request, "response");
  response.resume();
  return response.statusCode;
}

async function returnsTo(server: LimitedServer, descriptors: number): Promise<void> {
  await vi.waitFor(() => expect(server.descriptors).toBeLessThanOrEqual(descriptors), { timeout: PATIENCE_MS });
}

const ways: readonly {
  readonly way: Way;
  /** Limit of open files of the process. Default: 100. */
  readonly limit?: number;
  /** Number of clients at once. Default: 200. */
  readonly clients?: number;
}[] = [
  { way: "attach" },
  { way: "handleUpgrade" },
  { way: "listen main" },
  { way: "listen" },
  { way: "listen tls" },
  { way: "accept shard" },
  { way: "accept shard tls" },
  { way: "relay" },
  { way: "attach", limit: 1_024, clients: 1_500 },
  { way: "accept shard", limit: 2_500, clients: 3_000 },
  { way: "https" },
];

describe.runIf(process.platform === "linux")("a process with a low limit of open files", () => {
  it.each(ways.map((each) => ({ limit: 100, clients: 200, ...each })))(
    "refuses the clients that don't fit, without delay, and accepts clients again afterwards ($way, $limit files)",
    { timeout: 120_000 },
    async (each) => {
      const { way, limit, clients: count } = each;
      const server = await LimitedServer.start(limit, { way, tls });
      // Node opens some files once, for the first connection of each shard. Those are no leak.
      const first = await askAll(server, way, 4);
      expect(countOf(first, 101)).toBe(4);
      await closeAll(first);
      await vi.waitFor(async () => expect((await server.stats()).stats.connections).toBe(0));
      const baseline = server.descriptors;

      const clients = await askAll(server, way, count);
      expect(countOf(clients, "hangs")).toBe(0);
      const accepted = countOf(clients, 101);
      expect(accepted + countOf(clients, 503) + countOf(clients, "closed")).toBe(count);
      expect(FAILURES).toContain(await server.tellsFailure());
      const { stats, ready } = await server.stats();
      expect(ready).toBe(true);
      expect(stats.connections).toBe(accepted);
      const failed = stats.shards.reduce(
        (sum, { handoffsFailed, acceptsFailed }) => sum + handoffsFailed + acceptsFailed,
        stats.acceptsFailed,
      );
      expect(failed).toBeGreaterThan(0);

      await closeAll(clients);
      await returnsTo(server, baseline + 2);
      for (let opened = 0; opened < 200; opened += BATCH) {
        const batch = await askAll(server, way, BATCH);
        expect(countOf(batch, 101)).toBe(BATCH);
        await closeAll(batch);
        await returnsTo(server, baseline + 2);
      }
      expect(await statusOfPlain(server, way)).toBe(way.includes("listen") || way.includes("accept") ? 426 : 200);
      await vi.waitFor(async () => expect((await server.stats()).stats.connections).toBe(0));
    },
  );
});
