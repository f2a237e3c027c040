/** All shards of a board as the main thread sees them. `Switchboard` has one pool. */
import type { Server } from "node:net";
import { SwitchboardError } from "../../../errors.ts";
import type { Address } from "../../../runtime/actor/address.ts";
import type { Counters, ShardCounts } from "../../../runtime/stats/counters.ts";
import type { UpgradeCounts } from "../../../runtime/stats/upgrade-counters.ts";
import type { ActorName } from "../../connection/connection-host.ts";
import type { ShardPortNotice } from "../../shard/messages.ts";
import type { QueryAnswers, ShardPage, ShardQuery } from "../../shard/queries.ts";
import type { ShutdownCounts, ShutdownSettings } from "../../shard/shutdown.ts";
import { throwIfAbandoned, unlessAbandoned } from "../abandoned.ts";
import type { EngineThread } from "../engine/engine-thread.ts";
import { startEngine } from "../engine/start-engine.ts";
import { MoveGate } from "../moving/move-gate.ts";
import { type RenewalHost, type RenewalResult, Renewals } from "../moving/renewals.ts";
import type { RenewalSettings } from "../options/reload-options.ts";
import type { Settings } from "../options/start-options.ts";
import type { SocketsChoice } from "../sockets-choice.ts";
import { type Hub, LiveShards, type ShardNews } from "./live-shards.ts";
import type { Placed } from "./placement.ts";
import { ShardChoice } from "./shard-choice.ts";
import type { ShardHandle } from "./shard-handle.ts";
import { ShardSlot, type ShardSlotOwner, type ShardState } from "./shard-slot.ts";
import { ShardThreads } from "./shard-threads.ts";
import { shareBatch } from "./share-batch.ts";

export interface ShardPoolOwner extends ShardNews, ShardSlotOwner {
  /** The engine's thread ended unexpectedly. It is replaced, unless `engineFailed` follows. */
  engineLost(error: Error): void;
  /** The engine's thread died so often that it isn't started again. */
  engineFailed(error: Error): void;
}

/** Starts the shards of a board, one in each thread, picks one for each connection, and reloads and closes them. */
export class ShardPool {
  readonly #settings: Settings;
  /** Thread of each shard. A renewal replaces it. */
  readonly #threads: ShardThreads[];
  /** These, and threads that have been replaced or are about to replace others. */
  readonly #allThreads: Set<ShardThreads>;
  /** Thread of the engine; undefined if the board has no engine. */
  readonly #engineThreads: ShardThreads | undefined;
  readonly #engine: EngineThread | undefined;
  /** URLs of the actor modules, by name. */
  #actors: ReadonlyMap<ActorName, string>;
  readonly #slots: ShardSlot[] = [];
  readonly #live: LiveShards;
  readonly #choice: ShardChoice;
  #closing = false;
  readonly #closed = new AbortController();
  readonly #renewals: Renewals;
  /** Every move between shards goes through it. */
  readonly moveGate: MoveGate;

  /**
   * Resolves when all shards take connections. Rejects, after all threads have ended, with the first reason why a shard
   * can't start, or with `ERR_ABORTED`.
   */
  static async start(
    settings: Settings,
    sockets: SocketsChoice["kind"],
    hub: Hub,
    owner: ShardPoolOwner,
  ): Promise<ShardPool> {
    throwIfAbandoned(settings.signal);
    const one = (): Promise<ShardThreads> => ShardThreads.start(1, settings.resourceLimits);
    const threads = await Promise.all(Array.from({ length: settings.shards }, one));
    const engineThreads = settings.engine && (await ShardThreads.start(1, settings.resourceLimits));
    let pool: ShardPool | undefined;
    let engine: EngineThread | undefined;
    try {
      engine = await startEngine(engineThreads, settings, hub.topics.node, {
        engineLost: (error) => owner.engineLost(error),
        engineFailed: (error) => owner.engineFailed(error),
        engineReplaced: () => {
          if (pool !== undefined && !pool.#closing) pool.#live.connectEngine();
        },
      });
      pool = new ShardPool(settings, sockets, hub, owner, threads, engineThreads, engine);
      await pool.#allReady(settings.signal);
    } catch (error) {
      // First, so that the end of the engine's thread isn't taken for a death.
      hub.topics.closing();
      await Promise.all([engine?.stop(0), ...threads.map((one) => one.end()), engineThreads?.end()]);
      throw error;
    }
    return pool;
  }

  /** Rejects with the first reason why a shard can't start, or with `ERR_ABORTED`; none is started again then. */
  async #allReady(signal: AbortSignal | undefined): Promise<void> {
    const failed = (error: unknown): never => {
      // Restarts end at once, before the shard's end is taken for a death.
      this.#stopRestarts();
      throw error;
    };
    const ready = Promise.all(this.handles.map((shard) => shard.ready.catch(failed)));
    await unlessAbandoned(signal, ready).catch(failed);
  }

  private constructor(
    settings: Settings,
    sockets: SocketsChoice["kind"],
    hub: Hub,
    owner: ShardPoolOwner,
    threads: ShardThreads[],
    engineThreads: ShardThreads | undefined,
    engine: EngineThread | undefined,
  ) {
    this.#settings = settings;
    this.#threads = threads;
    this.#allThreads = new Set(threads);
    this.#engineThreads = engineThreads;
    this.#engine = engine;
    this.#actors = settings.actors;
    this.#choice = new ShardChoice(this.#slots, settings);
    this.#live = new LiveShards(settings, sockets, hub, engine, {
      news: owner,
      currentOf: (shard) => this.#slots[shard]?.current,
      lost: (handle, loss) => this.#slots[loss.shard]?.lost(handle, loss),
    });
    this.#live.connectEngine();
    const names = [...settings.actors.keys()];
    for (let shard = 0; shard < settings.shards; shard++) {
      const launch = (counters: Counters): ShardHandle =>
        this.#live.launch(shard, this.#threads[shard] as ShardThreads, this.#actors, counters);
      this.#slots.push(new ShardSlot(names, launch, owner));
    }
    this.#renewals = new Renewals(this.#renewalHost());
    this.moveGate = new MoveGate(this.#renewals);
  }

  /** Returns the shard for a new connection; undefined if none takes any. Throws the error of the placement. */
  place(placed?: Placed): ShardHandle | undefined {
    return this.#choice.place(placed);
  }

  /** Returns the shard for a raw socket. If all shards are closing, one of them answers it. */
  placeRawSocket(): ShardHandle | undefined {
    return this.#choice.placeRawSocket();
  }

  /** Number of connections in all shards or on their way there. */
  get connections(): number {
    return this.#live.connections;
  }

  /** Number of connections that ready shards may still take; infinite without a limit. */
  get room(): number {
    return this.#choice.room;
  }

  /** Sets how the shards do the handshakes of a port, from the next socket on. */
  configure(notice: ShardPortNotice): void {
    this.#live.configure(notice);
  }

  get shards(): number {
    return this.#settings.shards;
  }

  /** URLs of the actor modules, by name. */
  get actors(): ReadonlyMap<ActorName, string> {
    return this.#actors;
  }

  /** The current threads of the shards, by their numbers. */
  get handles(): readonly ShardHandle[] {
    return this.#slots.map(({ current }) => current);
  }

  /** Gives no new connections to a shard, unless it is the only one. Returns a function that ends that. */
  passOver(shard: ShardHandle): () => void {
    return this.#choice.passOver(shard);
  }

  /** Resolves when this connection isn't on its way to another shard. */
  async hasArrived(address: Address): Promise<void> {
    await this.#live.locate(address);
  }

  /** Resolves when all connections that are on their way to another shard have arrived, or are lost. */
  allArrived(): Promise<void> {
    return this.#live.allArrived();
  }

  /** Asks the shard of a connection something, also while the connection moves: see `LiveShards`. */
  queryAt<Query extends ShardQuery>(
    address: Address,
    query: Query,
    isWrong: (answer: QueryAnswers[Query["kind"]]) => boolean,
    timeoutMs?: number,
  ): Promise<QueryAnswers[Query["kind"]] | undefined> {
    return this.#live.queryAt(address, query, isWrong, timeoutMs);
  }

  /** Lets one shard accept the sockets of a port by itself. A shard that has ended closes the server. */
  giveServer(shard: number, server: Server, listenerId: number): void {
    this.#slots[shard]?.current.giveServer(server, listenerId);
  }

  /**
   * Returns a page of the connections of one shard, those that an old thread of the shard keeps first; undefined if the
   * shard doesn't exist or ends first.
   */
  list(shard: number, after: number, limit: number): Promise<ShardPage | undefined> {
    return this.#live.list(shard, after, limit);
  }

  /** Asks one shard something. Resolves with undefined if the shard doesn't exist or ends first. */
  async query<Query extends ShardQuery>(
    shard: number,
    query: Query,
    timeoutMs?: number,
  ): Promise<QueryAnswers[Query["kind"]] | undefined> {
    return this.#slots[shard]?.current.query(query, timeoutMs);
  }

  /** Outcomes of handshakes in the shards. */
  upgrades(): UpgradeCounts[] {
    return this.#slots.map((slot) => slot.upgrades());
  }

  /** Counters of every shard, over all its threads. */
  counters(): ShardCounts[] {
    return this.#slots.map((slot) => slot.counters());
  }

  /** Returns true if the actor module of this name exports an `authorize`. */
  authorizes(actor: ActorName): boolean {
    return this.#slots.some(({ current }) => current.authorizes(actor));
  }

  /** `static moves` of the actor modules, by name: "" for the default module; null for a class without. */
  moves(): Record<string, number | null> {
    const moves = (name: ActorName): number | null => {
      return this.handles.find((shard) => shard.wasReady)?.movesOf(name) ?? null;
    };
    return Object.fromEntries(Array.from(this.#actors.keys(), (name) => [name ?? "", moves(name)]));
  }

  /** True if a shard takes connections. */
  get isReady(): boolean {
    return this.#slots.some(({ current }) => current.takesConnections);
  }

  states(): ShardState[] {
    return this.#slots.map((slot) => slot.state());
  }

  /** Ends one shard's thread at once. It is replaced as if it had died. */
  terminate(shard: number): void {
    this.#slots[shard]?.current.terminate();
  }

  /**
   * Closes all connections in order, awaits their actors, then ends the threads: those of the shards first, then that
   * of the engine, which has what is left of the time.
   *
   * @param settings `batchSize` counts over all shards
   * @param connectionsEnded called before the threads end, and awaited
   */
  async close(
    settings: ShutdownSettings,
    connectionsEnded: () => Promise<void> = async () => {},
  ): Promise<ShutdownCounts> {
    this.#stopRestarts();
    this.#closed.abort(new SwitchboardError("ERR_CLOSED", "this board is closed"));
    const deadline = performance.now() + settings.timeoutMs;
    const shards = [...new Set([...this.handles, ...this.#live.handles])];
    const batches = shareBatch(
      settings.batchSize,
      shards.map(({ connections }) => connections),
    );
    const counts = await Promise.all(
      shards.map((shard, index) => shard.shutDown({ ...settings, batchSize: batches[index] as number })),
    );
    await connectionsEnded();
    await Promise.all(shards.map((shard) => shard.stop()));
    await this.#engine?.stop(deadline - performance.now());
    await this.#renewals.settled();
    await Promise.all([...Array.from(this.#allThreads, (threads) => threads.end()), this.#engineThreads?.end()]);
    return {
      closed: counts.reduce((sum, { closed }) => sum + closed, 0),
      dropped: counts.reduce((sum, { dropped }) => sum + dropped, 0),
      cut: counts.reduce((sum, { cut }) => sum + cut, 0),
    };
  }

  /**
   * Replaces the threads of all shards by new ones with other actor modules, and moves everybody. Rejects with the
   * error of a thread that can't start, and nothing is changed then; with `ERR_RELOADING` during another replacement.
   */
  async reload(actors: ReadonlyMap<ActorName, string>, settings: RenewalSettings): Promise<RenewalResult> {
    return this.#renewals.renew([...this.#slots.keys()], actors, settings);
  }

  /** Replaces the thread of one shard, with the same actor modules. Rejects as `reload` does. */
  async recycle(shard: number, settings: RenewalSettings): Promise<RenewalResult> {
    const result = await this.#renewals.renew([shard], this.#actors, settings);
    this.#slots[shard]?.recycled();
    return result;
  }

  async #startThreads(): Promise<ShardThreads> {
    const threads = await ShardThreads.start(1, this.#settings.resourceLimits);
    this.#allThreads.add(threads);
    return threads;
  }

  #renewalHost(): RenewalHost {
    return {
      closing: this.#closed.signal,
      launch: async (shard, actors) => {
        const threads = await this.#startThreads();
        const counters = (this.#slots[shard] as ShardSlot).createCounters();
        return { handle: this.#live.launch(shard, threads, actors, counters), threads, counters, actors };
      },
      giveUp: (threads) => this.#live.giveUp(threads.map(({ handle }) => handle)),
      replace: ({ handle, threads, counters, actors }) => {
        const { shard } = handle;
        const before = this.#threads[shard] as ShardThreads;
        this.#threads[shard] = threads;
        this.#actors = actors;
        return { handle: (this.#slots[shard] as ShardSlot).replace(handle, counters), threads: before };
      },
      ended: async (threads) => {
        await threads.end();
        this.#allThreads.delete(threads);
      },
      succeed: (next) => this.#live.succeed(next),
      allArrived: () => this.allArrived(),
      movesEnded: () => this.moveGate.movesEnded(),
    };
  }

  /** Ends the engine's thread at once. It is replaced as if it had died. */
  terminateEngine(): void {
    this.#engine?.terminate();
  }

  /** Lost threads, those of the shards and that of the engine, are not replaced from now on. */
  #stopRestarts(): void {
    this.#closing = true;
    for (const slot of this.#slots) slot.closing();
  }
}
