/** The topics of a board, in the main thread: its end of the bus, its way to the engine, and the engine's health. */
import type { MessagePort } from "node:worker_threads";
import { reportError, SwitchboardError } from "../../errors.ts";
import { Bus } from "../../runtime/bus/bus.ts";
import { EngineClient } from "../../runtime/engine/client/engine-client.ts";
import type { StateAnswer, StateRequest } from "../../runtime/engine/messages.ts";
import { Topics } from "../../runtime/feeds/topics.ts";
import type { EngineHealth } from "../../runtime/streams/engine.ts";
import { TopicRules } from "../../runtime/streams/topic-rules.ts";
import { builtins } from "../../wire/node-internals/builtins.ts";
import { noop } from "../../wire/protocol/empty.ts";
import type { OtherProcess } from "../takeover/messages.ts";
import type { EngineSettings } from "./options/start-options.ts";

export interface BoardTopicsOwner {
  /** The engine's health isn't what it was. */
  engineHealthChanged(health: EngineHealth): void;
  /** The engine thread has ended, and everything that it knew of other nodes. */
  engineLost(): void;
  /** A control message has come from another node. */
  controlReceived(from: string, message: string): void;
  /** A node has appeared, has changed its facts, or is gone (`facts` is then undefined). */
  nodeChanged(id: string, facts: string | undefined): void;
}

/** The engine as operators see it. */
export interface EngineState extends EngineHealth {
  /** Name of the engine: `memory`, `redis`. */
  readonly name: string;
}

/** The engine with its gauges. */
export interface EngineStats extends EngineState {
  /** Gauges of the engine by name, at most a second old. */
  readonly gauges: Readonly<Record<string, number>>;
}

const THREAD_LOST: EngineHealth = { status: "down", reason: "the engine thread has ended" };
const BOARD_CLOSED: EngineHealth = { status: "down", reason: "the board is closed" };

export class BoardTopics {
  /** Id of this process in a cluster. */
  readonly node = builtins.crypto.randomBytes(6).toString("base64url");
  readonly bus: Bus;
  readonly topics: Topics;
  readonly #client: EngineClient | undefined;
  readonly #name: string;
  readonly #owner: BoardTopicsOwner;
  #health: EngineHealth = { status: "up" };
  #gauges: Readonly<Record<string, number>> = {};
  #isShared = false;
  #isClosing = false;
  /** Other nodes whose control messages this one takes. */
  #aliases: readonly string[] = [];
  /** Publishes of the board that were dropped because a shard was too far behind. */
  publishesDropped = 0;
  /** Publications of the board that the engine didn't store for certain. */
  publishesFailed = 0;
  /**
   * The other process of a takeover, which answers requests about streams and presence when the engine thread says so.
   */
  elsewhere: OtherProcess | undefined;

  constructor(settings: EngineSettings | undefined, owner: BoardTopicsOwner) {
    this.#owner = owner;
    this.#name = settings?.spec.name ?? "none";
    this.bus = new Bus({ publishDropped: () => this.publishesDropped++ });
    if (settings === undefined) {
      this.topics = new Topics(this.bus, undefined);
      return;
    }
    const client = new EngineClient({
      publishFailed: () => this.publishesFailed++,
      engineLost: () => {
        if (this.#isClosing) this.#closeClient();
        else this.#changeHealth(THREAD_LOST);
        owner.engineLost();
      },
      controlReceived: (from, message) => owner.controlReceived(from, message),
      nodeChanged: (id, facts) => owner.nodeChanged(id, facts),
      healthChanged: (health) => this.#changeHealth(health),
      gaugesTold: (gauges) => {
        this.#gauges = gauges;
      },
      passedOn: (serial, request) => void this.#passOn(client, serial, request),
    });
    this.#client = client;
    const isShared = (): boolean => this.#isShared;
    this.topics = new Topics(this.bus, {
      client,
      rules: new TopicRules(settings.rules),
      get isShared() {
        return isShared();
      },
    });
  }

  /** Gives the main thread its way to the engine thread: first, and again whenever that was replaced. */
  connectEngine(port: MessagePort, isShared: boolean): void {
    this.#isShared = isShared;
    this.#client?.connect(port);
    if (this.#aliases.length > 0) void this.#listenForAliases();
  }

  /** Takes control messages to other nodes as well, for good. */
  async answerFor(nodes: readonly string[]): Promise<void> {
    this.#aliases = nodes;
    await this.#listenForAliases();
  }

  async #listenForAliases(): Promise<void> {
    await this.#client?.takeover({ kind: "answerFor", nodes: this.#aliases }).catch(noop);
  }

  /** Format in which the engine gives its state to another process; undefined if it gives none, or doesn't work now. */
  async stateFormat(): Promise<string | undefined> {
    return (await this.#client?.takeover({ kind: "format" }).catch(() => undefined))?.format;
  }

  /** Answers a request of the other process of a takeover. */
  async answer(request: StateRequest): Promise<StateAnswer> {
    if (this.#client === undefined) throw new SwitchboardError("ERR_ENGINE_UNAVAILABLE", "the board has no engine");
    return this.#client.doPassed(request);
  }

  /** Lets the other process of a takeover answer. */
  async #passOn(client: EngineClient, serial: number, request: StateRequest): Promise<void> {
    try {
      client.passedBack(serial, { answer: (await this.elsewhere?.ask(request)) as StateAnswer });
    } catch (error) {
      const isGone = error instanceof SwitchboardError && error.code === "ERR_TAKEOVER_LOST";
      const told = isGone ? new SwitchboardError("ERR_ENGINE_UNAVAILABLE", error.message) : error;
      client.passedBack(serial, { error: reportError(told) });
    }
  }

  /** The way to the engine; undefined if the board has none. */
  get client(): EngineClient | undefined {
    return this.#client;
  }

  /** True if other nodes may run the same engine. Known once the engine has started. */
  get isShared(): boolean {
    return this.#isShared;
  }

  /** True while the engine works. */
  get isUp(): boolean {
    return this.#health.status === "up";
  }

  /** Beginning of the addresses of this node's actors: "" if no other node may run the same engine. */
  get addressPrefix(): string {
    return this.#isShared ? `${this.node}.` : "";
  }

  /** Resolves when all that this thread has published, and all mail that it has sent, has arrived. */
  async settled(): Promise<void> {
    // Mail of other nodes comes by the engine thread, and goes on to the shards.
    await this.#client?.settled();
    await this.bus.settled();
  }

  /**
   * Sends a control message to another node, at most once.
   *
   * @param waits true if the message waits while another process takes that node's connections over
   */
  sendControl(to: string, message: string, waits: boolean): void {
    this.#client?.sendControl(to, message, waits);
  }

  /** Sets what this node tells others about itself, as JSON. */
  announce(facts: string): void {
    this.#client?.announce(facts);
  }

  /** The engine and its health; undefined if the board has none. */
  get engine(): EngineState | undefined {
    return this.#client && { name: this.#name, ...this.#health };
  }

  get engineStats(): EngineStats | undefined {
    return this.engine && { ...this.engine, gauges: this.#gauges };
  }

  /** Resolves when the engine has answered every call of this thread so far. */
  async answered(): Promise<void> {
    await this.#client?.answered();
  }

  /** The engine is about to be stopped: its end is no failure. */
  closing(): void {
    this.#isClosing = true;
  }

  close(): void {
    this.bus.close();
    this.#closeClient();
  }

  /** Ends the way to the engine for good, without an event. Calls reject with `ERR_CLOSED` from now on. */
  #closeClient(): void {
    this.#client?.close();
    this.#health = BOARD_CLOSED;
  }

  #changeHealth(health: EngineHealth): void {
    if (this.#isClosing) return;
    const before = this.#health;
    const isUp = health.status === "up";
    const isNews = isUp !== this.isUp || (isUp && health.reason !== before.reason);
    this.#health = health;
    // While the engine isn't up, the reason may change with each attempt to connect again.
    if (isNews) this.#owner.engineHealthChanged(health);
  }
}
