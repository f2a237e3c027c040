/**
 * All threads of the shards that haven't ended, also those that are being replaced: links each new one to all others,
 * and finds the thread where a connection is. `ShardPool` has one.
 */
import { MessageChannel } from "node:worker_threads";
import { type Address, shardOf } from "../../../runtime/actor/address.ts";
import type { PassedPublish } from "../../../runtime/feeds/topics.ts";
import type { MailRouter } from "../../../runtime/mail/mail-router.ts";
import type { Counters } from "../../../runtime/stats/counters.ts";
import { noop } from "../../../wire/protocol/empty.ts";
import { RelayMoves } from "../../../wire/transport/relay/relay-moves.ts";
import { UringEstate } from "../../../wire/transport/uring/uring-estate.ts";
import type { ShardPortSettings } from "../../accept/shard-port.ts";
import type { ActorName } from "../../connection/connection-host.ts";
import type { ShardEvent } from "../../connection/shard-events.ts";
import type { LateUpgradeReport, ModuleReport, ShardPortNotice, ThreadLink } from "../../shard/messages.ts";
import type { MovesReport } from "../../shard/moving/messages.ts";
import type { QueryAnswers, ShardPage, ShardQuery } from "../../shard/queries.ts";
import type { BoardTopics } from "../board-topics.ts";
import type { EngineThread } from "../engine/engine-thread.ts";
import { Whereabouts } from "../moving/whereabouts.ts";
import type { Settings } from "../options/start-options.ts";
import type { SocketsChoice } from "../sockets-choice.ts";
import { ShardHandle } from "./shard-handle.ts";
import type { ShardLoss } from "./shard-loss.ts";
import type { ShardThreads } from "./shard-threads.ts";

/** Listener for the reports of running shards. */
export interface ShardNews {
  /** An event of a shard that users of the board may listen to. */
  event(shard: number, event: ShardEvent): void;
  /** Actors of a shard, or other code of their modules, have reported something. */
  reported(shard: number, reports: readonly ModuleReport[]): void;
  /** A connection or a handshake of a client has ended, if clients are counted. */
  clientLeft(clientKey: string): void;
  /** An open connection has come to this shard from another one. */
  moved(address: Address, shard: number): void;
  /** An actor has published for subscribers that have gone to another process. */
  published(publish: PassedPublish): void;
  /**
   * A socket in a shard is for the process that has taken over.
   *
   * @param estate list of what the shard owns past Node; undefined without io_uring
   */
  lateUpgrade(report: LateUpgradeReport, estate: SharedArrayBuffer | undefined): void;
}

export interface LiveShardsOwner {
  readonly news: ShardNews;
  /** Returns the current thread of a shard. */
  currentOf(shard: number): ShardHandle | undefined;
  /** A thread ended unexpectedly. */
  lost(handle: ShardHandle, loss: ShardLoss): void;
}

/** The main thread's ends of the links between all threads. */
export interface Hub {
  readonly topics: BoardTopics;
  readonly mail: MailRouter;
}

export class LiveShards {
  readonly #settings: Settings;
  readonly #sockets: SocketsChoice["kind"];
  readonly #hub: Hub;
  readonly #engine: EngineThread | undefined;
  readonly #owner: LiveShardsOwner;
  readonly #handles = new Set<ShardHandle>();
  /** Threads whose addresses have gone to newer threads. */
  readonly #succeeded = new WeakSet<ShardHandle>();
  /** Settings of ports, for every shard, also for those that are started later. */
  readonly #listeners = new Map<number, ShardPortSettings>();
  readonly #whereabouts: Whereabouts;
  readonly #relayMoves = new RelayMoves();
  #lastLife = 0;

  /** @param engine the engine; undefined if the board has none */
  constructor(
    settings: Settings,
    sockets: SocketsChoice["kind"],
    hub: Hub,
    engine: EngineThread | undefined,
    owner: LiveShardsOwner,
  ) {
    this.#settings = settings;
    this.#sockets = sockets;
    this.#hub = hub;
    this.#engine = engine;
    this.#owner = owner;
    this.#whereabouts = new Whereabouts((address, life) => owner.currentOf(shardOf(address))?.life === life);
  }

  get handles(): ReadonlySet<ShardHandle> {
    return this.#handles;
  }

  /** Number of connections in all threads or on their way there. */
  get connections(): number {
    let sum = 0;
    for (const { connections } of this.#handles) sum += connections;
    return sum;
  }

  /**
   * Runs a shard in a free thread.
   *
   * @param actors URLs of the actor modules, by name
   */
  launch(
    shard: number,
    threads: ShardThreads,
    actors: ReadonlyMap<ActorName, string>,
    counters: Counters,
  ): ShardHandle {
    const { warmUp, connection, shardTimeoutMs, handoffTimeoutMs, startTimeoutMs, limits } = this.#settings;
    const { news } = this.#owner;
    const life = ++this.#lastLife;
    const uringEstate = this.#sockets === "uring" ? new UringEstate() : undefined;
    const handle: ShardHandle = new ShardHandle(threads, {
      shard,
      life,
      addressPrefix: this.#hub.topics.addressPrefix,
      actors,
      warmUp,
      options: connection,
      trustedProxies: limits.trustedProxies ?? [],
      relayMoves: this.#relayMoves,
      moves: this.#sockets !== "relay",
      uringEstate,
      timeoutMs: shardTimeoutMs,
      handoffTimeoutMs,
      startTimeoutMs,
      counters,
      engine: this.#engine && {
        port: this.#engine.giveClient(),
        rules: this.#settings.engine?.rules ?? [],
        isShared: this.#engine.isShared,
      },
      links: this.#linkToOthers(shard, life, uringEstate?.memory),
      event: (event) => news.event(shard, event),
      reported: (reports) => news.reported(shard, reports),
      clientLeft: (clientKey) => news.clientLeft(clientKey),
      moved: (report) => this.#moved(handle, report),
      published: (publish) => news.published(publish),
      lateUpgrade: (report) => news.lateUpgrade(report, uringEstate?.memory),
    });
    for (const [listenerId, settings] of this.#listeners) handle.configure({ listenerId, settings });
    const { aliases } = this.#hub.mail.nodes;
    if (aliases.length > 0) handle.query({ kind: "answerFor", nodes: aliases }).catch(noop);
    this.#handles.add(handle);
    void handle.ended.then((loss) => {
      const wasLive = this.#handles.delete(handle);
      this.#whereabouts.lifeEnded(life);
      if (loss !== undefined && wasLive) this.#owner.lost(handle, loss);
    });
    return handle;
  }

  /** Leaves out threads that are about to be ended: their ends are no losses. */
  giveUp(handles: readonly ShardHandle[]): void {
    for (const handle of handles) this.#handles.delete(handle);
  }

  /** Links a new shard to the main thread and to every other shard. Returns the new shard's ends. */
  #linkToOthers(shard: number, life: number, uringEstate: SharedArrayBuffer | undefined): ThreadLink[] {
    const hub = new MessageChannel();
    this.#hub.mail.addLink(hub.port1, shard, life);
    void this.#hub.topics.bus.addLink(hub.port1, life);
    const links: ThreadLink[] = [
      { port: hub.port2, shard: undefined, life: 0, isSucceeded: false, uringEstate: undefined },
    ];
    for (const other of this.#handles) {
      const { port1, port2 } = new MessageChannel();
      other.link({ port: port1, shard, life, isSucceeded: false, uringEstate });
      const isSucceeded = this.#succeeded.has(other);
      links.push({ port: port2, shard: other.shard, life: other.life, isSucceeded, uringEstate: other.uringEstate });
    }
    return links;
  }

  /** Gives every thread, the main thread included, its way to the current engine thread. */
  connectEngine(): void {
    const engine = this.#engine;
    if (engine === undefined) return;
    this.#hub.topics.connectEngine(engine.giveClient(true), engine.isShared);
    for (const shard of this.#handles) shard.connectEngine(engine.giveClient());
  }

  /** Sets how the shards do the handshakes of a port, from the next socket on. */
  configure(notice: ShardPortNotice): void {
    this.#listeners.set(notice.listenerId, notice.settings);
    for (const shard of this.#handles) shard.configure(notice);
  }

  /** Gives the addresses of a shard to its new thread: in every thread. */
  succeed({ shard, life }: ShardHandle): Promise<unknown> {
    for (const one of this.#handles) if (one.shard === shard && one.life < life) this.#succeeded.add(one);
    const query = { kind: "succeed", shard, life } as const;
    // A shard that doesn't answer in time is ended by its watchdog.
    const all = Array.from(this.#handles, (handle) => handle.query(query).catch(noop));
    return Promise.all([this.#hub.mail.succeed(shard, life), ...all]);
  }

  /**
   * Returns the threads of a shard, the oldest first: a thread that was replaced may keep connections. One that still
   * starts has none, and may not answer.
   */
  #threadsOf(shard: number): ShardHandle[] {
    return [...this.#handles].filter((handle) => handle.shard === shard && handle.wasReady);
  }

  /** Returns a page of the connections of a shard, those of older threads first. */
  async list(shard: number, after: number, limit: number): Promise<ShardPage | undefined> {
    let page: ShardPage | undefined;
    for (const handle of this.#threadsOf(shard)) {
      const { connections: before = [], last = after } = page ?? {};
      if (before.length === limit) break;
      const more = await handle.query({ kind: "list", after, limit: limit - before.length });
      const connections = [...before, ...(more?.connections ?? [])];
      if (more !== undefined) page = { connections, last: Math.max(last, more.last) };
    }
    return page;
  }

  // ── connections that have moved ────────────────────────────────────────────────────────────────────────

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
      if (answer === undefined || !isWrong(answer)) return answer;
      if (handle === asked || (await this.locate(address)) === handle) {
        return (await this.#askKept(address, handle, query, isWrong, timeoutMs)) ?? answer;
      }
      asked = handle;
    }
  }

  /** Asks the other threads of an address's shard: one that was replaced may keep the connection. */
  async #askKept<Query extends ShardQuery>(
    address: Address,
    asked: ShardHandle | undefined,
    query: Query,
    isWrong: (answer: QueryAnswers[Query["kind"]]) => boolean,
    timeoutMs: number | undefined,
  ): Promise<QueryAnswers[Query["kind"]] | undefined> {
    for (const handle of this.#threadsOf(shardOf(address))) {
      if (handle === asked) continue;
      const answer = await handle.query(query, timeoutMs);
      if (answer !== undefined && !isWrong(answer)) return answer;
    }
    return undefined;
  }

  /** Resolves with the thread where the connection with this address is, if the connection exists. */
  async locate(address: Address): Promise<ShardHandle | undefined> {
    const life = await this.#whereabouts.find(address);
    return life === undefined ? this.#owner.currentOf(shardOf(address)) : this.#handleOf(life);
  }

  #handleOf(life: number): ShardHandle | undefined {
    for (const shard of this.#handles) if (shard.life === life) return shard;
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
      this.#owner.news.moved(arrival.address, from.shard);
    }
    for (const one of closed) this.#whereabouts.closed(one);
  }
}
