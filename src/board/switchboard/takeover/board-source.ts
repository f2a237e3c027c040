/**
 * Gives the state of a board to the process that takes over from it, and takes everything back if that fails.
 * `BoardTakeover` has one `BoardSource`.
 */
import type { PassedPublish } from "../../../runtime/feeds/topics.ts";
import type { LeftBehind } from "../../../runtime/streams/takeover.ts";
import { borrow, closePassed } from "../../../wire/passing/passed-sockets.ts";
import type { NodeCounts, PassedConnection } from "../../shard/moving/messages.ts";
import type { QueryAnswers, TakeoverQuery } from "../../shard/queries.ts";
import type {
  AheadSocket,
  AnswerQuestion,
  MovingConnection,
  MovingListener,
  OtherProcess,
} from "../../takeover/messages.ts";
import type { TakeoverSource } from "../../takeover/predecessor.ts";
import type { BoardHub } from "../board-hub.ts";
import { MAX_ALIASES } from "../cluster/node-list.ts";
import type { UpgradeIntake } from "../listen/upgrade-intake.ts";
import type { ShardHandle } from "../pool/shard-handle.ts";
import type { ShardPool } from "../pool/shard-pool.ts";
import { EngineSource } from "./engine-source.ts";
import {
  CALM_LIMIT_MS,
  FEW_LIMIT_MS,
  HANDSHAKES_MS,
  LATE_SUSPEND_LIMIT_MS,
  NO_TIMEOUT_MS,
  SUSPEND_LIMIT_MS,
} from "./limits.ts";
import type { BoardLuggage } from "./luggage.ts";
import { PassedIn } from "./passed-in.ts";
import { PassedOut } from "./passed-out.ts";
import { ProgramSource, type ProgramSourceOwner } from "./program/program-source.ts";
import { standStill } from "./stand-still.ts";
import { StateSource } from "./state-source.ts";

/** The parts of the old board that a takeover concerns, and a callback. */
export interface SourceParts extends TakeoverParts {
  /** All connections are about to be suspended. The takeover's result follows. */
  suspending(): void;
  readonly program: ProgramSourceOwner;
}

/** The parts of a board that a takeover concerns. */
export interface TakeoverParts {
  readonly pool: ShardPool;
  readonly intake: UpgradeIntake;
  readonly hub: BoardHub;
}

/** Connections that a shard has given up. */
interface Batch {
  readonly shard: ShardHandle;
  readonly passed: readonly PassedConnection[];
}

export class BoardSource implements TakeoverSource {
  readonly #parts: SourceParts;
  readonly #engine: EngineSource;
  readonly #state: StateSource;
  readonly #program: ProgramSource;
  readonly #passedOut = new PassedOut();
  /** Shards that gave up connections, by descriptor. */
  readonly #origins = new Map<number, ShardHandle>();
  /**
   * Batches that the shards are giving up, in turn: one batch of each shard is ahead of the demand. Undefined before
   * all are suspended.
   */
  #batches: Promise<Batch>[] | undefined;
  /** True once the listening sockets have been told to pause. */
  #acceptsNoMore = false;
  /** Time at which the first connection was stopped. */
  #suspendedAt = 0;

  /** @param format format in which the board's engine gives state */
  constructor(parts: SourceParts, format: string | undefined) {
    this.#parts = parts;
    this.#state = new StateSource(parts.hub.topics, format);
    this.#engine = new EngineSource(parts.hub.topics);
    this.#program = new ProgramSource(parts.program);
  }

  get moves(): TakeoverSource["moves"] {
    return this.#parts.pool.moves();
  }

  get shards(): number {
    return this.#parts.pool.shards;
  }

  get state(): TakeoverSource["state"] {
    return this.#state.format;
  }

  readonly answer: AnswerQuestion = (question) => this.#state.answer(question);

  luggageAhead(other: OtherProcess): AsyncIterable<unknown> {
    return this.#state.ahead(other);
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

  async *ahead(count: number): AsyncGenerator<readonly AheadSocket[]> {
    const { pool } = this.#parts;
    await this.#endMoves();
    let first = 0;
    for (const shard of pool.handles) {
      for (;;) {
        const lent = (await shard.query({ kind: "lend", count, first } as const, NO_TIMEOUT_MS)) ?? [];
        if (lent.length === 0) break;
        first += lent.length;
        yield lent.filter(({ descriptor }) => borrow(descriptor));
      }
    }
  }

  async #endMoves(): Promise<void> {
    const { pool } = this.#parts;
    await pool.moveGate.pause();
    await pool.allArrived();
  }

  async stopAccepting(): Promise<void> {
    const { intake } = this.#parts;
    await this.#endMoves();
    this.#acceptsNoMore = true;
    const isQuiet = intake.hold(HANDSHAKES_MS);
    intake.sockets.pause();
    await Promise.all([isQuiet, this.#askAll({ kind: "stopAccepting", limitMs: HANDSHAKES_MS })]);
  }

  /** Gives what goes along beside connections, and stops all connections on the way. */
  async *luggage(other: OtherProcess): AsyncGenerator<unknown> {
    yield* this.#engine.prepare();
    const calmUntilMs = performance.now() + CALM_LIMIT_MS;
    const nodes = await this.#askAll({ kind: "calm", limitMs: CALM_LIMIT_MS });
    yield* this.#state.catchUp();
    yield { kind: "nodes", nodes: mostFrequent(nodes) } satisfies BoardLuggage;
    // The actors answer what other nodes have asked before. What others send from now on finds them in the new process.
    await this.#engine.cut("control");
    await this.#settle();
    await this.#suspendAll(calmUntilMs, other);
    yield* this.#engine.newTopics();
    await this.#settle();
    await this.#engine.cut("topics");
    await this.#settle();
    yield* this.#state.rest();
    yield* this.#program.rest();
  }

  async suspend(count: number): Promise<readonly MovingConnection[]> {
    this.#batches ??= this.#parts.pool.handles.map((shard) => this.#giveUp(shard, count));
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
    const passed = await this.#passedOut.take(shard, count);
    for (const { descriptor } of passed) this.#origins.set(descriptor, shard);
    return { shard, passed };
  }

  /**
   * Suspends all connections. From here on publishes are kept: their subscribers are in neither of the two processes.
   *
   * @param calmUntilMs time of this thread's clock until which handlers have time to end
   */
  async #suspendAll(calmUntilMs: number, other: OtherProcess): Promise<void> {
    const { pool, hub } = this.#parts;
    this.#suspendedAt = await standStill(pool.handles, Math.max(0, calmUntilMs - performance.now()));
    this.#parts.suspending();
    this.#program.begin(other);
    // Connections that were on their way to another shard are in the second round.
    for (const limitMs of [SUSPEND_LIMIT_MS, LATE_SUSPEND_LIMIT_MS]) {
      await this.#askAll({ kind: "suspendAll", limitMs, fewLimitMs: FEW_LIMIT_MS });
      await pool.allArrived();
    }
    hub.topics.topics.hold();
    await Promise.all([this.#askAll({ kind: "holdPublishes" }), this.#state.close()]);
  }

  /** Waits for all publishes and mail under way. Mail may go by way of a third thread, so there are two rounds. */
  async #settle(): Promise<void> {
    const { topics } = this.#parts.hub;
    for (let round = 0; round < 2; round++) await Promise.all([topics.settled(), this.#askAll({ kind: "settle" })]);
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
    await this.#engine.end();
    await this.#state.goOn();
    await this.#releasePublishes();
    this.#parts.pool.moveGate.resume();
    await this.#releaseUpgrades("open");
    if (this.#acceptsNoMore) await this.#parts.intake.sockets.goOn();
    this.#acceptsNoMore = false;
  }

  /** Lets upgrades that have waited be accepted here, or be passed on, as all later ones. */
  async #releaseUpgrades(phase: "open" | "passing"): Promise<void> {
    this.#parts.intake.release(phase);
    await this.#askAll({ kind: "releaseUpgrades", phase });
  }

  /**
   * Everything has gone. Upgrades go to the other process from now on. Resolves with what has stayed behind of the
   * engine's state.
   */
  async handedOver(forward: (publish: PassedPublish) => void): Promise<LeftBehind | undefined> {
    this.#parts.hub.handedOver();
    await this.#releaseUpgrades("passing");
    await this.#engine.end();
    const left = await this.#state.handedOver();
    await this.#releasePublishes(forward);
    return left;
  }

  /**
   * Makes the publishes that were kept.
   *
   * @param forward gets the publishes of this thread, and all later ones, for the other process. Those of the shards
   * come by their reports.
   */
  async #releasePublishes(forward?: (publish: PassedPublish) => void): Promise<void> {
    this.#parts.hub.topics.topics.release(forward);
    await this.#askAll({ kind: "releasePublishes", forwards: forward !== undefined });
  }

  #askAll<Query extends TakeoverQuery>(query: Query): Promise<(QueryAnswers[Query["kind"]] | undefined)[]> {
    return Promise.all(this.#parts.pool.handles.map((shard) => shard.query(query, NO_TIMEOUT_MS)));
  }
}

/** Returns the nodes of the most connections, at most as many as a board answers for. */
function mostFrequent(counts: readonly (NodeCounts | undefined)[]): readonly string[] {
  const sums = new Map<string, number>();
  for (const [node, count] of counts.flatMap((one) => one ?? [])) sums.set(node, (sums.get(node) ?? 0) + count);
  const nodes = [...sums].toSorted(([, a], [, b]) => b - a).map(([node]) => node);
  return nodes.slice(0, MAX_ALIASES);
}
