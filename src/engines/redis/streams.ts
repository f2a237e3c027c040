/** Streams in Redis: publish, history, and the topics that this node wants. Used by the engine. */
import { SwitchboardError } from "../../errors.ts";
import {
  type EngineOwner,
  type EnginePublish,
  type EnginePublished,
  type HistoryLimits,
  type HistoryRange,
  type HistoryRead,
  NO_POSITION,
} from "../../runtime/streams/engine.ts";
import { builtins } from "../../wire/node-internals/builtins.ts";
import { EMPTY, noop } from "../../wire/protocol/empty.ts";
import type { Frame } from "../../wire/protocol/frame.ts";
import { mayHaveRun, refused } from "./failures.ts";
import type { Keys } from "./keys.ts";
import type { Link } from "./link/link.ts";
import type { Links } from "./link/links.ts";
import { decodeEntry, decodePosition, encodeRelay } from "./messages.ts";
import { PublishBatches } from "./publish-batches.ts";
import { EPOCH_LENGTH, type Scripts } from "./scripts/scripts.ts";
import { WantedTopic } from "./wanted-topic.ts";

/** Bytes of memory that a call takes beside its frame, roughly. */
const CALL_BYTES = 500;
/** Time for which the epoch is kept that replaces a wrong one, in ms, until the next publication sets its own. */
const RENEWED_TTL_MS = 24 * 24 * 60 * 60 * 1_000;

export interface StreamsOptions {
  readonly node: string;
  readonly keys: Keys;
  readonly links: Links;
  readonly scripts: Scripts;
  readonly isCluster: boolean;
  readonly owner: EngineOwner;
  /** Called with true when Redis is out of memory, and with false when it has stored something. */
  readonly fullness: (isFull: boolean) => void;
  /** Called when a node leaves that has members in their grace time in a wanted topic. */
  readonly graceBegan: (topic: string, ms: number) => void;
}

export class Streams {
  readonly #options: StreamsOptions;
  readonly #node: Buffer;
  readonly #epochs = new EpochNames();
  readonly #batches: PublishBatches;
  readonly #wanted = new Map<string, WantedTopic>();
  /** Totals since the start. */
  readonly counts = {
    published: 0,
    rejected: 0,
    relayed: 0,
    relaysDropped: 0,
    received: 0,
    malformed: 0,
    wentBack: 0,
    waitingDropped: 0,
  };

  constructor(options: StreamsOptions) {
    this.#options = options;
    this.#node = Buffer.from(options.node);
    const { keys, links, scripts, isCluster } = options;
    this.#batches = new PublishBatches({
      keys,
      isCluster,
      nextEpoch: () => this.#epochs.next(),
      run: (used, args, bytes) => links.run(scripts.publish, used, args, { inBuffers: true, bytes }),
      failure: publishFailure,
      counts: this.counts,
      fullness: options.fullness,
    });
  }

  get wantedTopics(): number {
    return this.#wanted.size;
  }

  isWanted(topic: string): boolean {
    return this.#wanted.has(topic);
  }

  publish(topic: string, publish: EnginePublish, limits: HistoryLimits): Promise<EnginePublished> {
    return publish.store === false ? this.#pass(topic, publish.frame) : this.#batches.publish(topic, publish, limits);
  }

  /** Publishes what isn't stored, after what was published before. All nodes get it from Redis, this one included. */
  async #pass(topic: string, frame: Frame): Promise<EnginePublished> {
    this.#batches.flush();
    this.counts.relayed++;
    try {
      const channel = this.#options.keys.channel(topic);
      await this.#linkOf(channel).publish(channel, encodeRelay(EMPTY, frame));
    } catch (error) {
      this.counts.relaysDropped++;
      throw error;
    }
    return { position: NO_POSITION, duplicate: false };
  }

  /** Sends what has been gathered: what this node sends next comes after it. */
  flush(): void {
    this.#batches.flush();
  }

  /** Publishes to a stream that nobody can have. */
  async tryPublish(): Promise<void> {
    const frame = { block: EMPTY, start: 0, end: 0 };
    await this.publish("", { frame }, { size: 1, ttlMs: 1_000, metaTtlMs: 1_000 });
    this.counts.published = 0;
  }

  async history(topic: string, { since, limit, reverse }: HistoryRange, limits: HistoryLimits): Promise<HistoryRead> {
    this.#batches.flush();
    const { keys, links, scripts } = this.#options;
    const { meta, list } = keys.topic(topic);
    // -1 stands for no `since`. The offset 0 is another case: backwards, nothing lies before it; forwards, everything
    // follows it.
    const from = since === undefined ? -1 : since;
    const args = [
      this.#epochs.next(),
      String(from),
      String(limit),
      reverse === true ? "1" : "0",
      String(limits.size),
      String(limits.ttlMs),
      String(limits.metaTtlMs),
    ];
    const options = { inBuffers: true, bytes: CALL_BYTES };
    const reply = await links.run(scripts.history, [meta, list], args, options);
    const [top, ...entries] = reply as readonly Buffer[];
    return { top: decodePosition(top ?? EMPTY), records: entries.map(decodeEntry) };
  }

  async removeHistory(topic: string): Promise<void> {
    this.#batches.flush();
    const { list } = this.#options.keys.topic(topic);
    await this.#linkOf(list).send(["DEL", list]);
  }

  relay(topic: string, frame: Frame): void {
    const channel = this.#options.keys.channel(topic);
    const link = this.#options.links.of(channel);
    this.counts.relayed++;
    if (link === undefined) {
      this.counts.relaysDropped++;
      return;
    }
    link.publish(channel, encodeRelay(this.#node, frame)).catch(() => {
      this.counts.relaysDropped++;
    });
  }

  async want(topic: string): Promise<void> {
    const { keys } = this.#options;
    const channel = keys.channel(topic);
    let wanted = this.#wanted.get(topic);
    if (wanted === undefined) {
      const { owner, graceBegan } = this.#options;
      const wentBack = (epoch: string): void => this.#renew(topic, epoch);
      wanted = new WantedTopic({ topic, node: this.#node, owner, counts: this.counts, wentBack, graceBegan });
      this.#wanted.set(topic, wanted);
    }
    try {
      await this.#linkOf(channel).listen(channel, wanted);
    } catch (error) {
      if (this.#wanted.get(topic) === wanted) this.#wanted.delete(topic);
      throw error;
    }
  }

  unwant(topic: string): void {
    if (!this.#wanted.delete(topic)) return;
    const channel = this.#options.keys.channel(topic);
    // In a cluster the channel may not have moved yet to the link that has its slot now.
    for (const link of this.#options.links.all()) link.subscriptions.remove(channel);
  }

  /** Resolves with true when all messages of a topic that Redis has published so far have been reported. */
  async reported(topic: string): Promise<boolean> {
    return (await this.#options.links.of(this.#options.keys.channel(topic))?.heard()) === true;
  }

  /** Begins another epoch, because offsets of this one went back before this node's eyes. */
  #renew(topic: string, epoch: string): void {
    const { keys, scripts, links, owner } = this.#options;
    const { meta, list } = keys.topic(topic);
    this.counts.wentBack++;
    const args = [this.#epochs.next(), epoch, String(RENEWED_TTL_MS)];
    // The comparison with the top follows when the top is another.
    const renewed = links.run(scripts.renew, [meta, list], args).catch(noop);
    void renewed.then(() => owner.doubted());
  }

  #linkOf(key: string): Link {
    const link = this.#options.links.of(key);
    if (link === undefined) throw refused("no server of the cluster has the topic's hash slot now");
    return link;
  }
}

/** Says what the publisher needs to know: publishing again may publish twice, unless an idempotency key is used. */
function publishFailure(error: unknown): unknown {
  if (!(error instanceof SwitchboardError) || error.code !== "ERR_ENGINE_UNAVAILABLE") return error;
  const effect = mayHaveRun(error)
    ? "it isn't known whether the publication was stored"
    : "the publication wasn't stored";
  const message = `${error.message}: ${effect}`;
  return new SwitchboardError("ERR_ENGINE_UNAVAILABLE", message, { cause: error });
}

/** Names for epochs that never repeat: a random part for the process, and a number. */
class EpochNames {
  readonly #process = builtins.crypto.randomBytes(6).toString("base64url");
  #number = 0;

  next(): string {
    return this.#process + (++this.#number).toString(36).padStart(EPOCH_LENGTH - this.#process.length, "0");
  }
}
