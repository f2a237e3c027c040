/** The publishes of a turn of the event loop, sent to Redis as few scripts. Used by `Streams`. */
import type { EnginePublished, HistoryLimits } from "../../runtime/streams/engine.ts";
import type { Position } from "../../runtime/streams/position.ts";
import type { Frame } from "../../wire/protocol/frame.ts";
import { failureOf, refused } from "./failures.ts";
import type { Keys } from "./keys.ts";
import type { Reply } from "./link/connection.ts";
import { decodePosition } from "./messages.ts";

/** Publishes in one script at most: Redis does nothing else meanwhile, for about a millisecond. */
const MAX_PUBLISHES = 200;
/** Bytes of frames after which a script is sent. */
const MAX_BYTES = 64 * 1024;
/** Bytes of memory that a publish takes beside its frame, roughly. */
const PUBLISH_BYTES = 300;

export interface PublishBatchesOptions {
  readonly keys: Keys;
  /** True if one script may only use the keys of one topic. */
  readonly isCluster: boolean;
  readonly nextEpoch: () => string;
  /** Runs the script. May throw. */
  readonly run: (keys: readonly string[], args: readonly (string | Buffer)[], bytes: number) => Promise<Reply>;
  /** Converts the error of a publish. */
  readonly failure: (error: unknown) => unknown;
  /** Totals. */
  readonly counts: { published: number; rejected: number };
}

/** The publishes to one topic, in their order. */
interface TopicPublishes {
  readonly limits: HistoryLimits;
  readonly frames: Buffer[];
  readonly answers: PromiseWithResolvers<EnginePublished>[];
}

/** What one script publishes, by topic. */
interface Batch {
  readonly topics: Map<string, TopicPublishes>;
  publishes: number;
  bytes: number;
}

export class PublishBatches {
  readonly #options: PublishBatchesOptions;
  /** By topic in a cluster; else there is one at most, by an empty string. */
  readonly #batches = new Map<string, Batch>();

  constructor(options: PublishBatchesOptions) {
    this.#options = options;
  }

  /** Publishes at the end of the turn, or with `flush`. Rejects like `run`. */
  publish(topic: string, { block, start, end }: Frame, limits: HistoryLimits): Promise<EnginePublished> {
    const key = this.#options.isCluster ? topic : "";
    let batch = this.#batches.get(key);
    if (batch === undefined) {
      if (this.#batches.size === 0) queueMicrotask(() => this.flush());
      batch = { topics: new Map(), publishes: 0, bytes: 0 };
      this.#batches.set(key, batch);
    }
    let publishes = batch.topics.get(topic);
    if (publishes === undefined) {
      publishes = { limits, frames: [], answers: [] };
      batch.topics.set(topic, publishes);
    }
    const answer = Promise.withResolvers<EnginePublished>();
    publishes.frames.push(block.subarray(start, end));
    publishes.answers.push(answer);
    batch.bytes += PUBLISH_BYTES + end - start;
    if (++batch.publishes >= MAX_PUBLISHES || batch.bytes >= MAX_BYTES) {
      this.#batches.delete(key);
      void this.#send(batch);
    }
    return answer.promise;
  }

  /** Sends what has been gathered: what the caller sends next comes after it. */
  flush(): void {
    const batches = [...this.#batches.values()];
    this.#batches.clear();
    for (const batch of batches) void this.#send(batch);
  }

  async #send({ topics, bytes }: Batch): Promise<void> {
    const { keys, nextEpoch, run } = this.#options;
    const used: string[] = [];
    const args: (string | Buffer)[] = [];
    for (const [topic, { limits, frames }] of topics) {
      const { meta, list, channel } = keys.topic(topic);
      const { size, ttlMs, metaTtlMs } = limits;
      used.push(meta, list);
      args.push(nextEpoch(), channel, String(size), String(ttlMs), String(metaTtlMs), String(frames.length), ...frames);
    }
    let places: readonly Reply[] = [];
    let failure: unknown;
    try {
      places = (await run(used, args, bytes)) as readonly Reply[];
    } catch (error) {
      failure = error;
    }
    let index = 0;
    for (const { answers } of topics.values()) {
      const place = places[index++];
      if (typeof place === "string" && !place.startsWith("!")) this.#resolve(answers, decodePosition(place));
      else this.#reject(answers, failure ?? notStored(String(place).slice(1)));
    }
  }

  #resolve(answers: TopicPublishes["answers"], { epoch, offset: first }: Position): void {
    this.#options.counts.published += answers.length;
    let offset = first;
    for (const { resolve } of answers) resolve({ position: { epoch, offset: offset++ }, duplicate: false });
  }

  #reject(answers: TopicPublishes["answers"], error: unknown): void {
    const { counts, failure } = this.#options;
    counts.rejected += answers.length;
    const reason = failure(error);
    for (const { reject } of answers) reject(reason);
  }
}

/** The error of publishes for which Redis could not append to the list. */
function notStored(reason: string): Error {
  const error = failureOf(new Error(reason));
  return error.code === "ERR_ENGINE_FULL" ? error : refused(reason);
}
