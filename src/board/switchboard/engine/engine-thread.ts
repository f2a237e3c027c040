/** The engine thread of a board, as the main thread sees it: started once, and replaced when it dies or is blocked. */
import { MessageChannel, type MessagePort } from "node:worker_threads";
import type { EngineSpec } from "../../../runtime/streams/engine.ts";
import type { TopicRule } from "../../../runtime/streams/topic-rules.ts";
import { Restarts } from "../pool/restarts.ts";
import type { ShardThreads } from "../pool/shard-threads.ts";
import { EngineLife, type EngineTimeouts } from "./engine-life.ts";

export interface EngineThreadSettings extends EngineTimeouts {
  readonly engine: EngineSpec;
  /** Id of this node. */
  readonly node: string;
  readonly rules: readonly TopicRule[];
}

export interface EngineThreadOwner {
  /**
   * The thread ended unexpectedly, was ended because its event loop was blocked, or its engine couldn't start again.
   * All clients have seen their ports close.
   */
  engineLost(error: Error): void;
  /** A new thread runs in the place of a lost one: every client is to be given a new port. */
  engineReplaced(): void;
  /** The thread died so often that it isn't started again. */
  engineFailed(error: Error): void;
}

/** Largest time that the engine has to stop, in milliseconds: the second of its contract. */
const MAX_STOP_MS = 1_000;
/** Time that the engine has to stop when no time is left, in milliseconds. */
const MIN_STOP_MS = 200;

/** The engine thread takes one of the board's threads. */
export class EngineThread {
  readonly #threads: ShardThreads;
  readonly #settings: EngineThreadSettings;
  readonly #owner: EngineThreadOwner;
  readonly #restarts = new Restarts();
  #life: EngineLife;
  #timer: NodeJS.Timeout | undefined;
  #isStopping = false;
  #isShared = false;

  /**
   * Resolves when the engine works. Rejects, after the thread has ended or is free again, with the engine's own error,
   * with `ERR_START_TIMEOUT` or with `ERR_BUNDLED`. The engine is then not started again.
   */
  static async start(
    threads: ShardThreads,
    settings: EngineThreadSettings,
    owner: EngineThreadOwner,
  ): Promise<EngineThread> {
    const thread = new EngineThread(threads, settings, owner);
    const { isShared } = await thread.#life.ready;
    thread.#isShared = isShared;
    thread.#follow(thread.#life);
    return thread;
  }

  private constructor(threads: ShardThreads, settings: EngineThreadSettings, owner: EngineThreadOwner) {
    this.#threads = threads;
    this.#settings = settings;
    this.#owner = owner;
    this.#life = this.#launch();
  }

  /** True if other nodes may run the same engine. */
  get isShared(): boolean {
    return this.#isShared;
  }

  /**
   * Returns a port for the `EngineClient` of a shard, or with `isMain` for that of the main thread. The port closes
   * with the thread; `engineReplaced` is the time for another.
   */
  giveClient(isMain = false): MessagePort {
    const { port1, port2 } = new MessageChannel();
    this.#life.addClient(port2, isMain);
    return port1;
  }

  /** Ends the thread at once. It is replaced as if it had died. */
  terminate(): void {
    this.#life.terminate();
  }

  /**
   * Stops the engine in order. A thread that hasn't ended in time is ended.
   *
   * @param leftMs milliseconds that are left of the shutdown; the engine gets at least 200 and at most 1,000 of them
   */
  async stop(leftMs = MAX_STOP_MS): Promise<void> {
    this.#isStopping = true;
    clearTimeout(this.#timer);
    await this.#life.stop(Math.max(MIN_STOP_MS, Math.min(MAX_STOP_MS, leftMs)));
  }

  #launch(): EngineLife {
    const { engine, node, rules } = this.#settings;
    const { module, options } = engine;
    return new EngineLife(this.#threads, { module, options, node, rules }, this.#settings);
  }

  #follow(life: EngineLife): void {
    void life.ended.then((error) => {
      if (error !== undefined && !this.#isStopping) this.#handleLoss(error);
    });
  }

  /** Starts the engine again after a delay, unless it died too often. */
  #handleLoss(error: Error): void {
    const delayMs = this.#restarts.countDeath(performance.now());
    this.#owner.engineLost(error);
    if (delayMs === undefined) {
      this.#owner.engineFailed(error);
      return;
    }
    this.#timer = setTimeout(() => {
      this.#life = this.#launch();
      this.#follow(this.#life);
      this.#life.ready.then(
        () => this.#owner.engineReplaced(),
        // Reported as the next loss.
        () => {},
      );
    }, delayMs);
  }
}
