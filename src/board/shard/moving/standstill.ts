/**
 * Brings the connections of a shard to a stand between two handlers, all at the same time, so that they can go to
 * another process together. `Passing` has one. Few connections never make the others wait: they are given up and stay.
 */
import { setTimeout as delay } from "node:timers/promises";
import { nodeOf } from "../../../runtime/actor/address.ts";
import type { StayReason } from "../../../runtime/actor/moving/suspension.ts";
import type { Connection } from "../../connection/connection.ts";
import type { CalmQuery, NodeCounts, StandStillQuery, SuspendAllQuery } from "./messages.ts";
import { type MoveFailure, reportMoveFailure } from "./move-failures.ts";
import type { Mover } from "./mover.ts";
import type { MoverOwner } from "./mover-owner.ts";
import { type SuspensionLimit, suspend } from "./suspend.ts";

const POLL_MS = 5;

/** Part of the connections that counts as few. One connection always does. */
const FEW = 0.05;

function areFew(left: number, all: number): boolean {
  return left <= Math.max(1, all * FEW);
}

export class Standstill {
  readonly #owner: MoverOwner;
  readonly #mover: Mover;
  /** Suspended connections, with what their actors' `suspended` returned, as bytes. */
  readonly suspended = new Map<Connection, Uint8Array>();
  /**
   * Connections whose handlers were under way when all others stood. They aren't read, so they stand at the next
   * attempt.
   */
  readonly #slow = new Set<Connection>();
  /** Connections of which a handler was under way, or waited, for the whole time of the last `calm`. */
  #neverIdle: ReadonlySet<Connection> = new Set();
  /** Connections that were given up. */
  readonly #stayers = new Set<Connection>();

  constructor(owner: MoverOwner, mover: Mover) {
    this.#owner = owner;
    this.#mover = mover;
  }

  /**
   * Lets everybody go on but the slow ones. Resolves when each connection was idle once, or the time is over: with the
   * nodes in the addresses of these connections.
   */
  async calm({ limitMs }: CalmQuery): Promise<NodeCounts> {
    const all = this.leaving();
    for (const connection of all) if (!this.#slow.has(connection)) connection.readOn();
    const over = performance.now() + limitMs;
    this.#neverIdle = new Set(await this.#untilIdle(all, () => performance.now() > over));
    return nodesOf(all);
  }

  /** Reads nothing more. Resolves with the number of connections that don't stand. */
  async standStill({ limitMs, fewLimitMs, isLast }: StandStillQuery): Promise<number> {
    const all = this.leaving();
    for (const connection of all) connection.setAside();
    const awaited = all.filter((connection) => !this.#neverIdle.has(connection));
    const begun = performance.now();
    const busy = await this.#untilIdle(awaited, (left) => {
      const passedMs = performance.now() - begun;
      return passedMs > limitMs || (passedMs > fewLimitMs && areFew(left, all.length));
    });
    if (!isLast) for (const connection of busy) this.#slow.add(connection);
    else for (const connection of [...busy, ...this.#neverIdle]) this.#stays(connection, "busy");
    return busy.length;
  }

  /**
   * Resolves when each of the connections was idle once, or none is waited for any more: then with those that weren't.
   *
   * @param isOver called with the number of those
   */
  async #untilIdle(all: readonly Connection[], isOver: (left: number) => boolean): Promise<readonly Connection[]> {
    for (let busy = all; ; await delay(POLL_MS)) {
      busy = busy.filter((one) => one.isMovable && !(one.isIdle && one.stayReason !== "busy"));
      if (busy.length === 0 || isOver(busy.length)) return busy;
    }
  }

  /**
   * Suspends all connections that can go. Those that can't be suspended in time are given up. Resolves with their
   * number.
   */
  async suspendAll({ limitMs, fewLimitMs }: SuspendAllQuery): Promise<number> {
    const all = this.leaving().filter((connection) => !this.suspended.has(connection));
    const left = new Set(all);
    const limit = { untilMs: performance.now() + limitMs };
    let fewTimer: NodeJS.Timeout | undefined;
    const giveUp = (): void => {
      limit.untilMs = 0;
      for (const connection of left) connection.suspensionOverdue();
    };
    const one = async (connection: Connection): Promise<void> => {
      await this.#suspend(connection, limit);
      left.delete(connection);
      if (areFew(left.size, all.length)) fewTimer ??= setTimeout(giveUp, fewLimitMs);
    };
    await Promise.all(all.map(one));
    clearTimeout(fewTimer);
    return this.suspended.size;
  }

  async #suspend(connection: Connection, limit: SuspensionLimit): Promise<void> {
    const version = this.#versionOf(connection);
    if (version === undefined) return;
    while (this.#mover.isLeaving(connection) && performance.now() < limit.untilMs) await delay(POLL_MS);
    const stayReason = (): StayReason | undefined => (this.#owner.isClosing ? "closing" : connection.stayReason);
    const outcome = await suspend(connection, version, limit, stayReason);
    if (outcome instanceof Uint8Array) this.suspended.set(connection, outcome);
    else this.#stays(connection, outcome);
  }

  /** Lets all connections go on. */
  resumeAll(): void {
    for (const connection of this.suspended.keys()) connection.stay();
    this.suspended.clear();
    this.#slow.clear();
    this.#stayers.clear();
    this.#neverIdle = new Set();
    for (const connection of this.#owner.connections) connection.readOn();
  }

  /** Connections that can go to another process, as far as this can be told. The main thread's streams can't. */
  leaving(): Connection[] {
    return [...this.#owner.connections].filter(
      (one) => this.#versionOf(one) !== undefined && one.isMovable && !one.isRelayed && !this.#stayers.has(one),
    );
  }

  #versionOf({ actor }: Connection): number | undefined {
    return this.#owner.moduleOf(actor)?.moves;
  }

  #stays(connection: Connection, failure: MoveFailure): void {
    this.#stayers.add(connection);
    reportMoveFailure(this.#owner.host, connection, failure, "process");
  }
}

function nodesOf(connections: readonly Connection[]): NodeCounts {
  const counts = new Map<string, number>();
  for (const { address } of connections) {
    const node = nodeOf(address);
    if (node !== undefined) counts.set(node, (counts.get(node) ?? 0) + 1);
  }
  return [...counts];
}
