/** Streams, presence and topics without history of a board that is taken over by another process. */
import { once } from "node:events";
import { setImmediate as turn } from "node:timers/promises";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { WebSocket } from "ws";
import { redis } from "../../../src/engines/redis/index.ts";
import { type EngineSpec, memory } from "../../../src/index.ts";
import { whyNoPassing } from "../../../src/wire/native/pass-descriptors.ts";
import { startBoard } from "../../support/board.ts";
import { RedisServer } from "../../support/redis-server.ts";
import { ServerProcess, takeoverPath } from "./server-process.ts";

const STREAM = "stream:raw";
const LIVE = "plain";
const TOPICS = {
  "stream:*": { history: { size: 100_000 }, presence: { leaveGraceMs: 0 } },
  "presence:*": { presence: { leaveGraceMs: 0 } },
};

/** A client of a `Streaming` actor. */
class StreamClient {
  readonly numbers = new Map<string, number[]>();
  /** Everything else that the actor has told. */
  readonly told: string[] = [];

  static async open(port: number): Promise<StreamClient> {
    const socket = new WebSocket(`ws://127.0.0.1:${port}`);
    onTestFinished(() => socket.terminate());
    await once(socket, "open");
    const client = new StreamClient();
    const subscribed = Promise.withResolvers<void>();
    socket.on("message", (data) => {
      const [word = "", topic = "", number = ""] = String(data).split(" ");
      if (word === "subscribed") subscribed.resolve();
      else if (word !== "publication") client.told.push(String(data));
      else client.numbers.set(topic, [...(client.numbers.get(topic) ?? []), Number(number)]);
    });
    socket.on("close", (code) => client.told.push(`closed with ${code}`));
    socket.send("subscribe");
    await subscribed.promise;
    return client;
  }

  of(topic: string): readonly number[] {
    return this.numbers.get(topic) ?? [];
  }
}

async function startServer(engine: EngineSpec) {
  const start = { actor: "streaming", topics: TOPICS, takeover: takeoverPath(), shards: 2, warmUp: false };
  const run = (other = engine): ServerProcess =>
    new ServerProcess({ start: { ...start, engine: other }, listen: [{}] });
  const old = run();
  const { ports } = await old.tells("listening");
  return { old, run, port: ports[0] as number };
}

describe.skipIf(whyNoPassing() !== undefined)("a board with history and presence that is taken over", () => {
  it("with Redis: a stream has every publication once, in order; presence shows no leave and no join", async () => {
    const server = await RedisServer.start();
    const engine = redis({ url: server.url, commandTimeoutMs: 60_000, nodeTtlMs: 120_000, presenceTtlMs: 600_000 });
    const { old, run, port } = await startServer(engine);
    const other = await startBoard({ actor: "streaming", engine, topics: TOPICS });
    const witness = await StreamClient.open(other.port);
    const clients = await Promise.all(Array.from({ length: 6 }, () => StreamClient.open(port)));
    const all = [...clients, witness];
    // The joins of all have been told.
    for (const topic of [STREAM, "presence:raw"]) {
      await vi.waitFor(async () => expect(await other.board.presence(topic)).toHaveLength(all.length));
    }
    await vi.waitFor(() => expect(witness.told.filter((one) => one.startsWith("joined"))).toHaveLength(12));
    for (const { told } of all) told.length = 0;
    let count = 0;
    let isOver = false;
    const published = (async () => {
      for (; !isOver; count++) {
        other.board.publish(LIVE, `publication ${LIVE} ${count}`);
        await other.board.publish(STREAM, `publication ${STREAM} ${count}`).stored;
        await turn();
      }
    })();
    const next = run();
    expect(await next.tells("takenOver")).toMatchObject({ connections: clients.length });
    await old.end();
    const reached = count + 10;
    await vi.waitFor(() => expect(clients[0]?.of(STREAM).at(-1)).toBeGreaterThan(reached), { timeout: 30_000 });
    isOver = true;
    await published;
    const numbers = Array.from({ length: count }, (_, number) => number);
    await vi.waitFor(() => expect(all.map((one) => one.of(STREAM).length)).toEqual(all.map(() => count)));
    for (const client of all) {
      expect(client.of(STREAM)).toEqual(numbers);
      expect(client.told).toEqual([]);
      expect(client.of(LIVE)).toEqual(numbers);
    }
    for (const topic of [STREAM, "presence:raw"]) expect(await other.board.presence(topic)).toHaveLength(all.length);
  });

  it("with an engine that can't take what the memory engine keeps: subscribers of a stream are told that it is lost", async () => {
    const { run, port } = await startServer(memory());
    const client = await StreamClient.open(port);
    client.told.length = 0;
    const module = new URL("../../support/engines/forgetful.ts", import.meta.url).href;
    const next = run({ ...memory(), module });
    await next.tells("takenOver");
    await vi.waitFor(() => expect(client.told.filter((one) => one.startsWith("lost"))).toHaveLength(2));
    expect(client.told.filter((one) => one.startsWith("closed"))).toEqual([]);
  });
});
