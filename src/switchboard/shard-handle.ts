import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { MessageChannel, type MessagePort } from "node:worker_threads";
import type { Piscina } from "piscina";
import type { FailureOutcome } from "../actor/supervision.ts";
import { type ErrorReport, reviveError, SwitchboardError } from "../errors.ts";
import type { Destination } from "../shard/acceptor.ts";
import type { Arrival, ConnectionOptions } from "../shard/connection.ts";
import type { Counters } from "../shard/counters.ts";
import type { LostMail } from "../shard/mail-router.ts";
import type {
  ListenerNotice,
  ShardOrder,
  ShardReport,
  ShardTask,
  ThreadLink,
  UnreadArrival,
} from "../shard/messages.ts";
import type { QueryAnswers, ShardQuery } from "../shard/queries.ts";
import { type HandoffResult, HandoffSender, isMovable } from "../transport/handoff.ts";
import { RelaySender } from "../transport/relay.ts";
import { PendingQueries } from "./pending-queries.ts";

/** What became of a shard's connections when it was drained. */
export interface DrainCounts {
  /** Closed with a close handshake. */
  readonly closed: number;
  /** Dropped without one, when the time was up. */
  readonly dropped: number;
}

/** An actor's handler that threw or rejected. */
export interface ActorFailure {
  readonly shard: number;
  /** Of the connection; undefined for `detached`. */
  readonly id: string | undefined;
  /** `detached`: a promise that some handler made and didn't await. */
  readonly handler: string;
  /** What became of the actor, by its class's `supervision`. */
  readonly outcome: FailureOutcome;
  readonly error: Error;
}

/** A shard that ended unasked. */
export interface ShardLoss {
  readonly shard: number;
  /** Connections that ended with it. */
  readonly connections: number;
  readonly error: Error;
}

export interface ShardSpec {
  readonly shard: number;
  readonly actor: string;
  readonly options: ConnectionOptions;
  /** Whether sockets that can be moved are; all others are relayed. */
  readonly moves: boolean;
  readonly counters: Counters;
  /** The far ends are with the main thread's bus and with the other shards. */
  readonly links: readonly ThreadLink[];
  readonly actorFailed: (failure: ActorFailure) => void;
  readonly mailDied: (lost: LostMail) => void;
  readonly handshakeFailed: (error: Error) => void;
}

/** How much later than asked a shard may report that it is drained, or end, before its thread is ended. */
const DRAIN_GRACE_MS = 1_000;

/** Piscina infers this from another overload of `postMessage` than the one for ports. */
type TransferList = NonNullable<NonNullable<Parameters<Piscina["run"]>[1]>["transferList"]>;

type Phase = "starting" | "ready" | "stopping" | "ended";

/** One life of one shard, as the main thread sees it: from a free thread of the pool to that thread's end. */
export class ShardHandle implements Destination {
  readonly shard: number;
  readonly #counters: Counters;
  readonly #actorFailed: (failure: ActorFailure) => void;
  readonly #mailDied: (lost: LostMail) => void;
  readonly #handshakeFailed: (error: Error) => void;
  readonly #control: MessagePort;
  readonly #moves: boolean;
  readonly #handoff: HandoffSender<Arrival>;
  readonly #relay: RelaySender<Arrival>;
  readonly #unread: HandoffSender<UnreadArrival, ListenerNotice>;
  readonly #queries = new PendingQueries();
  readonly #abort = new AbortController();
  readonly #ready = Promise.withResolvers<void>();
  readonly #drained = Promise.withResolvers<DrainCounts>();
  #phase: Phase = "starting";
  /** Whether the actor module exports an `authorize`; known when it is ready. */
  authorizes = false;
  /** Resolves when the thread has ended or is free again; with what was lost, when that was not asked for. */
  readonly ended: Promise<ShardLoss | undefined>;

  constructor(
    pool: Piscina<ShardTask, ErrorReport | undefined>,
    { shard, actor, options, moves, counters, links, actorFailed, mailDied, handshakeFailed }: ShardSpec,
  ) {
    this.shard = shard;
    this.#counters = counters;
    this.#actorFailed = actorFailed;
    this.#mailDied = mailDied;
    this.#handshakeFailed = handshakeFailed;
    const control = new MessageChannel();
    const handoff = new MessageChannel();
    const relay = new MessageChannel();
    const unread = new MessageChannel();
    this.#control = control.port1;
    this.#control.on("message", (report: ShardReport) => this.#handle(report));
    this.#moves = moves;
    this.#handoff = new HandoffSender(handoff.port1);
    this.#relay = new RelaySender(relay.port1);
    this.#unread = new HandoffSender(unread.port1);
    const ports = [control.port2, handoff.port2, relay.port2, unread.port2, ...links.map((link) => link.port)];
    const task = {
      shard,
      actor,
      options,
      counters: counters.memory,
      control: control.port2,
      handoff: handoff.port2,
      relay: relay.port2,
      unread: unread.port2,
      links,
    };
    // Only the first start of a board waits for this; later failures are told by `ended`.
    this.#ready.promise.catch(() => {});
    const transferList = ports as unknown as TransferList;
    this.ended = this.#run(pool.run(task, { transferList, signal: this.#abort.signal }));
  }

  /** Resolves when the shard takes connections; rejects when it can't start, with the reason. */
  get ready(): Promise<void> {
    return this.#ready.promise;
  }

  get isReady(): boolean {
    return this.#phase === "ready";
  }

  get hasEnded(): boolean {
    return this.#phase === "ended";
  }

  /** Whether it takes sockets whose handshake is its own: also while it drains, to answer them with 503. */
  get takesUnread(): boolean {
    return this.#phase === "ready" || this.#phase === "stopping";
  }

  /** Connections here, in their handshake, or on their way. */
  get load(): number {
    const here = this.#counters.get("connections") + this.#counters.get("handshakes");
    return here + this.#handoff.inFlight + this.#relay.inFlight + this.#unread.inFlight;
  }

  handOff(socket: Duplex, head: Buffer, arrival: Arrival): Promise<HandoffResult> {
    if (this.#moves && isMovable(socket)) return this.#handoff.send(socket, head, arrival);
    return this.#relay.send(socket, head, arrival);
  }

  /** Says how the handshakes of a listener are done, from the next socket on. */
  configure(notice: ListenerNotice): void {
    this.#unread.tell(notice);
  }

  handOffUnread(socket: Socket, listener: number): Promise<HandoffResult> {
    return this.#unread.sendUnread(socket, { listener });
  }

  link(link: ThreadLink): void {
    this.#order({ kind: "link", link }, [link.port]);
  }

  /** Asks it about its connections; undefined when it ends before it has answered. */
  query<Query extends ShardQuery>(query: Query): Promise<QueryAnswers[Query["kind"]] | undefined> {
    return this.#queries.ask<Query["kind"]>((serial) => this.#order({ kind: "query", serial, query }));
  }

  /** Closes all its connections, and those that still arrive. A shard that doesn't even do that is ended. */
  async drain(timeoutMs: number): Promise<DrainCounts> {
    if (!this.hasEnded) this.#phase = "stopping";
    this.#order({ kind: "drain", timeoutMs });
    const timer = setTimeout(() => this.terminate(), timeoutMs + DRAIN_GRACE_MS);
    const counts = await this.#drained.promise;
    clearTimeout(timer);
    return counts;
  }

  /** Ends the shard when it is drained. */
  async stop(): Promise<void> {
    this.#order({ kind: "stop" });
    const timer = setTimeout(() => this.terminate(), DRAIN_GRACE_MS);
    await this.ended;
    clearTimeout(timer);
  }

  /** Ends the thread at once. Its peers see their connections close. */
  terminate(): void {
    this.#abort.abort();
  }

  #order(order: ShardOrder, transfer: MessagePort[] = []): void {
    this.#control.postMessage(order, transfer);
  }

  #handle(report: ShardReport): void {
    switch (report.kind) {
      case "ready":
        this.#phase = "ready";
        this.authorizes = report.authorizes;
        this.#ready.resolve();
        return;
      case "actorFailed":
        this.#actorFailed({ shard: this.shard, ...report, error: reviveError(report.error) });
        return;
      case "queryAnswered":
        this.#queries.settle(report.serial, report.answer);
        return;
      case "mailDied":
        this.#mailDied(report.lost);
        return;
      case "handshakeFailed":
        this.#handshakeFailed(reviveError(report.error));
        return;
      case "drained":
        this.#drained.resolve(report);
        return;
    }
  }

  async #run(task: Promise<ErrorReport | undefined>): Promise<ShardLoss | undefined> {
    let error: Error = new SwitchboardError("transport", "ERR_SHARD_LOST", "the shard's thread ended");
    try {
      const failure = await task;
      if (failure !== undefined) error = reviveError(failure);
    } catch (thrown) {
      error = thrown as Error;
    }
    const asked = this.#phase === "stopping";
    this.#phase = "ended";
    this.#queries.end();
    this.#control.close();
    this.#handoff.close();
    this.#relay.close();
    this.#unread.close();
    // Sockets that were in their handshake ended with the thread.
    this.#counters.upgrades.add("failed", this.#counters.get("handshakes"));
    this.#counters.set("handshakes", 0);
    const connections = this.#counters.get("connections");
    this.#counters.set("connections", 0);
    // Whoever still waits for this shard gets an answer. What was lost unasked was told as a loss.
    this.#drained.resolve({ closed: 0, dropped: asked ? connections : 0 });
    this.#ready.reject(error);
    return asked ? undefined : { shard: this.shard, connections, error };
  }
}
