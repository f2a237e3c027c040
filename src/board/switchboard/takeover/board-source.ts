/**
 * What a board gives to the process that takes over from it, and how it takes everything back. `BoardTakeover` has one.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { PassedPublish, Topics } from "../../../runtime/feeds/topics.ts";
import { closePassed, keepHandle } from "../../../wire/passing/passed-sockets.ts";
import type { PassedConnection } from "../../shard/moving/messages.ts";
import type { QueryAnswers, TakeoverQuery } from "../../shard/queries.ts";
import type { MovingConnection, MovingListener } from "../../takeover/messages.ts";
import type { TakeoverSource } from "../../takeover/predecessor.ts";
import type { UpgradeIntake } from "../listen/upgrade-intake.ts";
import type { ShardHandle } from "../pool/shard-handle.ts";
import type { ShardPool } from "../pool/shard-pool.ts";
import { FEW_LIMIT_MS, HANDSHAKES_MS, LATE_SUSPEND_LIMIT_MS, NO_TIMEOUT_MS, SUSPEND_LIMIT_MS } from "./limits.ts";
import { PassedIn } from "./passed-in.ts";
import { standStill } from "./stand-still.ts";

/** The parts of a board that a takeover concerns. */
export interface TakeoverParts {
  readonly pool: ShardPool;
  readonly intake: UpgradeIntake;
  readonly topics: Topics;
}

/** Connections that a shard has given up. */
interface Batch {
  readonly shard: ShardHandle;
  readonly passed: readonly PassedConnection[];
}

const POLL_MS = 5;

export class BoardSource implements TakeoverSource {
  readonly #parts: TakeoverParts;
  /** Shards that gave up connections, by descriptor. */
  readonly #origins = new Map<number, ShardHandle>();
  /**
   * What the shards are giving up, in turn: a batch of each is ahead of what was asked for. Undefined before all are
   * suspended.
   */
  #batches: Promise<Batch>[] | undefined;
  /** Time at which the first connection was stopped. */
  #suspendedAt = 0;

  constructor(parts: TakeoverParts) {
    this.#parts = parts;
  }

  get moves(): TakeoverSource["moves"] {
    return this.#parts.pool.moves();
  }

  get shards(): number {
    return this.#parts.pool.shards;
  }

  get connections(): number {
    return this.#parts.pool.connections;
  }

  /** Time in ms since the first connection was stopped. */
  get pauseMs(): number {
    return this.#suspendedAt === 0 ? 0 : performance.now() - this.#suspendedAt;
  }

  async listeners(): Promise<readonly MovingListener[]> {
    return this.#parts.intake.sockets.listeners();
  }

  async stopAccepting(): Promise<void> {
    const { pool, intake } = this.#parts;
    await pool.moveGate.pause();
    await pool.allArrived();
    intake.sockets.pause();
    await this.#askAll({ kind: "stopAccepting" });
    const deadline = performance.now() + HANDSHAKES_MS;
    const isBusy = (): boolean => intake.underWay > 0 || pool.handles.some(({ underWay }) => underWay > 0);
    do await delay(POLL_MS);
    while (isBusy() && performance.now() < deadline);
  }

  async suspend(count: number): Promise<readonly MovingConnection[]> {
    if (this.#batches === undefined) {
      await this.#suspendAll();
      this.#batches = this.#parts.pool.handles.map((shard) => this.#giveUp(shard, count));
    }
    const batches = this.#batches;
    for (let next = batches.shift(); next !== undefined; next = batches.shift()) {
      const { shard, passed } = await next;
      if (passed.length === 0) continue;
      batches.push(this.#giveUp(shard, count));
      return passed;
    }
    return [];
  }

  async #giveUp(shard: ShardHandle, count: number): Promise<Batch> {
    const given = (await shard.query({ kind: "passOut", count } as const, NO_TIMEOUT_MS)) ?? [];
    const passed = given.map(({ socket, state, shard: number }) => {
      const descriptor = "handle" in socket ? keepHandle(socket.handle) : socket.descriptor;
      return { descriptor, state, shard: number };
    });
    for (const { descriptor } of passed) this.#origins.set(descriptor, shard);
    return { shard, passed };
  }

  /**
   * Suspends everybody, and waits for all publishes and mail under way. From here on publishes are kept: their
   * subscribers are in neither of the two processes.
   */
  async #suspendAll(): Promise<void> {
    const { pool, topics } = this.#parts;
    this.#suspendedAt = await standStill(pool.handles);
    // Those that were on their way to another shard are in the second round.
    for (const limitMs of [SUSPEND_LIMIT_MS, LATE_SUSPEND_LIMIT_MS]) {
      await this.#askAll({ kind: "suspendAll", limitMs, fewLimitMs: FEW_LIMIT_MS });
      await pool.allArrived();
    }
    topics.hold();
    await this.#askAll({ kind: "holdPublishes" });
    // Mail may go by way of a third thread.
    for (let round = 0; round < 2; round++) {
      await Promise.all([topics.bus.settled(), this.#askAll({ kind: "settle" })]);
    }
  }

  async resume(connections: readonly MovingConnection[]): Promise<void> {
    const passedIn = new PassedIn();
    const byShard = Map.groupBy(connections, ({ descriptor }) => this.#origins.get(descriptor));
    const all = Array.from(byShard, async ([shard, returned]) => {
      try {
        await passedIn.takeIn(shard as ShardHandle, returned, true);
      } catch {
        // The shard has ended, and its connections with it.
        for (const { descriptor } of returned) closePassed(descriptor);
      }
    });
    await Promise.all(all);
    await passedIn.start();
  }

  async acceptAgain(): Promise<void> {
    const ahead = await Promise.all(this.#batches ?? []);
    await this.resume(ahead.flatMap(({ passed }) => passed));
    this.#batches = undefined;
    this.#suspendedAt = 0;
    this.#origins.clear();
    await this.#askAll({ kind: "resumeAll" });
    await this.releasePublishes();
    this.#parts.pool.moveGate.resume();
    await this.#parts.intake.sockets.goOn();
  }

  /**
   * Makes the publishes that were kept.
   *
   * @param forward gets the publishes of this thread, and all later ones, for the other process. Those of the shards
   * come by their reports.
   */
  async releasePublishes(forward?: (publish: PassedPublish) => void): Promise<void> {
    this.#parts.topics.release(forward);
    await this.#askAll({ kind: "releasePublishes", forwards: forward !== undefined });
  }

  #askAll<Query extends TakeoverQuery>(query: Query): Promise<(QueryAnswers[Query["kind"]] | undefined)[]> {
    return Promise.all(this.#parts.pool.handles.map((shard) => shard.query(query, NO_TIMEOUT_MS)));
  }
}
