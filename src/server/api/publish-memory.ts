/**
 * The memory of publishes in this process: idempotency keys of channels without history, and the newest versions.
 * `Publisher` asks here. In a takeover the next process gets all of it.
 */
import { IdempotencyKeys } from "../../runtime/streams/memory/idempotency-keys.ts";
import { builtins } from "../../wire/node-internals/builtins.ts";
import { ApiError } from "./api-error.ts";
import { packTexts, type TextColumn, unpackTexts } from "./text-column.ts";
import { Versions } from "./versions.ts";

/**
 * The memory on its way to another process, in columns. A change that the other
 * version can't read is a new `format` of `ServerState`.
 */
export interface PublishMemoryCopy {
  readonly keys: {
    readonly names: TextColumn;
    /** Time in ms for which each key is still known. */
    readonly leftMs: Int32Array;
  };
  readonly versions: {
    readonly channels: TextColumn;
    readonly versions: BigUint64Array;
    readonly versionEpochs: TextColumn;
    /** JSON of the results. */
    readonly results: TextColumn;
  };
}

/** Number of idempotency keys of channels without history that are remembered, each for 5 minutes. */
const MAX_KEYS = 100_000;
/** Number of expired keys that one publish removes at most. */
const SWEPT_AT_ONCE = 16;
/** Longest key that the topics take. A longer one is replaced by its hash. */
const MAX_KEY_LENGTH = 128;
/** Position in a result for a channel without history. */
const NO_POSITION = { epoch: "", offset: 0 };
/** Bytes of keys, and of versions, that go to the next process at most, counted as two for a character: the newest. */
const MAX_BYTES = 24 * 1024 * 1024;
/** Bytes of an entry beside its texts. */
const ENTRY_BYTES = 20;
/** Time in ms for which a copy waits for results of publications. */
const RESULTS_LIMIT_MS = 100;

export class PublishMemory {
  readonly #versions = new Versions();
  readonly #keys = new IdempotencyKeys(MAX_KEYS);
  readonly #maxBytes: number;
  #isGiven = false;
  /** A copy of another process that was taken, and isn't unpacked yet. */
  #packed: PublishMemoryCopy | undefined;

  constructor(maxBytes = MAX_BYTES) {
    this.#maxBytes = maxBytes;
  }

  /** The newest versions. Throws an `ApiError` if they are in another process. */
  get versions(): Versions {
    this.#prepare();
    return this.#versions;
  }

  /**
   * True if a channel has had this key in the last 5 minutes. Remembers the key. Throws an `ApiError` if the keys are
   * in another process.
   */
  isKnown(channel: string, key: string): boolean {
    this.#prepare();
    const nowMs = Date.now();
    this.#keys.sweep(SWEPT_AT_ONCE, nowMs);
    if (this.#keys.find(channel, fitKey(key), nowMs) !== undefined) return true;
    this.#keys.add(channel, fitKey(key), NO_POSITION, nowMs);
    return false;
  }

  /**
   * Gives a copy to another process. Nothing is remembered here from now on, until `goOn`: a publish that asks gets an
   * error. A publication that has no result after 100 ms doesn't count.
   */
  async give(): Promise<PublishMemoryCopy> {
    this.unpack();
    this.#isGiven = true;
    await this.#versions.settled(RESULTS_LIMIT_MS);
    const nowMs = Date.now();
    const keys = this.#newest(this.#keys.all(), ([name]) => name.length);
    const versions = this.#newest(this.#versions.all(), ({ channel, versionEpoch, result }) => {
      return channel.length + versionEpoch.length + result.length;
    });
    const leftMs = new Int32Array(keys.length);
    for (const [index, [, { expiresAtMs }]] of keys.entries()) leftMs[index] = expiresAtMs - nowMs;
    return {
      keys: { names: packTexts(keys.map(([name]) => name)), leftMs },
      versions: {
        channels: packTexts(versions.map(({ channel }) => channel)),
        versions: new BigUint64Array(versions.map(({ version }) => version)),
        versionEpochs: packTexts(versions.map(({ versionEpoch }) => versionEpoch)),
        results: packTexts(versions.map(({ result }) => result)),
      },
    };
  }

  /** The takeover has failed: everything goes on here. */
  goOn(): void {
    this.#isGiven = false;
  }

  /** Takes the memory of another process. Before anything else was remembered here. */
  take(copy: PublishMemoryCopy): void {
    this.#packed = copy;
  }

  /**
   * Unpacks what was taken, if something else hasn't needed it before: all clients stand still until `take` returns.
   */
  unpack(): void {
    const copy = this.#packed;
    if (copy === undefined) return;
    this.#packed = undefined;
    const { keys, versions } = copy;
    const nowMs = Date.now();
    for (const [index, name] of unpackTexts(keys.names).entries()) {
      const leftMs = keys.leftMs[index] ?? 0;
      if (leftMs > 0) this.#keys.put(name, { position: NO_POSITION, expiresAtMs: nowMs + leftMs }, nowMs);
    }
    const versionEpochs = unpackTexts(versions.versionEpochs);
    const results = unpackTexts(versions.results);
    for (const [index, channel] of unpackTexts(versions.channels).entries()) {
      const [version = 0n, versionEpoch = "", result = "{}"] = [
        versions.versions[index],
        versionEpochs[index],
        results[index],
      ];
      this.#versions.put({ channel, version, versionEpoch, result });
    }
  }

  #prepare(): void {
    this.unpack();
    if (this.#isGiven) throw new ApiError(100, "another process takes over from this one: send the command again");
  }

  /** Returns the last entries, as many as there is room for. */
  #newest<Entry>(all: Iterable<Entry>, lengthOf: (entry: Entry) => number): readonly Entry[] {
    const entries = [...all];
    let first = entries.length;
    for (let left = this.#maxBytes; first > 0; first--) {
      left -= ENTRY_BYTES + 2 * lengthOf(entries[first - 1] as Entry);
      if (left < 0) break;
    }
    return first === 0 ? entries : entries.slice(first);
  }
}

/** Returns a key that topics take: one that is too long becomes a hash. */
export function fitKey(key: string): string {
  return key.length <= MAX_KEY_LENGTH ? key : builtins.crypto.createHash("sha256").update(key).digest("hex");
}
