/**
 * Replaces threads of shards by new ones, with everybody in them: those of all shards for a reload, that of one shard
 * for a recycling. `ShardPool` has one `Renewals`.
 */
import { setTimeout as delay } from "node:timers/promises";
import { SwitchboardError } from "../../../errors.ts";
import type { Counters } from "../../../runtime/stats/counters.ts";
import { noop } from "../../../wire/protocol/empty.ts";
import type { ActorName } from "../../connection/connection-host.ts";
import { unlessAbandoned } from "../abandoned.ts";
import type { RenewalSettings } from "../options/reload-options.ts";
import type { ShardHandle } from "../pool/shard-handle.ts";
import type { ShardThreads } from "../pool/shard-threads.ts";
import { shareBatch } from "../pool/share-batch.ts";
import { MOVE_LIMIT_MS, NO_TIMEOUT_MS } from "./limits.ts";

/** Numbers of moved, kept and closed connections of replaced threads. */
export interface RenewalResult {
  /** Connections that go on in the new threads. */
  readonly moved: number;
  /** Connections that go on in the old threads, which do their TLS, for `keepOldMs` at most. */
  readonly kept: number;
  /**
   * Connections that couldn't move and were closed, connections that were closed because `resumed` threw, and those
   * that their clients were just closing when the old threads ended.
   */
  readonly closed: number;
  /** Time that it took, from the call until the old threads had ended or only had kept connections, in ms. */
  readonly ms: number;
}

/** A thread of a shard with the pool of threads that it belongs to. */
export interface RenewedThread {
  readonly handle: ShardHandle;
  readonly threads: ShardThreads;
  readonly counters: Counters;
  /** URLs of the actor modules that the thread has loaded, by name. */
  readonly actors: ReadonlyMap<ActorName, string>;
}

/** The shards of a board, as far as their renewal concerns them. */
export interface RenewalHost {
  /** Aborted when the board closes: what is left then is the closing's. */
  readonly closing: AbortSignal;
  /** Starts a thread for a shard, beside the current one. */
  launch(shard: number, actors: ReadonlyMap<ActorName, string>): Promise<RenewedThread>;
  /** The new threads couldn't start: their ends are no losses. */
  giveUp(threads: readonly RenewedThread[]): void;
  /** Puts a new thread in the place of the current one, for new connections. Returns the one that it replaces. */
  replace(next: RenewedThread): Pick<RenewedThread, "handle" | "threads">;
  /** Gives the addresses of a shard to its new thread. Resolves when the old thread isn't needed for them any more. */
  succeed(next: ShardHandle): Promise<unknown>;
  /** Resolves when no connection moves between shards by another call. None begins during a renewal. */
  movesEnded(): Promise<void>;
  /** Nothing runs in a thread any more: ends it. */
  ended(threads: ShardThreads): Promise<void>;
  /** Resolves when all connections that left a thread have arrived. */
  allArrived(): Promise<void>;
}

/** An old thread that goes on for the connections that it keeps. */
interface KeptThread {
  /** Ends the thread now. */
  readonly end: AbortController;
  readonly ended: Promise<void>;
}

/** Time in which handshakes under way in the old threads become connections that can move, in ms. */
const HANDSHAKES_MS = 2_000;
const POLL_MS = 10;
/** Number of times that all connections are asked to move, while threads answer too slowly for some of them. */
const MAX_ROUNDS = 4;

export class Renewals {
  readonly #host: RenewalHost;
  /** The renewal under way. It never rejects. */
  #current: Promise<unknown> | undefined;
  /** Old threads that go on, by shard: at most one of each. */
  readonly #kept = new Map<number, KeptThread>();

  constructor(host: RenewalHost) {
    this.#host = host;
  }

  /** True while threads are being replaced. */
  get isBusy(): boolean {
    return this.#current !== undefined;
  }

  /** Resolves when no thread is being replaced any more. Old threads may still keep connections. */
  get current(): Promise<unknown> | undefined {
    return this.#current;
  }

  /**
   * Replaces the threads of shards. Rejects with the error of a thread that can't start, and nothing is changed then;
   * with `ERR_RELOADING` during another renewal.
   */
  async renew(
    shards: readonly number[],
    actors: ReadonlyMap<ActorName, string>,
    settings: RenewalSettings,
  ): Promise<RenewalResult> {
    if (this.isBusy) throw new SwitchboardError("ERR_RELOADING", "threads of the board are being replaced already");
    const startedAt = performance.now();
    const renewal = this.#renew(shards, actors, settings);
    this.#current = renewal.catch(noop);
    try {
      return { ...(await renewal), ms: performance.now() - startedAt };
    } finally {
      this.#current = undefined;
    }
  }

  /** Resolves when nothing is under way. Call it when the board closes: what is kept ends with the shards. */
  async settled(): Promise<void> {
    await this.#current;
    await Promise.all([...this.#kept.values()].map(({ ended }) => ended));
  }

  async #renew(
    shards: readonly number[],
    actors: ReadonlyMap<ActorName, string>,
    settings: RenewalSettings,
  ): Promise<Omit<RenewalResult, "ms">> {
    const { closing } = this.#host;
    const next = await Promise.all(shards.map((shard) => this.#host.launch(shard, actors)));
    try {
      await unlessAbandoned(closing, Promise.all(next.map(({ handle }) => handle.ready)));
    } catch (error) {
      this.#host.giveUp(next);
      await Promise.all(next.map(({ threads }) => this.#host.ended(threads)));
      throw error;
    }
    await this.#endKept(shards);
    await this.#host.movesEnded();
    const old = next.map((one) => this.#host.replace(one));
    const loads = old.map(({ handle }) => handle.connections);
    const batches = shareBatch(settings.close.batchSize, loads);
    const counts = await Promise.all(
      old.map((one, index) => {
        const close = { ...settings.close, batchSize: batches[index] as number };
        return this.#empty(one, (next[index] as RenewedThread).handle, { ...settings, close });
      }),
    );
    return {
      moved: counts.reduce((sum, { moved }) => sum + moved, 0),
      kept: counts.reduce((sum, { kept }) => sum + kept, 0),
      closed: counts.reduce((sum, { closed }) => sum + closed, 0),
    };
  }

  /** Moves everybody out of an old thread, closes who can't move, and ends the thread unless it keeps connections. */
  async #empty(
    { handle: old, threads }: Pick<RenewedThread, "handle" | "threads">,
    next: ShardHandle,
    { close, keepOldMs }: RenewalSettings,
  ): Promise<Omit<RenewalResult, "ms">> {
    const { closing, allArrived, succeed } = this.#host;
    const { moved, lost } = await moveEverybody(old, next, closing);
    if (closing.aborted || old.hasEnded) {
      if (old.hasEnded) await this.#host.ended(threads);
      return { moved, kept: 0, closed: lost };
    }
    await allArrived();
    const stayers =
      keepOldMs === 0 ? undefined : await old.query({ kind: "closeStayers", settings: close }, NO_TIMEOUT_MS);
    const end = async (): Promise<number> => {
      const { closed, dropped } = await old.shutDown(close);
      await succeed(next);
      await old.stop();
      await this.#host.ended(threads);
      return closed + dropped;
    };
    if (stayers === undefined || stayers.kept === 0) {
      return { moved, kept: 0, closed: lost + (stayers?.closed ?? 0) + (await end()) };
    }
    await succeed(next);
    this.#keep(old, keepOldMs, end);
    return { moved, kept: stayers.kept, closed: lost + stayers.closed };
  }

  /** Lets an old thread go on until it has no connection any more, or its time is over. */
  #keep(old: ShardHandle, keepOldMs: number, end: () => Promise<unknown>): void {
    const now = new AbortController();
    const { closing } = this.#host;
    const over = delay(keepOldMs, undefined, { signal: AbortSignal.any([now.signal, closing]), ref: false });
    const emptied = old.query({ kind: "emptied" }, NO_TIMEOUT_MS).catch(noop);
    const ended = Promise.race([over.catch(noop), emptied]).then(async () => {
      now.abort();
      // A board that closes ends the thread itself.
      if (!closing.aborted) await end();
      if (this.#kept.get(old.shard)?.end === now) this.#kept.delete(old.shard);
    });
    this.#kept.set(old.shard, { end: now, ended });
  }

  /** Ends the threads that an earlier renewal has kept. */
  async #endKept(shards: readonly number[]): Promise<void> {
    const kept = shards.map((shard) => this.#kept.get(shard));
    for (const one of kept) one?.end.abort();
    await Promise.all(kept.map((one) => one?.ended));
  }
}

/** Moves all connections of an old thread, also those whose handshake is still under way. Returns their numbers. */
async function moveEverybody(
  old: ShardHandle,
  next: ShardHandle,
  closing: AbortSignal,
): Promise<{ readonly moved: number; readonly lost: number }> {
  if (!old.isReady) return { moved: 0, lost: 0 };
  old.retire(next.life);
  const query = {
    kind: "move",
    to: [next.life],
    addresses: undefined,
    count: Infinity,
    limitMs: MOVE_LIMIT_MS,
  } as const;
  const deadline = performance.now() + HANDSHAKES_MS;
  let moved = 0;
  let lost = 0;
  for (let round = 1; ; round++) {
    // A handshake that is under way now may be a connection before the answer is there, and not have moved.
    const { underWay } = old;
    const counts = await old.query(query, NO_TIMEOUT_MS);
    moved += counts?.moved ?? 0;
    lost += counts?.stayed.lost ?? 0;
    if (counts === undefined || closing.aborted) return { moved, lost };
    const mayTryAgain = (counts.stayed.shard ?? 0) > 0 && round < MAX_ROUNDS;
    if (!mayTryAgain && (underWay === 0 || performance.now() > deadline)) return { moved, lost };
    await delay(POLL_MS);
  }
}
