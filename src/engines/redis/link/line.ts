/** A connection that is replaced whenever it fails. A link has two: one for commands, one for subscriptions. */
import { setTimeout as delay, setImmediate as nextTurn } from "node:timers/promises";
import { noop } from "../../../wire/protocol/empty.ts";
import { messageOf, nameOf } from "../failures.ts";
import type { Address } from "../options.ts";
import { Connection, type ConnectionOptions, type RedisClientPackage } from "./connection.ts";

/** Time before the first attempt to replace a connection, in ms. It doubles with each attempt that fails. */
const FIRST_PAUSE_MS = 50;
const MAX_PAUSE_MS = 2_000;
/** Time for which a connection must have worked for the pauses to begin anew, in ms. */
const PROVEN_MS = 1_000;

export interface LineOptions extends Omit<ConnectionOptions, "address" | "lost"> {
  /** Finds the server: fixed, or asked from sentinels. */
  readonly dial: () => Promise<Address>;
  /** Makes a new connection ready for use. */
  readonly setUp: (connection: Connection) => Promise<void>;
  /** Called before each attempt. */
  readonly trying: (address: Address) => void;
  readonly up: (connection: Connection) => void;
  /** Called after each attempt that failed, and when a connection was lost. */
  readonly down: (reason: string) => void;
}

export class Line {
  readonly #redis: RedisClientPackage;
  readonly #options: LineOptions;
  readonly #stop = new AbortController();
  /** The connection that is used or set up. */
  #current: Connection | undefined;
  #connection: Connection | undefined;
  #reconnects = -1;
  /** A PING that isn't sent yet. */
  #pinged: Promise<boolean> | undefined;

  constructor(redis: RedisClientPackage, options: LineOptions) {
    this.#redis = redis;
    this.#options = options;
  }

  /** The connection, if it can be used. */
  get connection(): Connection | undefined {
    return this.#connection;
  }

  /** Number of connections that were replaced. */
  get reconnects(): number {
    return Math.max(0, this.#reconnects);
  }

  start(): void {
    void this.#run();
  }

  /** Closes the connection, and opens another one. */
  replace(reason: string): void {
    this.#current?.close(reason);
  }

  /**
   * Resolves with true when the server has answered a PING, and with false if there is no connection, or it is lost.
   * Calls of one turn of the event loop share one PING.
   */
  pinged(): Promise<boolean> {
    this.#pinged ??= this.#ping();
    return this.#pinged;
  }

  async #ping(): Promise<boolean> {
    await nextTurn();
    this.#pinged = undefined;
    const connection = this.#connection;
    // An error that the server answers comes at the same place as its PONG.
    await connection?.send(["PING"]).catch(noop);
    return connection !== undefined && !connection.isClosed;
  }

  stop(): void {
    this.#stop.abort();
    this.#current?.close("the engine was stopped");
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    for (let failures = 0; !signal.aborted; failures++) {
      const startedAt = performance.now();
      const reason = await this.#connect();
      if (signal.aborted) return;
      this.#options.down(reason);
      if (performance.now() - startedAt >= PROVEN_MS && this.#wasUp) failures = 0;
      const pause = Math.min(FIRST_PAUSE_MS * 2 ** failures, MAX_PAUSE_MS);
      // Many nodes lose their connections at the same time. They don't come back at the same time.
      await delay(pause * (0.5 + Math.random()), undefined, { signal }).catch(() => undefined);
    }
  }

  #wasUp = false;

  /** Opens a connection and waits until it fails. Resolves with the reason. */
  async #connect(): Promise<string> {
    const lost = Promise.withResolvers<string>();
    this.#wasUp = false;
    try {
      const address = await this.#options.dial();
      if (this.#stop.signal.aborted) return "the engine was stopped";
      this.#options.trying(address);
      const connection = await Connection.open(this.#redis, { ...this.#options, address, lost: lost.resolve });
      this.#current = connection;
      if (this.#stop.signal.aborted) connection.close("the engine was stopped");
      await this.#setUp(connection, nameOf(address));
      if (connection.isClosed) return await lost.promise;
      this.#connection = connection;
      this.#reconnects++;
      this.#wasUp = true;
      this.#options.up(connection);
      return await lost.promise;
    } catch (error) {
      const reason = messageOf(error).replace(/^Redis can't be used: /, "");
      this.#current?.close(reason);
      return reason;
    } finally {
      this.#connection = undefined;
      this.#current = undefined;
    }
  }

  async #setUp(connection: Connection, name: string): Promise<void> {
    const { connectTimeoutMs } = this.#options;
    const timer = setTimeout(
      () => connection.close(`${name} didn't answer within ${connectTimeoutMs} ms`),
      connectTimeoutMs,
    );
    try {
      await this.#options.setUp(connection);
    } finally {
      clearTimeout(timer);
    }
  }
}
