/** All streams of a memory engine, bounded in bytes and in number. `MemoryEngine` publishes to it and reads from it. */
import { SwitchboardError } from "../../../errors.ts";
import type { Frame } from "../../../wire/protocol/frame.ts";
import type { HistoryLimits, HistoryRange } from "../engine.ts";
import type { StreamRecord } from "../publication.ts";
import { RecencyList } from "./recency-list.ts";
import { Stream, type StreamCopy } from "./stream.ts";
import type { LogRun } from "./stream-log.ts";

export interface StreamStoreLimits {
  readonly maxBytes: number;
  readonly maxStreams: number;
}

/**
 * Nothing in the store has a timer. A stream that has expired is emptied or forgotten at its next use, or when `sweep`
 * comes by.
 */
export class StreamStore {
  readonly #limits: StreamStoreLimits;
  readonly #streams = new Map<string, Stream>();
  readonly #wanted = new Set<string>();
  /** The streams with publications, by the time of the last publish: the first to lose them when bytes are short. */
  readonly #filled = new RecencyList<Stream>();
  /** The streams without publications that nobody wants, by last use: the first to be forgotten. */
  readonly #idle = new RecencyList<Stream>();
  #swept: Iterator<Stream, undefined> = this.#streams.values();
  #bytes = 0;
  #publications = 0;
  #evicted = 0;
  #forgotten = 0;
  /** Streams that were created, published to or emptied since `noteChanges`; undefined before. */
  #changed: Set<Stream> | undefined;

  constructor(limits: StreamStoreLimits) {
    this.#limits = limits;
  }

  /** Numbers for metrics. */
  gauges(): Record<string, number> {
    return {
      streams: this.#streams.size,
      publications: this.#publications,
      bytes: this.#bytes,
      evicted_publications: this.#evicted,
      forgotten_streams: this.#forgotten,
    };
  }

  /**
   * Stores a publication and returns its stream, whose top is the publication's offset. Throws `ERR_ENGINE_FULL` if
   * the frame is larger than all that may be kept.
   */
  append(topic: string, frame: Frame, expiresMs: number | undefined, limits: HistoryLimits, nowMs: number): Stream {
    if (frame.end - frame.start > this.#limits.maxBytes / 2) {
      const message = `a publication of ${frame.end - frame.start} bytes is more than half of maxBytes, ${this.#limits.maxBytes}`;
      throw new SwitchboardError("ERR_ENGINE_FULL", message);
    }
    const stream = this.#open(topic, limits, nowMs);
    const { log } = stream;
    const [bytes, length] = [log.bytes, log.length];
    log.append(frame, nowMs, expiresMs);
    log.trim(limits.size);
    this.#bytes += log.bytes - bytes;
    this.#publications += log.length - length;
    stream.listExpiresAtMs = nowMs + limits.ttlMs;
    this.#idle.remove(stream);
    this.#filled.touch(stream);
    this.#changed?.add(stream);
    if (this.#bytes > this.#limits.maxBytes) this.#makeRoom(stream);
    return stream;
  }

  /** Reads a part of a stream. Creates the stream if there is none. */
  read(topic: string, range: HistoryRange, limits: HistoryLimits, nowMs: number): [Stream, StreamRecord[]] {
    const stream = this.#open(topic, limits, nowMs);
    return [stream, stream.log.read(range, nowMs)];
  }

  /** Removes the publications of a stream. The epoch and the top stay. */
  remove(topic: string): void {
    const stream = this.#streams.get(topic);
    if (stream === undefined) return;
    this.#empty(stream);
    this.#changed?.add(stream);
  }

  want(topic: string): void {
    this.#wanted.add(topic);
    const stream = this.#streams.get(topic);
    if (stream === undefined) return;
    stream.wanted = true;
    this.#idle.remove(stream);
  }

  unwant(topic: string, nowMs: number): void {
    if (!this.#wanted.delete(topic)) return;
    const stream = this.#streams.get(topic);
    if (stream === undefined) return;
    stream.wanted = false;
    this.#use(stream, stream.metaTtlMs, nowMs);
  }

  isWanted(topic: string): boolean {
    return this.#wanted.has(topic);
  }

  /** Frees what has expired, of the next `count` streams. */
  sweep(count: number, nowMs: number): void {
    for (let visited = 0; visited < count; visited++) {
      const { value: stream, done } = this.#swept.next();
      if (done === true) {
        this.#swept = this.#streams.values();
        return;
      }
      if (this.#expire(stream, nowMs)) this.#shrink(stream, () => stream.log.dropExpired(nowMs));
    }
  }

  /** Notes which streams change from now on, for `takeChanged`; or, with false, notes none any more. */
  noteChanges(areNoted: boolean): void {
    this.#changed = areNoted ? new Set() : undefined;
  }

  /** Returns the streams that have changed since `noteChanges` and since the last call, but for forgotten ones. */
  takeChanged(): Iterable<Stream> {
    const changed = this.#changed ?? [];
    if (this.#changed !== undefined) this.#changed = new Set();
    return changed;
  }

  /** True unless the stream was forgotten. */
  has(stream: Stream): boolean {
    return this.#streams.get(stream.topic) === stream;
  }

  /** Walks over the streams with publications, the last one published to first. Streams may change meanwhile. */
  filled(): Iterable<Stream> {
    return this.#filled.walk();
  }

  /** Returns all streams. Streams may change meanwhile. */
  all(): Iterable<Stream> {
    return this.#streams.values();
  }

  /** Takes a stream of another process, or what has become of one that was taken before. */
  put(copy: StreamCopy, runs: readonly LogRun[], shiftMs: number, nowMs: number): void {
    const known = this.#streams.get(copy.topic);
    if (known !== undefined && known.epoch !== copy.epoch) this.#forget(known);
    const stream = known?.epoch === copy.epoch ? known : this.#create(copy.topic, copy.epoch);
    const { log } = stream;
    const [bytes, length] = [log.bytes, log.length];
    for (const run of runs) log.paste(run, shiftMs);
    if (log.top !== copy.next - 1) log.restart(copy.next);
    if (copy.first === copy.next) log.clear();
    else log.trim(copy.next - copy.first);
    this.#bytes += log.bytes - bytes;
    this.#publications += log.length - length;
    stream.listExpiresAtMs = nowMs + copy.listMs;
    stream.metaTtlMs = copy.metaTtlMs;
    stream.metaExpiresAtMs = nowMs + copy.metaMs;
    this.#place(stream, copy.isRecent);
    if (this.#bytes > this.#limits.maxBytes) this.#makeRoom(stream);
  }

  /**
   * Puts a stream of another process into its list: the streams come from the newest to the oldest, then recent ones.
   */
  #place(stream: Stream, isRecent: boolean): void {
    if (stream.log.length === 0) {
      this.#filled.remove(stream);
      if (!stream.wanted) this.#idle.touch(stream);
      return;
    }
    this.#idle.remove(stream);
    if (isRecent) this.#filled.touch(stream);
    else if (stream.list === undefined) this.#filled.append(stream);
  }

  clear(): void {
    this.forgetAll();
    this.#wanted.clear();
  }

  /** Forgets all streams. What is wanted stays wanted. */
  forgetAll(): void {
    for (const stream of this.#streams.values()) this.#forget(stream);
  }

  /** Returns the stream of a topic as it is now, or a new one. */
  #open(topic: string, { metaTtlMs }: HistoryLimits, nowMs: number): Stream {
    const known = this.#streams.get(topic);
    const stream = known !== undefined && this.#expire(known, nowMs) ? known : this.#create(topic);
    this.#use(stream, metaTtlMs, nowMs);
    return stream;
  }

  #create(topic: string, epoch?: string): Stream {
    if (this.#streams.size >= this.#limits.maxStreams) {
      const oldest = this.#idle.oldest ?? this.#filled.oldest;
      if (oldest === undefined) {
        const message = `all ${this.#limits.maxStreams} streams that may be kept (maxStreams) have subscribers`;
        throw new SwitchboardError("ERR_ENGINE_FULL", message);
      }
      this.#evicted += oldest.log.length;
      this.#forgotten++;
      this.#forget(oldest);
    }
    const stream = new Stream(topic, this.#wanted.has(topic), epoch);
    this.#streams.set(topic, stream);
    this.#changed?.add(stream);
    return stream;
  }

  #use(stream: Stream, metaTtlMs: number, nowMs: number): void {
    stream.metaTtlMs = metaTtlMs;
    stream.metaExpiresAtMs = nowMs + metaTtlMs;
    if (stream.log.length === 0 && !stream.wanted) this.#idle.touch(stream);
  }

  /** Empties or forgets a stream whose time is over. Returns false if the stream was forgotten. */
  #expire(stream: Stream, nowMs: number): boolean {
    if (stream.metaExpiresAtMs <= nowMs && !stream.wanted) {
      this.#forget(stream);
      return false;
    }
    if (stream.listExpiresAtMs <= nowMs) this.#empty(stream);
    return true;
  }

  /**
   * Drops the publications of other streams, the list first whose last publish is longest ago; then the stream's own.
   */
  #makeRoom(stream: Stream): void {
    const before = this.#publications;
    while (this.#bytes > this.#limits.maxBytes) {
      const oldest = this.#filled.oldest ?? stream;
      if (oldest === stream) this.#shrink(stream, () => stream.log.dropOldestChunk());
      else this.#empty(oldest);
    }
    this.#evicted += before - this.#publications;
  }

  #empty(stream: Stream): void {
    if (stream.log.length > 0) this.#shrink(stream, () => stream.log.clear());
  }

  /** Counts what a call takes from the log of a stream. */
  #shrink(stream: Stream, drop: () => void): void {
    const { log } = stream;
    const [bytes, length] = [log.bytes, log.length];
    drop();
    this.#bytes += log.bytes - bytes;
    this.#publications += log.length - length;
    if (log.length > 0 || length === 0) return;
    this.#filled.remove(stream);
    if (!stream.wanted) this.#idle.touch(stream);
  }

  #forget(stream: Stream): void {
    this.#bytes -= stream.log.bytes;
    this.#publications -= stream.log.length;
    this.#filled.remove(stream);
    this.#idle.remove(stream);
    this.#streams.delete(stream.topic);
  }
}
