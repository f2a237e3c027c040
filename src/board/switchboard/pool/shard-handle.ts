/** One shard as the main thread sees it: its ports, its phase, its end. `ShardPool` has one for each. */
import type { Server, Socket } from "node:net";
import type { Duplex } from "node:stream";
import { MessageChannel, type MessagePort } from "node:worker_threads";
import type { ErrorReport } from "../../../errors.ts";
import type { PassedPublish } from "../../../runtime/feeds/topics.ts";
import type { Counters } from "../../../runtime/stats/counters.ts";
import { createMeterMemory, EventLoopReader } from "../../../runtime/stats/event-loop-meter.ts";
import type { HandoffResult } from "../../../wire/transport/pending-handoffs.ts";
import { queuedMessages } from "../../../wire/transport/queued-messages.ts";
import type { UringEstate } from "../../../wire/transport/uring/uring-estate.ts";
import type { Destination } from "../../accept/acceptor-owner.ts";
import type { ActorName, HandoffEnvelope } from "../../connection/connection-host.ts";
import type { ShardEvent } from "../../connection/shard-events.ts";
import type {
  ActorModuleFacts,
  LateUpgradeReport,
  ModuleReport,
  ShardOrder,
  ShardPortNotice,
  ShardReport,
  ThreadLink,
} from "../../shard/messages.ts";
import type { MovesReport } from "../../shard/moving/messages.ts";
import type { QueryAnswers, ShardQuery } from "../../shard/queries.ts";
import type { ShutdownCounts, ShutdownSettings } from "../../shard/shutdown.ts";
import { PendingQueries } from "./pending-queries.ts";
import type { ShardCandidate } from "./placement.ts";
import {
  explainRejection,
  explainReturn,
  explainSilence,
  explainSlowStart,
  explainTermination,
  type LossCause,
  type ShardLoss,
} from "./shard-loss.ts";
import { type ShardSpec, shardTask } from "./shard-spec.ts";
import type { ShardThreads } from "./shard-threads.ts";
import { SocketDispatch } from "./socket-dispatch.ts";
import { Watchdog } from "./watchdog.ts";

/** Milliseconds that a shard may be late with its shutdown or its end before its thread is terminated. */
const SHUTDOWN_GRACE_MS = 1_000;

/**
 * - `starting`: the thread starts and loads the actor modules.
 * - `ready`: the shard takes connections.
 * - `stopping`: the shard was asked to close its connections and to end.
 * - `ended`: the thread has ended or is free again.
 */
type Phase = "starting" | "ready" | "stopping" | "ended";

/** One life of one shard, from a free thread of the pool to that thread's end. */
export class ShardHandle implements Destination, ShardCandidate {
  readonly shard: number;
  /** Number of the thread, unique in the board. */
  readonly life: number;
  readonly #moved: (report: MovesReport) => void;
  readonly #published: (publish: PassedPublish) => void;
  readonly #lateUpgrade: (report: LateUpgradeReport) => void;
  readonly #counters: Counters;
  readonly #dispatch: SocketDispatch;
  readonly #eventLoop: EventLoopReader;
  readonly #event: (event: ShardEvent) => void;
  readonly #reported: (reports: readonly ModuleReport[]) => void;
  readonly #control: MessagePort;
  readonly #queries = new PendingQueries();
  /** List of what the shard owns past Node; undefined without io_uring. */
  readonly #uringEstate: UringEstate | undefined;
  readonly #abort = new AbortController();
  readonly #watchdog: Watchdog | undefined;
  /** Timer that runs while the shard starts. */
  readonly #startTimer: NodeJS.Timeout | undefined;
  readonly #ready = Promise.withResolvers<void>();
  readonly #shutdownDone = Promise.withResolvers<ShutdownCounts>();
  #phase: Phase = "starting";
  #wasReady = false;
  /** Facts about the actor modules, by name. Empty until the shard is ready. */
  #actors: ReadonlyMap<ActorName, ActorModuleFacts> = new Map();
  /** Resolves when the thread has ended or is free again; with the loss if the end was not asked for. */
  readonly ended: Promise<ShardLoss | undefined>;
  readonly #threads: ShardThreads;

  constructor(threads: ShardThreads, spec: ShardSpec) {
    const { timeoutMs, startTimeoutMs, counters } = spec;
    this.shard = spec.shard;
    this.life = spec.life;
    this.#moved = spec.moved;
    this.#published = spec.published;
    this.#lateUpgrade = spec.lateUpgrade;
    this.#counters = counters;
    this.#dispatch = new SocketDispatch(spec);
    const meter = createMeterMemory();
    this.#eventLoop = new EventLoopReader(meter);
    this.#event = spec.event;
    this.#reported = spec.reported;
    const control = new MessageChannel();
    this.#control = control.port1;
    this.#control.on("message", (report: ShardReport) => this.#handle(report));
    this.#uringEstate = spec.uringEstate;
    if (timeoutMs > 0) {
      this.#watchdog = new Watchdog({ timeoutMs, silent: () => this.#abort.abort(explainSilence()) });
    }
    if (startTimeoutMs > 0) {
      const giveUp = (): void => this.#abort.abort(explainSlowStart(startTimeoutMs));
      this.#startTimer = setTimeout(giveUp, startTimeoutMs);
    }
    const pulse = this.#watchdog?.pulse.source;
    const { task, ports } = shardTask(spec, { control: control.port2, meter, pulse, ...this.#dispatch.receivers });
    // Only the first start of a board awaits this; later failures go through `ended`.
    this.#ready.promise.catch(() => {});
    this.#threads = threads;
    this.ended = this.#run(threads.run(task, ports, this.#abort.signal));
  }

  /** Resolves after `ended`, when the thread has exited and closed its sockets. */
  async exited(): Promise<void> {
    await this.ended;
    await this.#threads.exits();
  }

  /** Resolves when the shard takes connections. Rejects with the reason if it can't start. */
  get ready(): Promise<void> {
    return this.#ready.promise;
  }

  get phase(): Phase {
    return this.#phase;
  }

  get isReady(): boolean {
    return this.#phase === "ready";
  }

  /** True if the shard takes connections: it is ready and answers for its sockets. */
  get takesConnections(): boolean {
    return this.isReady && !this.#dispatch.isFull;
  }

  /** True if the shard was ready at any time. */
  get wasReady(): boolean {
    return this.#wasReady;
  }

  get hasEnded(): boolean {
    return this.#phase === "ended";
  }

  /** Number of connections in their handshake in the shard, or on their way there. */
  get underWay(): number {
    return Math.max(0, this.connections - this.#counters.get("connections"));
  }

  /** Lets the shard give its listening servers, and connections that open from now on, to another thread. */
  retire(to: number): void {
    this.#order({ kind: "retire", to });
  }

  /** True if the shard takes raw sockets: also while it shuts down, to answer them with 503. */
  get takesRawSockets(): boolean {
    return this.#phase === "ready" || this.#phase === "stopping";
  }

  /** Number of connections in the shard, in their handshake there, or on their way. */
  get connections(): number {
    return this.#dispatch.connections;
  }

  /** Delay of the event loop now, also while the shard is blocked. */
  get eventLoopDelayMs(): number {
    return this.#eventLoop.delayMs;
  }

  /** List of what the shard owns past Node; undefined without io_uring. */
  get uringEstate(): SharedArrayBuffer | undefined {
    return this.#uringEstate?.memory;
  }

  /** Bytes of the thread's JavaScript objects and buffers, at most a second old. */
  get memoryBytes(): number {
    return this.#counters.get("memoryBytes");
  }

  requestHeadersOf(actor: ActorName): readonly string[] {
    return this.#actors.get(actor)?.requestHeaders ?? [];
  }

  /** Returns true if the actor module of this name exports an `authorize`. False until the shard is ready. */
  authorizes(actor: ActorName): boolean {
    return this.#actors.get(actor)?.authorizes ?? false;
  }

  /** `static moves` of the actor module of this name; undefined for a class without. */
  movesOf(actor: ActorName): number | undefined {
    return this.#actors.get(actor)?.moves;
  }

  /** A connection of a client has come from another process. */
  clientArrived(clientKey: string): void {
    this.#dispatch.clientArrived(clientKey);
  }

  handOff(socket: Duplex, head: Buffer, envelope: HandoffEnvelope): Promise<HandoffResult> {
    return this.#dispatch.handOff(socket, head, envelope);
  }

  /** Sets how the shard does the handshakes of a port, from the next socket on. */
  configure(notice: ShardPortNotice): void {
    this.#dispatch.configure(notice);
  }

  handOffRawSocket(socket: Socket, listenerId: number, clientKey: string | undefined): Promise<HandoffResult> {
    return this.#dispatch.handOffRawSocket(socket, listenerId, clientKey);
  }

  /** Lets the shard accept the sockets of a port by itself. */
  giveServer(server: Server, listenerId: number): void {
    this.#dispatch.giveServer(server, listenerId);
  }

  /** Gives the shard its way to a new engine thread. */
  connectEngine(port: MessagePort): void {
    this.#order({ kind: "engine", port }, [port]);
  }

  link(link: ThreadLink): void {
    this.#order({ kind: "link", link }, [link.port]);
  }

  /**
   * Asks the shard something. Resolves with undefined if the shard ends first. Rejects with `ERR_SHARD_UNRESPONSIVE` if
   * the shard doesn't answer within `timeoutMs`. Default: 5 s.
   */
  query<Query extends ShardQuery>(
    query: Query,
    timeoutMs?: number,
    transfer: MessagePort[] = [],
  ): Promise<QueryAnswers[Query["kind"]] | undefined> {
    const post = (serial: number): void => this.#order({ kind: "query", serial, query }, transfer);
    return this.#queries.ask<Query["kind"]>(post, timeoutMs);
  }

  /** A connection of a client is on its way to another shard; undefined if that shard has ended. */
  clientMoved(clientKey: string, to: ShardHandle | undefined): void {
    this.#dispatch.clientMoved(clientKey, to === undefined ? undefined : to.#dispatch);
  }

  /**
   * Closes all connections, also those that still arrive, and awaits their actors. A shard that doesn't even do that is
   * terminated.
   */
  async shutDown(settings: ShutdownSettings): Promise<ShutdownCounts> {
    if (this.#phase !== "stopping") this.#order({ kind: "shutDown", settings });
    if (!this.hasEnded) this.#phase = "stopping";
    const timer = setTimeout(() => this.terminate(), settings.timeoutMs + SHUTDOWN_GRACE_MS);
    const counts = await this.#shutdownDone.promise;
    clearTimeout(timer);
    return counts;
  }

  /** Ends the shard after its shutdown. */
  async stop(): Promise<void> {
    this.#order({ kind: "stop" });
    const timer = setTimeout(() => this.terminate(), SHUTDOWN_GRACE_MS);
    await this.ended;
    clearTimeout(timer);
  }

  /** Ends the thread at once. Its peers see their connections close. */
  terminate(): void {
    this.#abort.abort(explainTermination());
  }

  #order(order: ShardOrder, transfer: MessagePort[] = []): void {
    this.#control.postMessage(order, transfer);
  }

  #handle(report: ShardReport): void {
    switch (report.kind) {
      case "ready":
        // The shard may have been asked to close while it started.
        if (this.#phase === "starting") this.#phase = "ready";
        this.#wasReady = true;
        this.#watchdog?.started();
        clearTimeout(this.#startTimer);
        this.#actors = report.actors;
        this.#ready.resolve();
        return;
      case "event":
        this.#event(report);
        return;
      case "reported":
        this.#order({ kind: "reportsHandled", count: report.reports.length });
        this.#reported(report.reports);
        return;
      case "queryAnswered":
        this.#queries.settle(report.serial, report.answer);
        return;
      case "socketsClosed":
        this.#dispatch.clientsLeft(report.clientKeys);
        return;
      case "moves":
        this.#moved(report);
        return;
      case "published":
        this.#published(report.publish);
        return;
      case "lateUpgrade":
        this.#lateUpgrade(report);
        return;
      case "shutdownDone":
        this.#shutdownDone.resolve(report);
        return;
    }
  }

  async #run(task: Promise<ErrorReport | undefined>): Promise<ShardLoss | undefined> {
    const { reason, error }: LossCause = await task.then(explainReturn, (thrown) =>
      this.#abort.signal.aborted ? this.#abort.signal.reason : explainRejection(thrown),
    );
    for (const report of queuedMessages<ShardReport>(this.#control)) this.#handle(report);
    this.#watchdog?.stop();
    clearTimeout(this.#startTimer);
    const asked = this.#phase === "stopping";
    this.#phase = "ended";
    this.#queries.end();
    this.#control.close();
    this.#dispatch.end();
    // Sockets in their handshake ended with the thread.
    this.#counters.upgrades.add("failed", this.#counters.get("handshakes"));
    const connections = this.#counters.get("connections");
    const actors = this.#counters.get("actors");
    this.#counters.clearGauges();
    // Settles everything that still waits for this shard. A loss that was not asked for is reported as such.
    this.#shutdownDone.resolve({ closed: 0, dropped: asked ? connections : 0, cut: asked ? actors : 0 });
    this.#ready.reject(error);
    // Only then is the port free for the shard's next thread.
    if (this.#uringEstate !== undefined) await this.#uringEstate.settle((threadId) => this.#threads.exited(threadId));
    return asked ? undefined : { shard: this.shard, reason, connections, error };
  }
}
