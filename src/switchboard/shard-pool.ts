import { MessageChannel } from "node:worker_threads";
import type { Piscina } from "piscina";
import type { Bus } from "../bus/bus.ts";
import type { ErrorReport } from "../errors.ts";
import { Counters, type CounterValues } from "../shard/counters.ts";
import type { LostMail, MailRouter } from "../shard/mail-router.ts";
import type { ListenerNotice, ListenerSettings, ShardTask, ThreadLink } from "../shard/messages.ts";
import type { QueryAnswers, ShardQuery } from "../shard/queries.ts";
import type { UpgradeCounts } from "../shard/upgrade-counters.ts";
import { canMoveSockets } from "../transport/handoff.ts";
import type { Settings } from "./options.ts";
import { leastConnections } from "./placement.ts";
import { type ActorFailure, type DrainCounts, ShardHandle, type ShardLoss } from "./shard-handle.ts";

export interface ShardPoolOwner {
  actorFailed(failure: ActorFailure): void;
  /** Mail sent from the shard, or to it, wasn't handled. */
  mailDied(shard: number, lost: LostMail): void;
  /** A handshake in a shard failed for a reason that is not its peer's. */
  handshakeFailed(error: Error): void;
  /** A shard's thread ended unasked, and its connections with it. */
  shardLost(loss: ShardLoss): void;
  /** A new thread runs in its place. */
  shardReplaced(shard: number): void;
}

/** The main thread's ends of what links all threads. */
export interface Hub {
  readonly bus: Bus;
  readonly mail: MailRouter;
}

/** Where the worker is: beside the sources, or in the built package. */
const WORKER = new URL(
  import.meta.url.endsWith(".ts") ? "../../workers/shard.ts" : "./workers/shard.js",
  import.meta.url,
);
const FIRST_RESTART_DELAY_MS = 100;
const LONGEST_RESTART_DELAY_MS = 10_000;

/** The shards of a board: as many threads as it was asked for, each running one long task, each replaced when it dies. */
export class ShardPool {
  readonly #settings: Settings;
  readonly #owner: ShardPoolOwner;
  readonly #hub: Hub;
  readonly #threads: Piscina<ShardTask, ErrorReport | undefined>;
  readonly #shards: ShardHandle[] = [];
  readonly #counters: Counters[];
  /** Deaths in a row of each shard: what makes the next start wait longer. */
  readonly #deaths: number[];
  /** What every shard is told, those that are started later too. */
  readonly #listeners = new Map<number, ListenerSettings>();
  readonly #restarts = new Set<NodeJS.Timeout>();
  #closing = false;

  /** Resolves when all shards take connections; rejects with the first reason why one can't. */
  static async start(settings: Settings, hub: Hub, owner: ShardPoolOwner): Promise<ShardPool> {
    // Loaded here, so that actor modules, which import the same package, don't load it in every shard.
    const { Piscina } = await import("piscina");
    const threads = new Piscina<ShardTask, ErrorReport | undefined>({
      filename: WORKER.href,
      minThreads: settings.shards,
      maxThreads: settings.shards,
      idleTimeout: Number.POSITIVE_INFINITY,
      // With atomics a thread without a task sleeps in Atomics.wait; ours have an event loop to run.
      atomics: "disabled",
    });
    const pool = new ShardPool(settings, hub, owner, threads);
    try {
      await pool.#allReady();
    } catch (error) {
      await threads.destroy();
      throw error;
    }
    return pool;
  }

  /** Rejects with the first reason why a shard can't start; none is started again then. */
  #allReady(): Promise<unknown> {
    const giveUp = (error: Error): never => {
      this.#closing = true;
      throw error;
    };
    return Promise.all(this.#shards.map((shard) => shard.ready.catch(giveUp)));
  }

  private constructor(
    settings: Settings,
    hub: Hub,
    owner: ShardPoolOwner,
    threads: Piscina<ShardTask, ErrorReport | undefined>,
  ) {
    this.#settings = settings;
    this.#owner = owner;
    this.#hub = hub;
    this.#threads = threads;
    // A thread's error is told by its task.
    threads.on("error", () => {});
    this.#counters = Array.from({ length: settings.shards }, () => new Counters());
    this.#deaths = this.#counters.map(() => 0);
    for (let shard = 0; shard < settings.shards; shard++) this.#launch(shard);
  }

  /** The shard for a new connection; undefined when none is ready. */
  readonly place = leastConnections(() => this.#shards.filter((shard) => shard.isReady));

  /** The same for a socket whose handshake is the shard's. */
  readonly placeUnread = leastConnections(() => this.#shards.filter((shard) => shard.takesUnread));

  /** Says how the shards do the handshakes of a listener, from the next socket on. */
  configure(notice: ListenerNotice): void {
    this.#listeners.set(notice.listener, notice.settings);
    for (const shard of this.#shards) shard.configure(notice);
  }

  /** Asks one shard about its connections; undefined when it isn't there, or ends instead. */
  async query<Query extends ShardQuery>(shard: number, query: Query): Promise<QueryAnswers[Query["kind"]] | undefined> {
    return this.#shards[shard]?.query(query);
  }

  /** Outcomes of the handshakes that the shards did. */
  upgrades(): UpgradeCounts[] {
    return this.#counters.map(({ upgrades }) => upgrades.snapshot());
  }

  /** Counters of every shard, over all its lives. */
  counters(): CounterValues[] {
    return this.#counters.map((counters) => counters.snapshot());
  }

  /** Whether the actor module exports an `authorize`. */
  get authorizes(): boolean {
    return this.#shards.some((shard) => shard.authorizes);
  }

  get ready(): readonly boolean[] {
    return this.#shards.map((shard) => shard.isReady);
  }

  /** Ends one shard's thread at once; it is replaced as if it had died. */
  terminate(shard: number): void {
    this.#shards[shard]?.terminate();
  }

  /** Closes every connection in order, then ends the threads. */
  async close(timeoutMs: number): Promise<DrainCounts> {
    this.#closing = true;
    for (const timer of this.#restarts) clearTimeout(timer);
    const counts = await Promise.all(this.#shards.map((shard) => shard.drain(timeoutMs)));
    await Promise.all(this.#shards.map((shard) => shard.stop()));
    await this.#threads.destroy();
    return {
      closed: counts.reduce((sum, { closed }) => sum + closed, 0),
      dropped: counts.reduce((sum, { dropped }) => sum + dropped, 0),
    };
  }

  #launch(shard: number): ShardHandle {
    const { actor, connection, sockets } = this.#settings;
    const handle = new ShardHandle(this.#threads, {
      shard,
      actor,
      options: connection,
      moves: sockets === "auto" && canMoveSockets(process.versions.node),
      counters: this.#counters[shard] as Counters,
      links: this.#linkToOthers(shard),
      actorFailed: (failure) => this.#owner.actorFailed(failure),
      mailDied: (lost) => this.#owner.mailDied(shard, lost),
      handshakeFailed: (error) => this.#owner.handshakeFailed(error),
    });
    for (const [listener, settings] of this.#listeners) handle.configure({ listener, settings });
    this.#shards[shard] = handle;
    const startedAt = performance.now();
    void handle.ended.then((loss) => {
      if (loss !== undefined && !this.#closing) this.#handleLoss(loss, performance.now() - startedAt);
    });
    return handle;
  }

  /** Starts the shard again: soon, and ever later when it doesn't live long. */
  #handleLoss(loss: ShardLoss, livedMs: number): void {
    this.#owner.shardLost(loss);
    const { shard } = loss;
    const deaths = livedMs < LONGEST_RESTART_DELAY_MS ? (this.#deaths[shard] as number) : 0;
    this.#deaths[shard] = deaths + 1;
    const delayMs = Math.min(FIRST_RESTART_DELAY_MS * 2 ** deaths, LONGEST_RESTART_DELAY_MS);
    const timer = setTimeout(() => {
      this.#restarts.delete(timer);
      this.#launch(shard).ready.then(
        () => this.#owner.shardReplaced(shard),
        // Told as the next loss.
        () => {},
      );
    }, delayMs);
    this.#restarts.add(timer);
  }

  /** A direct port to the main thread and to every other shard; returns the new shard's ends. */
  #linkToOthers(shard: number): ThreadLink[] {
    const hub = new MessageChannel();
    this.#hub.mail.addLink(hub.port1, shard);
    void this.#hub.bus.addLink(hub.port1);
    const links: ThreadLink[] = [{ port: hub.port2, shard: undefined }];
    for (const other of this.#shards) {
      if (other === undefined || other.shard === shard || other.hasEnded) continue;
      const { port1, port2 } = new MessageChannel();
      other.link({ port: port1, shard });
      links.push({ port: port2, shard: other.shard });
    }
    return links;
  }
}
