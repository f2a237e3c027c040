/** All shards of a board as the main thread sees them. `Switchboard` has one pool. */
import type { Server } from "node:net";
import { MessageChannel } from "node:worker_threads";
import { SwitchboardError } from "../../../errors.ts";
import { type Address, shardOf } from "../../../runtime/actor/address.ts";
import type { MailRouter } from "../../../runtime/mail/mail-router.ts";
import type { Counters, ShardCounts } from "../../../runtime/stats/counters.ts";
import type { UpgradeCounts } from "../../../runtime/stats/upgrade-counters.ts";
import { noop } from "../../../wire/protocol/empty.ts";
import type { ShardPortSettings } from "../../accept/shard-port.ts";
import type { ActorName } from "../../connection/connection-host.ts";
import type { ShardEvent } from "../../connection/shard-events.ts";
import type { ModuleReport, ShardPortNotice, ThreadLink } from "../../shard/messages.ts";
import type { MovesReport } from "../../shard/moving/messages.ts";
import type { QueryAnswers, ShardQuery } from "../../shard/queries.ts";
import type { ShutdownCounts, ShutdownSettings } from "../../shard/shutdown.ts";
import { throwIfAbandoned, unlessAbandoned } from "../abandoned.ts";
import type { BoardTopics } from "../board-topics.ts";
import { type ReloadResult, reloadShards } from "../moving/reload.ts";
import { Whereabouts } from "../moving/whereabouts.ts";
import type { Settings } from "../options/start-options.ts";
import type { SocketsChoice } from "../sockets-choice.ts";
import { CounterHistory } from "./counter-history.ts";
import { EngineThread, type EngineThreadOwner } from "./engine-thread.ts";
import { createPlacement, eligible, type Place, type Placed } from "./placement.ts";
import { Restarts } from "./restarts.ts";
import { ShardHandle } from "./shard-handle.ts";
import type { ShardLoss } from "./shard-loss.ts";
import { ShardThreads } from "./shard-threads.ts";
import { shareBatch } from "./share-batch.ts";

export interface ShardPoolOwner {
  /** An event of a shard that users of the board may listen to. */
  event(shard: number, event: ShardEvent): void;
  /** Actors of a shard, or other code of their modules, have reported something. */
  reported(shard: number, reports: readonly ModuleReport[]): void;
  /** A connection or a handshake of a client has ended, if clients are counted. */
  clientLeft(clientKey: string): void;
  /** An open connection has come to this shard from another one. */
  moved(address: Address, shard: number): void;
  /** A shard's thread ended unexpectedly, and its connections with it. */
  shardLost(loss: ShardLoss): void;
  /** A new thread runs in the place of a lost one. */
  shardReplaced(shard: number): void;
  /** A shard died so often that it isn't started again. */
  shardFailed(loss: ShardLoss): void;
  /** The engine's thread ended unexpectedly. It is replaced, unless `engineFailed` follows. */
  engineLost(error: Error): void;
  /** The engine's thread died so often that it isn't started again. */
  engineFailed(error: Error): void;
}

/**
 * - `starting`: starts for the first time.
 * - `ready`: takes connections.
 * - `closing`: the board is closing.
 * - `restarting`: died, and is started again soon or just now.
 * - `failed`: died so often that it isn't started again.
 * - `closed`: the board is closed.
 */
export type ShardState = "starting" | "ready" | "closing" | "restarting" | "failed" | "closed";

/** The main thread's ends of the links between all threads. */
export interface Hub {
  readonly topics: BoardTopics;
  readonly mail: MailRouter;
}

/** Starts the shards of a board, one in each thread, picks one for each connection, and replaces a shard that died. */
export class ShardPool {
  readonly #settings: Settings;
  readonly #sockets: SocketsChoice["kind"];
  readonly #owner: ShardPoolOwner;
  readonly #hub: Hub;
  /** Threads of the shards. A reload replaces them. */
  #threads: ShardThreads;
  /** Thread of the engine; undefined if the board has no engine. */
  readonly #engineThreads: ShardThreads | undefined;
  readonly #engine: EngineThread | undefined;
  /** URLs of the actor modules, by name. */
  #actors: ReadonlyMap<ActorName, string>;
  /** The current thread of each shard. */
  readonly #shards: ShardHandle[] = [];
  /** All threads that haven't ended, also those that are being replaced. */
  readonly #live = new Set<ShardHandle>();
  readonly #counters: CounterHistory[];
  readonly #restarts: Restarts[];
  /** Settings of ports, for every shard, also for those that are started later. */
  readonly #listeners = new Map<number, ShardPortSettings>();
  readonly #waiting = new Set<NodeJS.Timeout>();
  readonly #whereabouts = new Whereabouts((address, life) => this.#shards[shardOf(address)]?.life === life);
  #lastLife = 0;
  /** Shards that are being evacuated. */
  readonly #passedOver = new Set<ShardHandle>();
  readonly #choose: Place<ShardHandle>;
  #closing = false;
  readonly #closed = new AbortController();
  /** The reload under way. It never rejects. */
  #reloading: Promise<unknown> | undefined;

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
    const threads = await ShardThreads.start(settings.shards, settings.resourceLimits);
    const engineThreads = settings.engine && (await ShardThreads.start(1, settings.resourceLimits));
    let pool: ShardPool | undefined;
    let engine: EngineThread | undefined;
    try {
      engine = await startEngine(engineThreads, settings, hub.topics.node, {
        engineLost: (error) => owner.engineLost(error),
        engineFailed: (error) => owner.engineFailed(error),
        engineReplaced: () => {
          if (pool !== undefined) pool.#connectEngine();
        },
      });
      pool = new ShardPool(settings, sockets, hub, owner, threads, engineThreads, engine);
      await pool.#allReady(settings.signal);
    } catch (error) {
      // First, so that the end of the engine's thread isn't taken for a death.
      hub.topics.closing();
      await Promise.all([engine?.stop(0), threads.end(), engineThreads?.end()]);
      throw error;
    }
    return pool;
  }

  /** Rejects with the first reason why a shard can't start, or with `ERR_ABORTED`; none is started again then. */
  async #allReady(signal: AbortSignal | undefined): Promise<void> {
    const failed = (error: unknown): never => {
      // At once, before the shard's end is taken for a death.
      this.#closing = true;
      throw error;
    };
    const ready = Promise.all(this.#shards.map((shard) => shard.ready.catch(failed)));
    await unlessAbandoned(signal, ready).catch(failed);
  }

  private constructor(
    settings: Settings,
    sockets: SocketsChoice["kind"],
    hub: Hub,
    owner: ShardPoolOwner,
    threads: ShardThreads,
    engineThreads: ShardThreads | undefined,
    engine: EngineThread | undefined,
  ) {
    this.#engineThreads = engineThreads;
    this.#actors = settings.actors;
    this.#engine = engine;
    if (engine !== undefined) hub.topics.connectEngine(engine.giveClient(true), engine.isShared);
    this.#settings = settings;
    this.#sockets = sockets;
    this.#owner = owner;
    this.#hub = hub;
    this.#threads = threads;
    this.#choose = createPlacement(settings.placement);
    this.#counters = Array.from({ length: settings.shards }, () => new CounterHistory([...settings.actors.keys()]));
    this.#restarts = this.#counters.map(() => new Restarts());
    for (let shard = 0; shard < settings.shards; shard++) this.#start(shard);
  }

  /** Returns the shard for a new connection; undefined if none takes any. Throws the error of the placement. */
  place(placed?: Placed): ShardHandle | undefined {
    const { maxConnectionsPerShard = Number.POSITIVE_INFINITY } = this.#settings.limits;
    const taking = this.#shards.filter((shard) => shard.takesConnections);
    const wanted = this.#passedOver.size === 0 ? taking : taking.filter((shard) => !this.#passedOver.has(shard));
    const ready = wanted.length > 0 ? wanted : taking;
    return this.#choose(eligible(ready, maxConnectionsPerShard, this.#settings.maxEventLoopDelayMs), placed);
  }

  /** Returns the shard for a raw socket. If all shards are closing, one of them answers it. */
  placeRawSocket(): ShardHandle | undefined {
    if (this.#shards.some((shard) => shard.isReady)) return this.place();
    return this.#choose(
      this.#shards.filter((shard) => shard.takesRawSockets),
      undefined,
    );
  }

  /** Number of connections in all shards or on their way there. */
  get connections(): number {
    let sum = 0;
    for (const { connections } of this.#live) sum += connections;
    return sum;
  }

  /** Number of connections that ready shards may still take; infinite without a limit. */
  get room(): number {
    const { maxConnectionsPerShard = Number.POSITIVE_INFINITY } = this.#settings.limits;
    const ready = this.#shards.filter((shard) => shard.takesConnections);
    return ready.reduce((sum, { connections }) => sum + Math.max(0, maxConnectionsPerShard - connections), 0);
  }

  /** Sets how the shards do the handshakes of a port, from the next socket on. */
  configure(notice: ShardPortNotice): void {
    this.#listeners.set(notice.listenerId, notice.settings);
    for (const shard of this.#live) shard.configure(notice);
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
    return this.#shards;
  }

  /** Gives no new connections to a shard, unless it is the only one. Returns a function that ends that. */
  passOver(shard: ShardHandle): () => void {
    this.#passedOver.add(shard);
    return () => this.#passedOver.delete(shard);
  }

  /** Resolves with the thread where the connection with this address is, if the connection exists. */
  async locate(address: Address): Promise<ShardHandle | undefined> {
    const life = await this.#whereabouts.find(address);
    return life === undefined ? this.#shards[shardOf(address)] : this.#handleOf(life);
  }

  /** Resolves when all connections that are on their way to another shard have arrived, or are lost. */
  allArrived(): Promise<void> {
    return this.#whereabouts.allArrived();
  }

  /**
   * Asks the shard of a connection something. Resolves with undefined if that shard doesn't exist or ends first. The
   * connection may move meanwhile: while the answer is `wrong`, the shard to which it has moved is asked.
   */
  async queryAt<Query extends ShardQuery>(
    address: Address,
    query: Query,
    isWrong: (answer: QueryAnswers[Query["kind"]]) => boolean,
    timeoutMs?: number,
  ): Promise<QueryAnswers[Query["kind"]] | undefined> {
    let asked: ShardHandle | undefined;
    for (;;) {
      const handle = await this.locate(address);
      const answer = await handle?.query(query, timeoutMs);
      if (answer === undefined || !isWrong(answer) || handle === asked) return answer;
      if ((await this.locate(address)) === handle) return answer;
      asked = handle;
    }
  }

  #handleOf(life: number): ShardHandle | undefined {
    for (const shard of this.#live) if (shard.life === life) return shard;
    return undefined;
  }

  #moved(from: ShardHandle, { departed, arrived, closed }: MovesReport): void {
    for (const departure of departed) {
      const { clientKey, to } = departure;
      const target = this.#handleOf(to);
      const isLost = target === undefined || target.hasEnded;
      if (clientKey !== undefined) from.clientMoved(clientKey, isLost ? undefined : target);
      if (!isLost) this.#whereabouts.departed(departure);
    }
    for (const arrival of arrived) {
      this.#whereabouts.arrived(arrival, from.life);
      this.#owner.moved(arrival.address, from.shard);
    }
    for (const one of closed) this.#whereabouts.closed(one);
  }

  /** Lets one shard accept the sockets of a port by itself. A shard that has ended closes the server. */
  giveServer(shard: number, server: Server, listenerId: number): void {
    this.#shards[shard]?.giveServer(server, listenerId);
  }

  /** Asks one shard something. Resolves with undefined if the shard doesn't exist or ends first. */
  async query<Query extends ShardQuery>(
    shard: number,
    query: Query,
    timeoutMs?: number,
  ): Promise<QueryAnswers[Query["kind"]] | undefined> {
    return this.#shards[shard]?.query(query, timeoutMs);
  }

  /** Outcomes of handshakes in the shards. */
  upgrades(): UpgradeCounts[] {
    return this.#counters.map((counters) => counters.total().upgrades.snapshot());
  }

  /** Counters of every shard, over all its threads. */
  counters(): ShardCounts[] {
    return this.#counters.map((counters, shard) => {
      // A blocked shard can't write its own delay.
      const eventLoopDelayMs = this.#shards[shard]?.eventLoopDelayMs ?? 0;
      return { ...counters.total().snapshot(), eventLoopDelayMs };
    });
  }

  /** Returns true if the actor module of this name exports an `authorize`. */
  authorizes(actor: ActorName): boolean {
    return this.#shards.some((shard) => shard.authorizes(actor));
  }

  /** True if a shard takes connections. */
  get isReady(): boolean {
    return this.#shards.some((shard) => shard.takesConnections);
  }

  states(): ShardState[] {
    return this.#shards.map((shard, index) => this.#stateOf(shard, this.#restarts[index] as Restarts));
  }

  #stateOf({ phase }: ShardHandle, { failed, died }: Restarts): ShardState {
    switch (phase) {
      case "ready":
        return "ready";
      case "stopping":
        return "closing";
      case "starting":
        return died ? "restarting" : "starting";
      case "ended":
        if (failed) return "failed";
        return this.#closing ? "closed" : "restarting";
    }
  }

  /** Ends one shard's thread at once. It is replaced as if it had died. */
  terminate(shard: number): void {
    this.#shards[shard]?.terminate();
  }

  /**
   * Closes all connections in order, awaits their actors, then ends the threads: those of the shards first, then that
   * of the engine, which has what is left of the time.
   *
   * @param settings `batchSize` counts over all shards
   */
  async close(settings: ShutdownSettings): Promise<ShutdownCounts> {
    this.#closing = true;
    this.#closed.abort(new SwitchboardError("ERR_CLOSED", "this board is closed"));
    const deadline = performance.now() + settings.timeoutMs;
    for (const timer of this.#waiting) clearTimeout(timer);
    const shards = [...new Set([...this.#shards, ...this.#live])];
    const batches = shareBatch(
      settings.batchSize,
      shards.map(({ connections }) => connections),
    );
    const counts = await Promise.all(
      shards.map((shard, index) => shard.shutDown({ ...settings, batchSize: batches[index] as number })),
    );
    await Promise.all(shards.map((shard) => shard.stop()));
    await this.#engine?.stop(deadline - performance.now());
    await this.#reloading;
    await Promise.all([this.#threads.end(), this.#engineThreads?.end()]);
    return {
      closed: counts.reduce((sum, { closed }) => sum + closed, 0),
      dropped: counts.reduce((sum, { dropped }) => sum + dropped, 0),
      cut: counts.reduce((sum, { cut }) => sum + cut, 0),
    };
  }

  /**
   * Replaces the threads of all shards by new ones with other actor modules, and moves everybody. Rejects with the error
   * of a thread that can't start, and nothing is changed then; with `ERR_RELOADING` during another reload.
   */
  async reload(actors: ReadonlyMap<ActorName, string>, settings: ShutdownSettings): Promise<ReloadResult> {
    if (this.#reloading !== undefined)
      throw new SwitchboardError("ERR_RELOADING", "the board is being reloaded already");
    const reload = this.#reload(actors, settings);
    this.#reloading = reload.catch(noop);
    try {
      return await reload;
    } finally {
      this.#reloading = undefined;
    }
  }

  async #reload(actors: ReadonlyMap<ActorName, string>, settings: ShutdownSettings): Promise<ReloadResult> {
    const startedAt = performance.now();
    const before = this.#threads;
    const threads = await ShardThreads.start(this.#settings.shards, this.#settings.resourceLimits);
    const counters = this.#counters.map((history) => history.create());
    const next = counters.map((one, shard) => this.#launch(shard, threads, actors, one));
    const replace = (): ShardHandle[] => {
      this.#threads = threads;
      this.#actors = actors;
      return next.map((handle, shard) => this.#replace(handle, counters[shard] as Counters));
    };
    try {
      const { signal: closing } = this.#closed;
      const succeed = (shard: ShardHandle): Promise<unknown> => this.#succeed(shard);
      const allArrived = (): Promise<void> => this.allArrived();
      const counts = await reloadShards({ next, closing, replace, succeed, allArrived }, settings);
      return { ...counts, ms: performance.now() - startedAt };
    } catch (error) {
      // Their ends are no losses.
      if (this.#threads !== threads) for (const handle of next) this.#live.delete(handle);
      throw error;
    } finally {
      await (this.#threads === threads ? before : threads).end();
    }
  }

  /** Gives the addresses of a shard to its new thread: in every thread. */
  #succeed({ shard, life }: ShardHandle): Promise<unknown> {
    const query = { kind: "succeed", shard, life } as const;
    // A shard that doesn't answer in time is ended by its watchdog.
    const all = Array.from(this.#live, (handle) => handle.query(query).catch(noop));
    return Promise.all([this.#hub.mail.succeed(shard, life), ...all]);
  }

  /** Puts a new thread in the place of the current one. Returns the one that it replaces. */
  #replace(handle: ShardHandle, counters: Counters): ShardHandle {
    const { shard } = handle;
    const history = this.#counters[shard] as CounterHistory;
    const old = this.#shards[shard] as ShardHandle;
    const oldCounters = history.current;
    history.replace(counters);
    this.#shards[shard] = handle;
    this.#restarts[shard] = new Restarts();
    void old.ended.then(() => history.retired(oldCounters));
    return old;
  }

  /** Starts a shard, or starts it again. */
  #start(shard: number): ShardHandle {
    const { current } = this.#counters[shard] as CounterHistory;
    const handle = this.#launch(shard, this.#threads, this.#actors, current);
    this.#shards[shard] = handle;
    return handle;
  }

  #launch(
    shard: number,
    threads: ShardThreads,
    actors: ReadonlyMap<ActorName, string>,
    counters: Counters,
  ): ShardHandle {
    const { warmUp, connection, shardTimeoutMs, handoffTimeoutMs, startTimeoutMs, limits } = this.#settings;
    const life = ++this.#lastLife;
    const handle: ShardHandle = new ShardHandle(threads, {
      shard,
      life,
      addressPrefix: this.#hub.topics.addressPrefix,
      actors,
      warmUp,
      options: connection,
      trustedProxies: limits.trustedProxies ?? [],
      moves: this.#sockets !== "relay",
      uring: this.#sockets === "uring",
      timeoutMs: shardTimeoutMs,
      handoffTimeoutMs,
      startTimeoutMs,
      counters,
      engine: this.#engine && {
        port: this.#engine.giveClient(),
        rules: this.#settings.engine?.rules ?? [],
        isShared: this.#engine.isShared,
      },
      links: this.#linkToOthers(shard, life),
      event: (event) => this.#owner.event(shard, event),
      reported: (reports) => this.#owner.reported(shard, reports),
      clientLeft: (clientKey) => this.#owner.clientLeft(clientKey),
      moved: (report) => this.#moved(handle, report),
    });
    for (const [listenerId, settings] of this.#listeners) handle.configure({ listenerId, settings });
    this.#live.add(handle);
    void handle.ended.then((loss) => {
      const wasLive = this.#live.delete(handle);
      this.#whereabouts.lifeEnded(life);
      if (loss !== undefined && wasLive && !this.#closing) this.#handleLoss(handle, loss);
    });
    return handle;
  }

  /** Starts the shard again after its delay, unless it died too often, or another thread has its place. */
  #handleLoss(handle: ShardHandle, loss: ShardLoss): void {
    const { shard } = loss;
    if (this.#shards[shard] !== handle) {
      // A new thread that can't start is told by the rejection of the reload.
      if (handle.wasReady) this.#owner.shardLost(loss);
      return;
    }
    const delayMs = (this.#restarts[shard] as Restarts).countDeath(performance.now());
    this.#owner.shardLost(loss);
    if (delayMs === undefined) {
      this.#owner.shardFailed(loss);
      return;
    }
    const timer = setTimeout(() => {
      this.#waiting.delete(timer);
      if (this.#shards[shard] !== handle) return;
      this.#start(shard).ready.then(
        () => this.#owner.shardReplaced(shard),
        // Reported as the next loss.
        () => {},
      );
    }, delayMs);
    this.#waiting.add(timer);
  }

  /** Gives every thread its way to the engine thread that replaced a lost one. */
  #connectEngine(): void {
    const engine = this.#engine;
    if (engine === undefined || this.#closing) return;
    this.#hub.topics.connectEngine(engine.giveClient(true), engine.isShared);
    for (const shard of this.#live) shard.connectEngine(engine.giveClient());
  }

  /** Ends the engine's thread at once. It is replaced as if it had died. */
  terminateEngine(): void {
    this.#engine?.terminate();
  }

  /** Links a new shard to the main thread and to every other shard. Returns the new shard's ends. */
  #linkToOthers(shard: number, life: number): ThreadLink[] {
    const hub = new MessageChannel();
    this.#hub.mail.addLink(hub.port1, shard, life);
    void this.#hub.topics.bus.addLink(hub.port1, life);
    const links: ThreadLink[] = [{ port: hub.port2, shard: undefined, life: 0 }];
    for (const other of this.#live) {
      const { port1, port2 } = new MessageChannel();
      other.link({ port: port1, shard, life });
      links.push({ port: port2, shard: other.shard, life: other.life });
    }
    return links;
  }
}

/** Starts the engine, if the board has one. Rejects with its error, or with `ERR_ABORTED`. */
async function startEngine(
  threads: ShardThreads | undefined,
  { engine, startTimeoutMs, shardTimeoutMs, signal }: Settings,
  node: string,
  owner: EngineThreadOwner,
): Promise<EngineThread | undefined> {
  if (engine === undefined || threads === undefined) return undefined;
  const { spec, rules } = engine;
  const settings = { engine: spec, node, rules, startTimeoutMs, blockedTimeoutMs: shardTimeoutMs };
  return unlessAbandoned(signal, EngineThread.start(threads, settings, owner));
}
