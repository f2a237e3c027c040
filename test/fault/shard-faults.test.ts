import { expect, it, vi } from "vitest";
import { Echoing } from "../support/echoing.ts";
import { text } from "../support/frames.ts";
import { RawClient, upgradeRequest } from "../support/raw-client.ts";
import { ServerProcess } from "../support/server-process.ts";

const PEERS = 20;

async function shardOf(client: RawClient): Promise<0 | 1> {
  client.write(text("where"));
  return (await client.text()) === "shard 0" ? 0 : 1;
}

/** Longer than a busy machine leaves a healthy thread waiting. */
const UNRESPONSIVE_MS = 3_000;

/** A server of two shards in a process of its own, with peers on both, by shard. */
async function setUp(sockets: "auto" | "relay", shardTimeoutMs = 30_000) {
  const start = { shards: 2, sockets, shardTimeoutMs, resourceLimits: { maxOldGenerationSizeMb: 48 } };
  const server = await ServerProcess.start({ actor: "faulty", start });
  const byShard: [RawClient[], RawClient[]] = [[], []];
  // The peers join one after the other, so that they alternate between the shards.
  for (let peer = 0; peer < PEERS; peer++) {
    const client = await RawClient.open(server);
    byShard[await shardOf(client)].push(client);
  }
  expect(byShard.map(({ length }) => length)).toEqual([PEERS / 2, PEERS / 2]);
  const [[culprit, ...victims], others] = byShard;
  if (culprit === undefined) throw new Error("shard 0 has no peer");
  return { server, culprit, victims: [culprit, ...victims], others };
}

const faults = [
  { command: "throw later", reason: "crashed", error: { message: "thrown outside any handler" } },
  { command: "throw nothing later", reason: "crashed", error: {} },
  { command: "overflow the stack later", reason: "crashed", error: { name: "RangeError" } },
  { command: "exit", reason: "exited", error: { code: "ERR_SHARD_EXITED" } },
  { command: "fill the heap", reason: "outOfMemory", error: { code: "ERR_WORKER_OUT_OF_MEMORY" } },
  { command: "spin", reason: "unresponsive", error: { code: "ERR_SHARD_UNRESPONSIVE" } },
  { command: "spin in promises", reason: "unresponsive", error: { code: "ERR_SHARD_UNRESPONSIVE" } },
  { command: "wait for ever", reason: "unresponsive", error: { code: "ERR_SHARD_UNRESPONSIVE" } },
] as const;
/** Shorter than any timeout that would close a peer. A busy machine may be slow. */
const PROMPTLY_MS = 8_000;

const rows = faults.flatMap((fault) => (["auto", "relay"] as const).map((sockets) => ({ ...fault, sockets })));

it.each(rows)(
  'ends only one shard when an actor is told to "$command" (sockets: $sockets): peers of that shard are closed, all others get every echo',
  async ({ command, reason, error, sockets }) => {
    const { server, culprit, victims, others } = await setUp(
      sockets,
      reason === "unresponsive" ? UNRESPONSIVE_MS : undefined,
    );
    const echoing = new Echoing(others);
    await echoing.goesOn();
    culprit.write(text(command));
    const loss = await server.tells("shardLost");
    const lostAt = performance.now();
    await Promise.all(victims.map((victim) => victim.closed()));
    expect(performance.now() - lostAt).toBeLessThan(PROMPTLY_MS);
    expect(loss).toMatchObject({ shard: 0, reason, connections: victims.length, error });
    await echoing.goesOn();

    expect(await server.tells("shardReplaced")).toMatchObject({ shard: 0 });
    const next = await RawClient.open(server);
    expect(await shardOf(next)).toBe(0);
    await echoing.goesOn();
    await echoing.stop();
    expect(await server.stats()).toMatchObject({
      ...{ ready: true, connections: others.length + 1 },
      shards: [
        { state: "ready", connections: 1 },
        { state: "ready", connections: others.length },
      ],
    });
  },
);

it.each(["auto", "relay"] as const)(
  "closes the sockets on their way to an unresponsive shard (sockets: %s), and accepts those of the other shards",
  async (sockets) => {
    const { server, culprit, victims, others } = await setUp(sockets, UNRESPONSIVE_MS);
    const echoing = new Echoing(others);
    culprit.write(text("spin"));
    const request = Buffer.concat([Buffer.from(upgradeRequest()), text("hello")]);
    const peers = await Promise.all(Array.from({ length: 40 }, () => RawClient.connect(server.port)));
    const outcomes = peers.map(async (peer) => {
      peer.write(request);
      try {
        await peer.response();
        return await peer.text();
      } catch {
        await peer.closed();
        return performance.now();
      }
    });
    await server.tells("shardLost");
    const lostAt = performance.now();
    await Promise.all(victims.map((victim) => victim.closed()));
    const ended = await Promise.all(outcomes);
    const closedAt = ended.filter((outcome) => typeof outcome === "number");
    expect(closedAt.length).toBeGreaterThan(10);
    expect(Math.max(...closedAt) - lostAt).toBeLessThan(PROMPTLY_MS);
    const answered = ended.filter((outcome) => outcome === "hello").length;
    expect(answered).toBeGreaterThan(10);
    expect(answered + closedAt.length).toBe(40);
    await server.tells("handshakeFailed", closedAt.length - 1);
    const { upgrades } = await server.stats();
    expect(upgrades).toMatchObject({ accepted: PEERS + answered, failed: closedAt.length });
    await echoing.goesOn();
    await echoing.stop();
  },
);

it("closes only the connection of an actor that overflows the stack in a handler", async () => {
  const { server, culprit, victims, others } = await setUp("auto");
  const echoing = new Echoing([...victims.slice(1), ...others]);
  culprit.write(text("overflow the stack"));
  expect(await culprit.closeFrame()).toMatchObject({ code: 1011 });
  await echoing.goesOn();
  await echoing.stop();
  await vi.waitFor(async () => expect((await server.stats()).shards[0]).toMatchObject({ actorFailures: 1 }));
});
