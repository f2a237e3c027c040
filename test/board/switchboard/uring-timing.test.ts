/** What a shard over io_uring leaves to the actors' own work, beside a shard over Node's sockets. */
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { startBoard } from "../../support/board.ts";
import { text } from "../../support/frames.ts";
import { RawClient } from "../../support/raw-client.ts";
import { missingUring } from "../../wire/native/availability.ts";

const SOCKETS = ["node", "uring"] as const;
const IDLE_CONNECTIONS = 200;
const BUSY_CONNECTIONS = 16;
const IN_FLIGHT = 16;

type Latency = Readonly<Record<"timer" | "file" | "fetch", number>>;

async function ask(client: RawClient, question: string): Promise<unknown> {
  client.write(text(question));
  return JSON.parse(await client.text());
}

/** Sends to a board as fast as it answers, until the test ends. */
async function putLoadOn(port: number): Promise<void> {
  const batch = Buffer.concat(Array.from({ length: IN_FLIGHT }, () => text("load")));
  let isOver = false;
  const clients = await Promise.all(Array.from({ length: BUSY_CONNECTIONS }, () => RawClient.open({ port })));
  const load = clients.map(async (client) => {
    while (!isOver) {
      client.write(batch);
      for (let answers = 0; answers < IN_FLIGHT; answers++) await client.text();
    }
  });
  onTestFinished(async () => {
    isOver = true;
    await Promise.all(load);
  });
}

describe.skipIf(missingUring !== undefined)("a shard over io_uring", () => {
  it("sleeps while its connections are idle, by its own account and by the process's", async () => {
    const { board, port } = await startBoard({ actor: "timing", sockets: "uring", attach: { accept: "shard" } });
    const clients = await Promise.all(Array.from({ length: IDLE_CONNECTIONS }, () => RawClient.open({ port })));
    await vi.waitFor(() => expect(board.stats().connections).toBe(IDLE_CONNECTIONS));
    const before = process.cpuUsage();
    const utilisation = await ask(clients[0] as RawClient, "idle");
    const { user, system } = process.cpuUsage(before);
    console.log(`idle: utilisation ${utilisation}, ${user + system} µs of CPU in a second`);
    // A thread that doesn't sleep has 1, and takes a million. On a busy machine a thread that wakes up waits for its
    // core, and the event loop counts that as work.
    expect(utilisation).toBeLessThan(0.9);
    expect(user + system).toBeLessThan(300_000);
  });

  it("lets timers, files and requests of actors go on under load as Node's sockets do", async () => {
    const askers: RawClient[] = [];
    for (const sockets of SOCKETS) {
      const { port } = await startBoard({ actor: "timing", sockets, attach: { accept: "shard" } });
      askers.push(await RawClient.open({ port }));
      await putLoadOn(port);
    }
    // Both boards are under load at the same time, so that the machine is as busy for the one as for the other.
    const [node, uring] = (await Promise.all(askers.map((asker) => ask(asker, "latency")))) as [Latency, Latency];
    console.log("milliseconds under load:", { node, uring });
    for (const what of ["timer", "file", "fetch"] as const) expect(uring[what]).toBeLessThan(4 * node[what] + 50);
  });

  it("publishes the same on diagnostics channels as one over Node's sockets", async () => {
    const published: unknown[] = [];
    for (const sockets of SOCKETS) {
      const { board, port } = await startBoard({ actor: "traced", sockets, attach: { accept: "shard" } });
      const failed = new Promise((resolve) => board.on("actorFailed", resolve));
      const [first, second] = [await RawClient.open({ port }), await RawClient.open({ port })];
      await ask(first, "hello");
      first.write(text("fail"));
      await failed;
      await first.close();
      await vi.waitFor(() => expect(board.stats().connections).toBe(1));
      published.push(await ask(second, "what"));
    }
    const [node, uring] = published.map((one) => JSON.stringify(one));
    expect(uring).toBe(node);
    expect(uring).toContain("closed 1000");
  });
});
