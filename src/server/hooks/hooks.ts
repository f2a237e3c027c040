/**
 * Notifications to the application, without a question: clients that have gone, channels that are occupied and vacated.
 * `Hooks` lives in the main thread; shards tell it what happens.
 */
import type { ServerConfig } from "../config/config.ts";
import type { HooksLog } from "./endpoint-log.ts";
import { occupancyEvent } from "./hook-events.ts";
import { HookQueue, type HookQueueOptions, type HookQueueSnapshot } from "./hook-queue.ts";
import { Occupancy, type OccupancyOptions } from "./occupancy.ts";

export interface HooksSnapshot {
  readonly disconnect: HookQueueSnapshot | undefined;
  readonly occupancy: HookQueueSnapshot | undefined;
  /** Vacated channels that aren't told yet. */
  readonly channelsWaiting: number;
  /** Vacated channels that were told early, because too many waited. */
  readonly channelsToldEarly: number;
}

export class Hooks {
  readonly #disconnect: HookQueue | undefined;
  readonly #occupancyQueue: HookQueue | undefined;
  readonly #occupancy: Occupancy | undefined;

  /** @throws `ERR_OPTION` if an address or a fixed header of the config is none */
  constructor(
    { disconnect, occupancy, secret }: ServerConfig["hooks"],
    { log, ...options }: { log: HooksLog } & OccupancyOptions & HookQueueOptions,
  ) {
    if (disconnect.enabled) this.#disconnect = new HookQueue("hooks.disconnect", disconnect, secret, log, options);
    if (!occupancy.enabled) return;
    const queue = new HookQueue("hooks.occupancy", occupancy, secret, log, options);
    this.#occupancyQueue = queue;
    this.#occupancy = new Occupancy(
      {
        occupied: (channel) => queue.add(occupancyEvent("channel_occupied", channel)),
        vacated: (channel) => queue.add(occupancyEvent("channel_vacated", channel)),
      },
      options,
    );
  }

  /** @param event made by `disconnectEvent` in the shard of the client */
  disconnected(event: string): void {
    this.#disconnect?.add(event);
  }

  /** A channel has its first subscriber. */
  occupied(channel: string): void {
    this.#occupancy?.occupied(channel);
  }

  /** A channel has lost its last subscriber. */
  vacated(channel: string): void {
    this.#occupancy?.vacated(channel);
  }

  /** True if the application is told of channels. */
  get tellsOccupancy(): boolean {
    return this.#occupancy !== undefined;
  }

  /** Forgets the vacated channels that aren't told yet, and returns them. */
  takeVacated(): readonly string[] {
    return this.#occupancy?.takeVacated() ?? [];
  }

  snapshot(): HooksSnapshot {
    return {
      disconnect: this.#disconnect?.snapshot(),
      occupancy: this.#occupancyQueue?.snapshot(),
      channelsWaiting: this.#occupancy?.waiting ?? 0,
      channelsToldEarly: this.#occupancy?.toldEarly ?? 0,
    };
  }

  /** Tells the channels that still wait, sends what it can within this time in ms, and drops the rest. */
  async close(timeoutMs: number): Promise<void> {
    this.#occupancy?.close();
    await Promise.all([this.#disconnect?.close(timeoutMs), this.#occupancyQueue?.close(timeoutMs)]);
  }
}
