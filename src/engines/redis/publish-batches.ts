/** The publishes of a turn of the event loop, sent to Redis as few scripts. Used by `Streams`. */
import type { EnginePublish, EnginePublished, HistoryLimits } from "../../runtime/streams/engine.ts";
import type { Position } from "../../runtime/streams/position.ts";
import type { Frame } from "../../wire/protocol/frame.ts";
import { failureOf, isOutOfMemory, refused } from "./failures.ts";
import type { Keys } from "./keys.ts";
import type { Reply } from "./link/connection.ts";
import { decodePosition, POSITION_BYTES } from "./messages.ts";

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
  /** Runs the script, whose answer has buffers for strings. */
  readonly run: (keys: readonly string[], args: readonly (string | Buffer)[], bytes: number) => Promise<Reply>;
  /** Converts the error of a publish. */
  readonly failure: (error: unknown) => unknown;
  /** Totals. */
  readonly counts: { published: number; rejected: number };
  /** Called with true when Redis is out of memory, and with false when it has stored something. */
  readonly fullness: (isFull: boolean) => void;
}

/** The publishes to one topic, in their order. */
interface TopicPublishes {
  readonly batch: Batch;
  readonly frames: Buffer[];
  readonly answers: PromiseWithResolvers<EnginePublished>[];
}

/** Publishes of one call of a script, by topic. */
interface Batch {
  readonly limits: HistoryLimits;
  readonly topics: Map<string, TopicPublishes>;
  publishes: number;
  bytes: number;
}

export class PublishBatches {
  readonly #options: PublishBatchesOptions;
  /** Open batches: by topic in a cluster, else by the limits. */
  readonly #batches = new Map<string | HistoryLimits, Batch>();
  /** The publishes of all batches, by topic. */
  readonly #topics = new Map<string, TopicPublishes>();

  constructor(options: PublishBatchesOptions) {
    this.#options = options;
  }

  /**
   * Publishes at the end of the turn, or with `flush`. A publish with an idempotency key or a time of its own goes out
   * at once, after those before it. Rejects like `run`.
   */
  publish(topic: string, publish: EnginePublish, limits: HistoryLimits): Promise<EnginePublished> {
    const { frame, idempotencyKey, expiresMs } = publish;
    if (idempotencyKey !== undefined || expiresMs !== undefined) {
      this.flush();
      const publishes = startTopic(createBatch(limits), topic);
      const answer = add(publishes, frame);
      void this.#send(publishes.batch, publish);
      return answer;
    }
    const publishes = this.#publishesTo(topic, limits);
    const answer = add(publishes, frame);
    const { batch } = publishes;
    if (batch.publishes >= MAX_PUBLISHES || batch.bytes >= MAX_BYTES) {
      this.#batches.delete(this.#options.isCluster ? topic : batch.limits);
      for (const name of batch.topics.keys()) this.#topics.delete(name);
      void this.#send(batch);
    }
    return answer;
  }

  /** Sends what has been gathered: what the caller sends next comes after it. */
  flush(): void {
    const batches = [...this.#batches.values()];
    this.#batches.clear();
    this.#topics.clear();
    for (const batch of batches) void this.#send(batch);
  }

  #publishesTo(topic: string, limits: HistoryLimits): TopicPublishes {
    const known = this.#topics.get(topic);
    if (known?.batch.limits === limits) return known;
    // Two batches with one topic would mix up the order of its publishes.
    if (known !== undefined) this.flush();
    if (this.#batches.size === 0) queueMicrotask(() => this.flush());
    const key = this.#options.isCluster ? topic : limits;
    let batch = this.#batches.get(key);
    if (batch === undefined) {
      batch = createBatch(limits);
      this.#batches.set(key, batch);
    }
    const publishes = startTopic(batch, topic);
    this.#topics.set(topic, publishes);
    return publishes;
  }

  async #send({ topics, limits, bytes }: Batch, { idempotencyKey, expiresMs = 0 }: SpecialPublish = {}): Promise<void> {
    const { keys, nextEpoch, run } = this.#options;
    const { size, ttlMs, metaTtlMs } = limits;
    const used: string[] = [];
    const args: (string | Buffer)[] = [nextEpoch(), String(size), String(ttlMs), String(metaTtlMs), String(expiresMs)];
    for (const [topic, { frames }] of topics) {
      const { meta, list, channel } = keys.topic(topic);
      used.push(meta, list);
      args.push(channel, String(frames.length), ...frames);
      if (idempotencyKey !== undefined) used.push(keys.idempotency(topic, idempotencyKey));
    }
    let places: Buffer;
    let isDuplicate: boolean;
    let errors: readonly Reply[];
    try {
      const [first, second, ...others] = (await run(used, args, bytes)) as readonly Reply[];
      places = first as Buffer;
      isDuplicate = second === 1;
      errors = others;
    } catch (error) {
      for (const { answers } of topics.values()) this.#reject(answers, error);
      return;
    }
    let [at, failed] = [0, 0];
    for (const { answers } of topics.values()) {
      if (places[at] === 0) this.#reject(answers, notStored(String(errors[failed++])));
      else this.#resolve(answers, decodePosition(places, at), isDuplicate);
      at += POSITION_BYTES;
    }
  }

  #resolve(answers: TopicPublishes["answers"], { epoch, offset: first }: Position, duplicate: boolean): void {
    const { counts, fullness } = this.#options;
    counts.published += answers.length;
    if (!duplicate) fullness(false);
    let offset = first;
    for (const { resolve } of answers) resolve({ position: { epoch, offset: offset++ }, duplicate });
  }

  #reject(answers: TopicPublishes["answers"], error: unknown): void {
    const { counts, failure, fullness } = this.#options;
    counts.rejected += answers.length;
    if (isOutOfMemory(error)) fullness(true);
    const reason = failure(error);
    for (const { reject } of answers) reject(reason);
  }
}

/** Options with which a publish goes out alone. */
type SpecialPublish = Pick<EnginePublish, "idempotencyKey" | "expiresMs">;

function createBatch(limits: HistoryLimits): Batch {
  return { limits, topics: new Map(), publishes: 0, bytes: 0 };
}

function startTopic(batch: Batch, topic: string): TopicPublishes {
  const publishes: TopicPublishes = { batch, frames: [], answers: [] };
  batch.topics.set(topic, publishes);
  return publishes;
}

/** Adds a publish to those of a topic. */
function add({ batch, frames, answers }: TopicPublishes, { block, start, end }: Frame): Promise<EnginePublished> {
  const answer = Promise.withResolvers<EnginePublished>();
  frames.push(block.subarray(start, end));
  answers.push(answer);
  batch.publishes++;
  batch.bytes += PUBLISH_BYTES + end - start;
  return answer.promise;
}

/** The error of publishes for which Redis could not append to the list. */
function notStored(reason: string): Error {
  const error = failureOf(new Error(reason));
  return error.code === "ERR_ENGINE_FULL" ? error : refused(reason);
}
