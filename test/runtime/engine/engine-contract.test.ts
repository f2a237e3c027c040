/**
 * The suite of engines over the memory engine behind a host and a client: what holds for an engine holds for a shard.
 */
import { MessageChannel } from "node:worker_threads";
import { EngineClient } from "../../../src/runtime/engine/client/engine-client.ts";
import { EngineHost } from "../../../src/runtime/engine/host/engine-host.ts";
import type {
  Engine,
  EngineOwner,
  EnginePublish,
  EnginePublished,
  HistoryLimits,
  HistoryRange,
  HistoryRead,
  Member,
  PresenceLimits,
  PresenceStats,
} from "../../../src/runtime/streams/engine.ts";
import { createMemoryEngine } from "../../../src/runtime/streams/memory/memory-engine.ts";
import type { StreamRecord } from "../../../src/runtime/streams/publication.ts";
import { type TopicRule, TopicRules } from "../../../src/runtime/streams/topic-rules.ts";
import { noop } from "../../../src/wire/protocol/empty.ts";
import type { Frame } from "../../../src/wire/protocol/frame.ts";
import { describeEngine } from "../streams/engine-contract.ts";

const HISTORY: HistoryLimits = { size: 100, ttlMs: 600_000, metaTtlMs: 3_600_000 };
const PRESENCE: PresenceLimits = { leaveGraceMs: 0, changes: true };

/** Rules that follow the limits of each call, as the suite gives them. */
class CallersRules extends TopicRules {
  readonly #limits = new Map<string, { history: HistoryLimits; presence: PresenceLimits }>();
  readonly #plain = new Set<string>();

  set(topic: string, limits: { history?: HistoryLimits; presence?: PresenceLimits }): void {
    // The host keeps the limits of a topic that has a number.
    Object.assign(this.#of(topic).history, limits.history);
    Object.assign(this.#of(topic).presence, limits.presence);
  }

  /** Leaves a topic without history. */
  setPlain(topic: string): void {
    this.#plain.add(topic);
  }

  override of(topic: string): TopicRule {
    const { history, presence } = this.#of(topic);
    return this.#plain.has(topic)
      ? { pattern: topic, history: undefined, presence }
      : { pattern: topic, history, presence };
  }

  #of(topic: string): { history: HistoryLimits; presence: PresenceLimits } {
    let limits = this.#limits.get(topic);
    if (limits === undefined) {
      limits = { history: { ...HISTORY }, presence: { ...PRESENCE } };
      this.#limits.set(topic, limits);
    }
    return limits;
  }
}

/** A client that looks like an engine. */
class ClientEngine implements Engine {
  readonly isShared = false;
  readonly #engine: Engine;
  readonly #rules = new CallersRules([]);
  readonly #host: EngineHost;
  #client: EngineClient | undefined;
  #owner: EngineOwner | undefined;

  constructor(engine: Engine, node: string) {
    this.#engine = engine;
    this.#host = new EngineHost(engine, node, this.#rules);
  }

  async start(owner: EngineOwner): Promise<void> {
    this.#owner = owner;
    await this.#engine.start(this.#host.engineOwner);
    const { port1, port2 } = new MessageChannel();
    this.#host.addClient(port2, true);
    this.#client = new EngineClient(owner);
    this.#client.connect(port1);
  }

  publish(topic: string, { frame, ...options }: EnginePublish, history: HistoryLimits): Promise<EnginePublished> {
    this.#rules.set(topic, { history });
    return this.#connected.publish(topic, frame, options);
  }

  history(topic: string, range: HistoryRange, history: HistoryLimits): Promise<HistoryRead> {
    this.#rules.set(topic, { history });
    return this.#connected.history(topic, range);
  }

  removeHistory(topic: string, history: HistoryLimits): Promise<void> {
    this.#rules.set(topic, { history });
    return this.#connected.removeHistory(topic);
  }

  relay(topic: string, frame: Frame): void {
    this.#rules.setPlain(topic);
    this.#connected.relay(topic, frame);
  }

  async want(topic: string): Promise<void> {
    const owner = this.#owner;
    if (owner === undefined) throw new Error("start comes first");
    const feed = {
      published: (record: StreamRecord, epoch: string) => owner.published(topic, epoch, record),
      topTold: noop,
      relayed: (frame: Frame) => owner.relayed(topic, frame),
      presenceChanged: owner.presenceChanged.bind(owner),
      interrupted: noop,
      presenceDoubted: noop,
    };
    await this.#connected.want(topic, feed, { presence: true });
  }

  unwant(topic: string): void {
    this.#connected.unwant(topic);
  }

  join(topic: string, member: Member, presence: PresenceLimits): Promise<void> {
    this.#rules.set(topic, { presence });
    return this.#connected.join(topic, member);
  }

  leave(topic: string, address: string, presence: PresenceLimits): Promise<void> {
    this.#rules.set(topic, { presence });
    return this.#connected.leave(topic, address);
  }

  letGo(topic: string, address: string): void {
    this.#connected.letGo(address, [topic]);
  }

  members(topic: string, limit: number): Promise<readonly Member[]> {
    return this.#connected.members(topic, limit);
  }

  memberStats(topic: string): Promise<PresenceStats> {
    return this.#connected.memberStats(topic);
  }

  sendControl(to: string | undefined, message: string): void {
    this.#connected.sendControl(to, message);
  }

  announce(facts: string): void {
    this.#connected.announce(facts);
  }

  gauges(): Readonly<Record<string, number>> {
    return this.#host.gauges();
  }

  /** The host closes the ports of its clients. A client that is closed itself answers as a closed board does. */
  async stop(): Promise<void> {
    await this.#host.stop();
  }

  get #connected(): EngineClient {
    if (this.#client === undefined) throw new Error("start comes first");
    return this.#client;
  }
}

describeEngine({
  name: "memory, behind a host and a client,",
  traits: { isShared: false, hasClock: true, modelRuns: 30 },
  create: () => {
    let nowMs = Date.now();
    return {
      create: (node) =>
        new ClientEngine(
          createMemoryEngine(undefined, node, () => nowMs),
          node,
        ),
      pass: async (ms) => {
        nowMs += ms;
      },
      close: noop,
    };
  },
});
