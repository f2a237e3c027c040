/**
 * One thread's way to the engine: each shard has a client, and the main thread. The host in the engine thread is at the
 * other end of its port.
 */
import type { MessagePort } from "node:worker_threads";
import { type ErrorReport, SwitchboardError } from "../../../errors.ts";
import { noop } from "../../../wire/protocol/empty.ts";
import type { Frame } from "../../../wire/protocol/frame.ts";
import { unpackRecords } from "../../bus/batch.ts";
import { EndOfTick } from "../../scheduling/end-of-tick.ts";
import { FairScheduler } from "../../scheduling/fair-scheduler.ts";
import type {
  EngineHealth,
  EnginePublished,
  HistoryRange,
  HistoryRead,
  Member,
  PresenceStats,
} from "../../streams/engine.ts";
import type { Position } from "../../streams/position.ts";
import type {
  EngineAnswers,
  EngineRequest,
  HostNotice,
  LocalMember,
  PackedRead,
  StateAnswer,
  StateRequest,
} from "../messages.ts";
import type { TakeoverAnswers, TakeoverStep } from "../takeover/steps.ts";
import { AnnouncedFacts } from "./announced-facts.ts";
import {
  type EngineClientSettings,
  EngineSession,
  rejected,
  type SessionOwner,
  type SessionSchedule,
  unavailable,
} from "./engine-session.ts";
import type { JoiningAgain } from "./join-batches.ts";
import { JoinedMembers } from "./joined-members.ts";
import { MergedReads } from "./merged-reads.ts";
import { type StreamFeed, WantedTopics } from "./wanted-topics.ts";

/** The listener of an engine client. Only the client of the main thread is told of health, nodes and gauges. */
export interface EngineClientOwner {
  /** A publication isn't stored for certain, or a message for other nodes was dropped. */
  publishFailed?(): void;
  /** The engine thread has ended. Calls reject until `connect`. */
  engineLost?(): void;
  healthChanged?(health: EngineHealth): void;
  controlReceived?(from: string, message: string): void;
  /** A node has appeared, has changed its facts, or is gone (`facts` is then undefined). */
  nodeChanged?(id: string, facts: string | undefined): void;
  /** Gauges of the engine and its host, once a second. */
  gaugesTold?(gauges: Readonly<Record<string, number>>): void;
  /** The host has made its cut for a move: see `cut`. */
  marked?(from: number, move: number): void;
  /** The other process of a takeover is to answer: see `passedBack`. Only in the main thread. */
  passedOn?(serial: number, request: StateRequest): void;
}

export interface PublishOptions {
  readonly idempotencyKey?: string | undefined;
  /** Time after which the publication isn't handed out any more, in ms. */
  readonly expiresMs?: number | undefined;
  /** False: the publication isn't stored, and its offset is 0. Without other options. Default: true. */
  readonly store?: boolean | undefined;
}

const NO_OPTIONS: PublishOptions = {};
/** Time for a step of a takeover, in ms. An engine that can't be reached is told earlier, by its health. */
const STEP_TIMEOUT_MS = 30_000;

/**
 * Every call that returns a promise rejects with `ERR_ENGINE_UNAVAILABLE` while no engine thread is connected, when the
 * thread ends first, and after 5 s without an answer; with `ERR_ENGINE_FULL` while too much is under way; and with the
 * engine's own error. After such a rejection of `publish`, the publication may still have been stored. After `close`
 * every call rejects with `ERR_CLOSED`.
 */
export class EngineClient {
  readonly #owner: EngineClientOwner;
  readonly #settings: EngineClientSettings;
  readonly #schedule: SessionSchedule;
  readonly #wanted = new WantedTopics(() => this.#session);
  readonly #members = new JoinedMembers(() => this.#session);
  readonly #reads: MergedReads;
  #session: EngineSession | undefined;
  readonly #facts = new AnnouncedFacts(() => this.#session);
  #isClosed = false;

  /** @param turns for what arrives */
  constructor(owner: EngineClientOwner = {}, settings: EngineClientSettings = {}, turns = new FairScheduler()) {
    this.#owner = owner;
    this.#settings = settings;
    this.#schedule = { turns, endOfTick: new EndOfTick() };
    this.#reads = new MergedReads(
      async (topic, offset) => unpack(await this.#request({ kind: "readSince", topic, offset })),
      this.#schedule.endOfTick,
    );
  }

  /** True while an engine thread is connected. */
  get isConnected(): boolean {
    return this.#session !== undefined;
  }

  /**
   * Connects to the engine thread: first, and again whenever the thread was replaced. All topics that are wanted are
   * then wanted again, and their feeds are told the top; all members join again.
   */
  connect(port: MessagePort): void {
    this.#session?.close();
    this.#reads.forget();
    const session = new EngineSession(port, this.#sessionOwner, this.#schedule, this.#settings);
    this.#session = session;
    if (this.#settings.life !== undefined) session.call({ kind: "life", life: this.#settings.life });
    this.#facts.renew(session);
    this.#members.renewAll();
    this.#wanted.renewAll(session);
  }

  /** Posts what is left and closes the port. The members of this thread leave. Calls reject with `ERR_CLOSED` then. */
  close(): void {
    this.#isClosed = true;
    this.#session?.close();
    this.#session = undefined;
  }

  /**
   * Publishes to a topic with history. Publishes of one client keep their order. A rejection that nobody awaits does no
   * harm: `publishFailed` tells.
   */
  publish(topic: string, frame: Frame, options: PublishOptions = NO_OPTIONS): Promise<EnginePublished> {
    const session = this.#session;
    if (session === undefined) {
      this.#owner.publishFailed?.();
      return rejected(this.#notConnected());
    }
    const { idempotencyKey, expiresMs, store } = options;
    if (idempotencyKey === undefined && expiresMs === undefined) return session.publish(topic, frame, store);
    const bytes = frame.block.subarray(frame.start, frame.end);
    const own = Uint8Array.from(bytes);
    const request = { kind: "publish" as const, topic, bytes: own, idempotencyKey, expiresMs, store: true };
    const stored = session.request<"publish">(request);
    stored.catch(() => this.#owner.publishFailed?.());
    return stored;
  }

  /**
   * Resolves when the engine has everything that this thread has sent, and this thread has handled what came before; or
   * when the engine thread can't be reached.
   */
  async settled(): Promise<void> {
    this.#members.flush();
    await this.#session?.request({ kind: "settle" }).catch(noop);
  }

  /** Resolves when every call of this thread so far has been answered, or rejected. */
  async answered(): Promise<void> {
    await this.#session?.answered();
  }

  /** Sends a message without history to other nodes. Returns false if the message was dropped. */
  relay(topic: string, frame: Frame): boolean {
    const isSent = this.#session?.relay(topic, frame) ?? false;
    if (!isSent) this.#owner.publishFailed?.();
    return isSent;
  }

  /** Reads a part of a stream: at most as many publications as the topic's rule keeps. */
  async history(topic: string, range: HistoryRange): Promise<HistoryRead> {
    return unpack(await this.#request({ kind: "history", topic, range }));
  }

  /**
   * Reads everything after `offset` that the stream keeps. Many subscribers that ask within a moment share a few reads,
   * and the records.
   */
  readSince(topic: string, offset: number): Promise<HistoryRead> {
    return this.#reads.read(topic, offset, this.#wanted.arrived(topic));
  }

  /**
   * Reads like `readSince`, with a read that begins after the call: the newest publication that arrived doesn't tell
   * the stream's top.
   */
  readAnew(topic: string, offset: number): Promise<HistoryRead> {
    return this.#reads.read(topic, offset, undefined);
  }

  /** Removes the publications of a stream. The epoch and the top stay. */
  async removeHistory(topic: string): Promise<void> {
    await this.#request({ kind: "removeHistory", topic });
    this.#reads.forget(topic);
  }

  /**
   * Wants a topic. Resolves with the top when every later publication will arrive; with undefined for a topic without
   * history. A second call replaces the feed. After a rejection the topic isn't wanted.
   *
   * @param options `presence`: true if the feed is told changes of presence
   */
  async want(topic: string, feed: StreamFeed, { presence }: { presence: boolean }): Promise<Position | undefined> {
    const session = this.#session;
    if (session === undefined) throw this.#notConnected();
    return this.#wanted.want(session, topic, feed, presence);
  }

  /** Ends what `want` began. The feed is not called any more. */
  unwant(topic: string): void {
    this.#wanted.unwant(topic);
  }

  /** Returns the member that this thread has joined with an address. */
  joinedMember(topic: string, address: string): LocalMember | undefined {
    return this.#members.get(topic, address);
  }

  /** Adds a member, or replaces the member with this address. If that fails, the replaced member stays. */
  async join(topic: string, member: LocalMember): Promise<void> {
    const session = this.#session;
    if (session === undefined) throw this.#notConnected();
    return this.#members.join(session, topic, member);
  }

  /** Adds a member that comes from another process. @param joining is told if it can't join */
  joinAgain(topic: string, member: LocalMember, joining: JoiningAgain): void {
    this.#members.joinAgain(topic, member, joining);
  }

  leave(topic: string, address: string): Promise<void> {
    return this.#members.leave(topic, address);
  }

  /** A connection joins its topics again in another thread or process: presence shows no leave. */
  letGo(address: string, topics: readonly string[]): void {
    this.#members.letGo(address, topics);
  }

  /**
   * Asks for a cut of a move from the thread `from` to this one. Both threads are told `marked`, in line with what the
   * host delivers. A thread whose engine thread ends meanwhile isn't told.
   */
  cut(from: number, move: number): void {
    this.#session?.call({ kind: "cut", from, move });
  }

  /** Makes a step of a takeover, for which the engine thread has 30 s. Only for the main thread. */
  async takeover<Kind extends TakeoverStep["kind"]>(
    step: Extract<TakeoverStep, { kind: Kind }>,
  ): Promise<TakeoverAnswers[Kind]> {
    if (this.#session === undefined) throw this.#notConnected();
    const answer = await this.#session.request({ kind: "takeover", step }, undefined, STEP_TIMEOUT_MS);
    return answer as TakeoverAnswers[Kind];
  }

  /** Asks for something on behalf of the other process of a takeover. */
  doPassed(request: StateRequest): Promise<StateAnswer> {
    return this.#request(request);
  }

  /** The other process has answered what `passedOn` asked. */
  passedBack(serial: number, answered: { readonly answer: StateAnswer } | { readonly error: ErrorReport }): void {
    this.#session?.call({ kind: "passedBack", serial, ...answered });
  }

  members(topic: string, limit: number): Promise<readonly Member[]> {
    return this.#request({ kind: "members", topic, limit });
  }

  memberStats(topic: string): Promise<PresenceStats> {
    return this.#request({ kind: "memberStats", topic });
  }

  /**
   * Sends a control message to one node, or to all: at most once, and not at all while the engine thread can't take it.
   * Only for the main thread.
   *
   * @param waits true for a message that waits at a cut: see `EngineCuts`
   */
  sendControl(to: string | undefined, message: string, waits = false): void {
    this.#request({ kind: "sendControl", to, message, waits }).catch(noop);
  }

  /**
   * Sets what this node tells others about itself, as JSON; also for the next engine thread. Only for the main thread.
   */
  announce(facts: string): void {
    this.#facts.set(facts);
  }

  async #request<Kind extends EngineRequest["kind"]>(
    request: Extract<EngineRequest, { kind: Kind }>,
  ): Promise<EngineAnswers[Kind]> {
    if (this.#session === undefined) throw this.#notConnected();
    return this.#session.request<Kind>(request);
  }

  #notConnected(): Error {
    if (this.#isClosed) return new SwitchboardError("ERR_CLOSED", "this board is closed");
    return unavailable("the engine thread is not running");
  }

  readonly #sessionOwner: SessionOwner = {
    delivered: (number, record) => this.#wanted.delivered(number, record),
    noticed: (notice) => this.#noticed(notice),
    publishFailed: () => this.#owner.publishFailed?.(),
    sessionEnded: (session) => {
      if (this.#session !== session) return;
      this.#session = undefined;
      this.#owner.engineLost?.();
    },
  };

  #noticed(notice: Exclude<HostNotice, { kind: "answered" | "refused" }>): void {
    switch (notice.kind) {
      case "controlReceived":
        this.#owner.controlReceived?.(notice.from, notice.message);
        return;
      case "nodeChanged":
        this.#owner.nodeChanged?.(notice.id, notice.facts);
        return;
      case "healthChanged":
        this.#owner.healthChanged?.(notice.health);
        return;
      case "gaugesTold":
        this.#owner.gaugesTold?.(notice.gauges);
        return;
      case "marked":
        this.#owner.marked?.(notice.from, notice.move);
        return;
      case "passedOn":
        this.#owner.passedOn?.(notice.serial, notice.request);
        return;
      default:
        this.#wanted.noticed(notice);
    }
  }
}

function unpack({ top, batch }: PackedRead): HistoryRead {
  return { top, records: unpackRecords(batch) };
}
