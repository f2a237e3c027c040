/** The memory engine: streams and presence of one process, in its memory. The engine thread runs one. */
import { SwitchboardError } from "../../../errors.ts";
import type { Frame } from "../../../wire/protocol/frame.ts";
import {
  type Engine,
  type EngineOwner,
  type EnginePublish,
  type EnginePublished,
  type HistoryLimits,
  type HistoryRange,
  type HistoryRead,
  type Member,
  NO_POSITION,
  type PresenceLimits,
  type PresenceStats,
} from "../engine.ts";
import type { EngineTransfer } from "../takeover.ts";
import { IdempotencyKeys } from "./idempotency-keys.ts";
import { checkMemoryOptions, type MemoryEngineOptions } from "./memory-options.ts";
import { MemoryPresence } from "./memory-presence.ts";
import { MemoryTransfer } from "./memory-transfer.ts";
import { StreamStore } from "./stream-store.ts";

/** Time between two looks at what is due or has expired, in ms. A leave is reported that much late at most. */
const TICK_MS = 100;
const UNSTORED: EnginePublished = Object.freeze({ position: NO_POSITION, duplicate: false });
/** Number of streams, and of idempotency keys, that one tick looks at: a million streams take under two minutes. */
const SWEPT_IN_TICK = 1_000;

/**
 * Returns the time in ms since 1970, as a whole number. It begins with the time of the system and then runs evenly:
 * nothing expires early or late because somebody sets the clock of the machine.
 */
function evenClock(): () => number {
  const startMs = Date.now() - performance.now();
  return () => Math.floor(startMs + performance.now());
}

class MemoryEngine implements Engine {
  readonly isShared = false;
  readonly transfer: EngineTransfer;
  readonly #node: string;
  readonly #clock: () => number;
  readonly #streams: StreamStore;
  readonly #keys: IdempotencyKeys;
  readonly #presence: MemoryPresence;
  /** Undefined before the start and after the stop. */
  #owner: EngineOwner | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(limits: Required<MemoryEngineOptions>, node: string, clock: () => number) {
    this.#node = node;
    this.#clock = clock;
    this.#streams = new StreamStore(limits);
    this.#keys = new IdempotencyKeys(limits.maxIdempotencyKeys);
    this.#presence = new MemoryPresence(limits.maxMembers, (change) => {
      if (this.#streams.isWanted(change.topic)) this.#owner?.presenceChanged(change);
    });
    const parts = { streams: this.#streams, keys: this.#keys, presence: this.#presence };
    this.transfer = new MemoryTransfer(parts, clock, limits.maxTakeoverBytes);
  }

  async start(owner: EngineOwner): Promise<void> {
    this.#owner = owner;
    this.#timer = setInterval(() => this.#tick(), TICK_MS).unref();
  }

  publish(topic: string, publish: EnginePublish, limits: HistoryLimits): EnginePublished {
    const owner = this.#working();
    const { frame, idempotencyKey, expiresMs, store = true } = publish;
    if (!store) {
      if (this.#streams.isWanted(topic)) owner.relayed(topic, frame);
      return UNSTORED;
    }
    const nowMs = this.#clock();
    if (idempotencyKey !== undefined) {
      const known = this.#keys.find(topic, idempotencyKey, nowMs);
      if (known !== undefined) return { position: known, duplicate: true };
    }
    const { epoch, log, wanted } = this.#streams.append(topic, frame, expiresMs, limits, nowMs);
    const position = { epoch, offset: log.top };
    if (idempotencyKey !== undefined) this.#keys.add(topic, idempotencyKey, position, nowMs);
    if (wanted) {
      const copy = log.newest(frame.end - frame.start);
      owner.published(topic, epoch, { offset: position.offset, timeMs: nowMs, frame: copy });
    }
    return { position, duplicate: false };
  }

  history(topic: string, range: HistoryRange, limits: HistoryLimits): HistoryRead {
    this.#working();
    const [{ epoch, log }, records] = this.#streams.read(topic, range, limits, this.#clock());
    return { top: { epoch, offset: log.top }, records };
  }

  removeHistory(topic: string): void {
    this.#working();
    this.#streams.remove(topic);
  }

  relay(_topic: string, _frame: Frame): void {
    // There are no other nodes.
  }

  want(topic: string): void {
    this.#working();
    this.#streams.want(topic);
  }

  unwant(topic: string): void {
    this.#streams.unwant(topic, this.#clock());
  }

  join(topic: string, member: Member, rule: PresenceLimits): void {
    this.#working();
    this.#presence.join(topic, member, rule);
  }

  leave(topic: string, address: string, rule: PresenceLimits): void {
    this.#presence.leave(topic, address, rule, this.#clock());
  }

  letGo(topic: string, address: string): void {
    this.#presence.letGo(topic, address, this.#clock());
  }

  members(topic: string, limit: number): Member[] {
    return this.#presence.members(topic, limit);
  }

  memberStats(topic: string): PresenceStats {
    return this.#presence.stats(topic);
  }

  sendControl(to: string | undefined, message: string): void {
    if (to === this.#node) this.#owner?.controlReceived(this.#node, message);
  }

  announce(_facts: string): void {
    // There is no other node to tell.
  }

  gauges(): Record<string, number> {
    return { ...this.#streams.gauges(), ...this.#keys.gauges(), ...this.#presence.gauges() };
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#owner = undefined;
    this.#streams.clear();
    this.#keys.clear();
    this.#presence.clear();
  }

  #working(): EngineOwner {
    if (this.#owner !== undefined) return this.#owner;
    throw new SwitchboardError("ERR_ENGINE_UNAVAILABLE", "the memory engine hasn't started, or has been stopped");
  }

  #tick(): void {
    const nowMs = this.#clock();
    this.#presence.reportLeaves(nowMs);
    this.#streams.sweep(SWEPT_IN_TICK, nowMs);
    this.#keys.sweep(SWEPT_IN_TICK, nowMs);
  }
}

/**
 * Creates the memory engine of a node.
 *
 * @param options `MemoryEngineOptions`; anything else throws `ERR_OPTION`
 * @param clock returns the time in ms since 1970, as a whole number that never falls; tests set their own
 */
export function createMemoryEngine(options: unknown, node: string, clock: () => number = evenClock()): Engine {
  return new MemoryEngine(checkMemoryOptions(options), node, clock);
}

export default createMemoryEngine;
