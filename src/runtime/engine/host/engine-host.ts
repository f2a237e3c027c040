/** The engine thread's side of all clients: it gives the engine their calls, and gives them what the engine reports. */
import type { MessagePort } from "node:worker_threads";
import { noop } from "../../../wire/protocol/empty.ts";
import { EndOfTick } from "../../scheduling/end-of-tick.ts";
import { FairScheduler } from "../../scheduling/fair-scheduler.ts";
import type { Engine, EngineHealth, EngineOwner, HistoryLimits } from "../../streams/engine.ts";
import type { Position } from "../../streams/position.ts";
import type { TopicRules } from "../../streams/topic-rules.ts";
import { unavailable } from "../client/engine-session.ts";
import { type ClientCall, type EngineRequest, type HostNotice, isAboutState } from "../messages.ts";
import { EngineTakeover } from "../takeover/engine-takeover.ts";
import { StateGate } from "../takeover/state-gate.ts";
import { HostClient, type HostClientOwner, type HostSchedule } from "./host-client.ts";
import { HostRequests } from "./host-requests.ts";
import { HostTopic, type Interest } from "./host-topics.ts";
import { TopChecks } from "./top-checks.ts";

export interface EngineHostSettings {
  /** Bytes of deliveries that may be under way to one client. Default: 64 MiB. */
  readonly windowBytes?: number;
  /** Time in which the top of each wanted stream is checked once, in ms. Default: 30 s. */
  readonly checkEachMs?: number;
  /** Time between two reports of the gauges, in ms. Default: 1 s. */
  readonly gaugesEachMs?: number;
}

const DEFAULT_WINDOW_BYTES = 64 * 1024 * 1024;
const DEFAULT_GAUGES_EACH_MS = 1_000;

export class EngineHost {
  readonly engine: Engine;
  readonly rules: TopicRules;
  readonly #schedule: HostSchedule;
  readonly #clients = new Set<HostClient>();
  readonly #topics = new Map<string, HostTopic<HostClient>>();
  readonly #nodes = new Map<string, string>();
  readonly #checks: TopChecks<HostClient>;
  readonly #requests: HostRequests;
  readonly #takeover: EngineTakeover;
  readonly #gate: StateGate;
  readonly #gauges: NodeJS.Timeout;
  #health: EngineHealth = { status: "up" };
  /** Deliveries that were dropped for clients that are gone. */
  #droppedBefore = 0;

  /** @param node id of this node */
  constructor(engine: Engine, node: string, rules: TopicRules, settings: EngineHostSettings = {}) {
    this.engine = engine;
    this.rules = rules;
    this.#requests = new HostRequests(engine, rules, node, this.#clients);
    this.#gate = new StateGate({
      perform: (request) => this.#requests.perform(request),
      passOn: (serial, request) => this.#noticeMain({ kind: "passedOn", serial, request }),
    });
    this.#takeover = new EngineTakeover({
      engine,
      gate: this.#gate,
      topicNames: () => [...this.#topics.keys()],
      keepTopic: (name) => this.#keepTopic(name),
      letGoOfTopic: (name) => this.#letGoOf(name),
    });
    const { windowBytes = DEFAULT_WINDOW_BYTES, checkEachMs, gaugesEachMs = DEFAULT_GAUGES_EACH_MS } = settings;
    this.#schedule = { turns: new FairScheduler(), endOfTick: new EndOfTick(), windowBytes };
    this.#checks = new TopChecks(this.#topics, (topic) => this.#checkTop(topic), this.#schedule.turns, checkEachMs);
    this.#gauges = setInterval(() => {
      this.#tellMain("gauges", { kind: "gaugesTold", gauges: this.gauges() });
    }, gaugesEachMs);
    this.#gauges.unref();
  }

  /** Serves a client. The client of the main thread is told about health, nodes and control messages. */
  addClient(port: MessagePort, isMain: boolean): void {
    const client = new HostClient(port, isMain, this.#schedule, this.#clientOwner);
    this.#clients.add(client);
    if (!isMain) return;
    client.stateNotice("health", { kind: "healthChanged", health: this.#health });
    for (const [id, facts] of this.#nodes) client.stateNotice(`node ${id}`, { kind: "nodeChanged", id, facts });
  }

  /** Gauges of the engine, and those of the host. */
  gauges(): Readonly<Record<string, number>> {
    let dropped = this.#droppedBefore;
    for (const client of this.#clients) dropped += client.dropped;
    return {
      ...this.engine.gauges(),
      clients: this.#clients.size,
      wanted_topics: this.#topics.size,
      deliveries_dropped: dropped,
    };
  }

  /** Does what clients have asked for so far, stops the engine, then closes the ports of all clients. */
  async stop(): Promise<void> {
    this.#checks.stop();
    clearInterval(this.#gauges);
    for (const client of this.#clients) client.takeAll();
    await this.#gate.close();
    this.#requests.endLettingGo();
    try {
      await this.engine.stop();
    } finally {
      for (const client of this.#clients) client.close();
    }
  }

  /** Callbacks for the engine. */
  readonly engineOwner: EngineOwner = {
    published: (name, epoch, record) => {
      const topic = this.#topics.get(name);
      if (topic === undefined) return;
      topic.published(epoch, record.offset);
      for (const interest of topic.interests) {
        if (interest.isKnown) interest.client.deliver(interest, epoch, record);
      }
    },
    relayed: (name, frame) => {
      for (const interest of this.#topics.get(name)?.interests ?? []) {
        if (interest.isKnown) interest.client.relay(interest, frame);
      }
    },
    interrupted: (name) => {
      if (this.rules.of(name)?.history === undefined) return;
      for (const interest of this.#topics.get(name)?.interests ?? []) {
        if (interest.isKnown) interest.client.noticeOf(interest, { kind: "interrupted", number: interest.number });
      }
    },
    presenceChanged: (change) => {
      for (const interest of this.#topics.get(change.topic)?.interests ?? []) {
        if (!interest.presence || !interest.isKnown) continue;
        interest.client.noticeOf(interest, { kind: "presenceChanged", number: interest.number, change });
      }
    },
    doubted: () => {
      for (const topic of this.#topics.values()) {
        this.#checks.add(topic);
        for (const interest of topic.interests) this.#doubtPresence(interest);
      }
    },
    healthChanged: (health) => {
      this.#health = health;
      this.#tellMain("health", { kind: "healthChanged", health });
    },
    controlReceived: (from, message) => {
      this.#noticeMain({ kind: "controlReceived", from, message });
    },
    nodeChanged: (id, facts) => {
      if (facts === undefined) this.#nodes.delete(id);
      else this.#nodes.set(id, facts);
      this.#tellMain(`node ${id}`, { kind: "nodeChanged", id, facts });
    },
  };

  /** Callbacks and data for a client. */
  get #clientOwner(): HostClientOwner {
    return {
      engine: this.engine,
      rules: this.rules,
      gate: this.#gate,
      called: (client, call) => this.#called(client, call),
      roomAgain: (interests) => {
        for (const interest of interests) {
          this.#checks.add(interest.topic);
          this.#doubtPresence(interest);
        }
      },
      clientGone: (client) => this.#clientGone(client),
    };
  }

  /** Tells the main thread the newest of a state. */
  #tellMain(state: string, notice: HostNotice): void {
    for (const client of this.#clients) if (client.isMain) client.stateNotice(state, notice);
  }

  #noticeMain(notice: HostNotice): void {
    for (const client of this.#clients) if (client.isMain) client.notice(notice);
  }

  #called(client: HostClient, call: ClientCall): void {
    switch (call.kind) {
      case "passedBack":
        this.#gate.passedBack(call);
        return;
      case "request":
        void this.#answer(client, call.serial, call.request);
        return;
      case "life":
        client.life = call.life;
        return;
      case "cut":
        for (const one of this.#clients) {
          if (one === client || one.life === call.from) one.notice({ ...call, kind: "marked" });
        }
        return;
      case "letGo":
        this.#requests.letGo(client, call.address, call.topics);
        return;
      case "unwant": {
        const interest = client.interests.get(call.topic);
        if (interest !== undefined) this.#drop(interest);
        return;
      }
    }
  }

  async #answer(client: HostClient, serial: number, request: EngineRequest): Promise<void> {
    try {
      // A want is answered in the same step in which deliveries begin.
      if (request.kind === "want") await this.#want(client, serial, request);
      else if (request.kind === "takeover") client.answer(serial, await this.#takeover.do(request.step));
      else if (isAboutState(request)) client.answer(serial, await this.#gate.do(request));
      else client.answer(serial, await this.#requests.do(client, request));
    } catch (error) {
      client.refuse(serial, error);
    }
  }

  async #want(
    client: HostClient,
    serial: number,
    { topic: name, number, presence }: Extract<EngineRequest, { kind: "want" }>,
  ): Promise<void> {
    const topic = this.#topics.get(name) ?? this.#addTopic(name);
    const known = client.interests.get(name);
    const interest = known ?? { client, topic, number, presence, isKnown: false, epoch: "", isInterrupted: false };
    interest.number = number;
    interest.presence = presence;
    client.interests.set(name, interest);
    topic.interests.add(interest);
    try {
      await topic.ready;
      const limits = this.rules.of(name)?.history;
      const top = limits && (await topic.follow(() => this.#readTop(name, limits, true)));
      interest.isKnown = true;
      interest.epoch = top?.epoch ?? "";
      client.answer<"want">(serial, top);
    } catch (error) {
      this.#drop(interest);
      throw error;
    }
  }

  #addTopic(name: string): HostTopic<HostClient> {
    const topic = new HostTopic<HostClient>(name, this.#wantFromEngine(name));
    this.#topics.set(name, topic);
    return topic;
  }

  async #keepTopic(name: string): Promise<void> {
    const topic = this.#topics.get(name) ?? this.#addTopic(name);
    topic.isKept = true;
    try {
      await topic.ready;
    } catch (error) {
      this.#letGoOf(name);
      throw error;
    }
    const limits = this.rules.of(name)?.history;
    // A read that fails is made again when a client wants the topic.
    if (limits !== undefined) await topic.follow(() => this.#readTop(name, limits, true)).catch(noop);
  }

  #letGoOf(name: string): void {
    const topic = this.#topics.get(name);
    if (topic === undefined) return;
    topic.isKept = false;
    if (topic.interests.size === 0) this.#unwant(topic);
    else if (topic.isCheckDue) this.#checks.add(topic);
    topic.isCheckDue = false;
  }

  async #wantFromEngine(name: string): Promise<void> {
    await this.engine.want(name);
  }

  /** Ends the interest of a client; and, with the last one, that of this node. */
  #drop(interest: Interest<HostClient>): void {
    const { client, topic } = interest;
    if (!topic.interests.delete(interest)) return;
    client.interests.delete(topic.name);
    client.forget(interest);
    if (topic.interests.size === 0 && !topic.isKept) this.#unwant(topic);
  }

  #unwant(topic: HostTopic<HostClient>): void {
    this.#topics.delete(topic.name);
    this.#checks.delete(topic);
    this.engine.unwant(topic.name);
  }

  /**
   * Reads the top. Everything up to it has been reported then.
   *
   * @param mayMiss false to throw if publications may be lost before the top
   */
  async #readTop(name: string, limits: HistoryLimits, mayMiss: boolean): Promise<Position> {
    const { top } = await this.engine.history(name, { limit: 0 }, limits);
    const isReported = (await this.engine.reported?.(name)) ?? true;
    if (!isReported && !mayMiss) throw unavailable("the engine's reports are interrupted");
    return top;
  }

  async #checkTop(topic: HostTopic<HostClient>): Promise<void> {
    const limits = this.rules.of(topic.name)?.history;
    if (limits === undefined) return;
    // Messages that wait in the engine would look like a loss.
    topic.isCheckDue = topic.isKept;
    if (topic.isKept) return;
    const top = await topic.readTop(() => this.#readTop(topic.name, limits, false));
    for (const interest of topic.interests) {
      const { client, number, isKnown } = interest;
      if (isKnown) client.noticeOf(interest, { kind: "topTold", number, top });
    }
  }

  #doubtPresence(interest: Interest<HostClient>): void {
    const { client, number, presence, isKnown } = interest;
    if (presence && isKnown) client.notice({ kind: "presenceDoubted", number });
  }

  #clientGone(client: HostClient): void {
    this.#clients.delete(client);
    this.#droppedBefore += client.dropped;
    for (const interest of [...client.interests.values()]) this.#drop(interest);
    this.#requests.leaveAll(client);
  }
}
