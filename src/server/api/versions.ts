/** The newest versions of publications, by channel. `Publisher` suppresses publications with older ones. */
import { within } from "../../runtime/scheduling/within.ts";

/** Result of a publication, as JSON. */
type PublishedText = string | Promise<string>;

interface Newest {
  readonly version: bigint;
  readonly versionEpoch: string;
  /** A text as soon as the publication has succeeded. */
  result: PublishedText;
  /** The publication before, until this one has succeeded. */
  before: Newest | undefined;
}

/** A version whose publication has succeeded. */
export interface KnownVersion {
  readonly channel: string;
  readonly version: bigint;
  readonly versionEpoch: string;
  readonly result: string;
}

/** Number of channels whose newest version is remembered. The channel that was published to longest ago goes first. */
const MAX_CHANNELS = 100_000;

export class Versions {
  readonly #newest = new Map<string, Newest>();
  readonly #max: number;
  /** Publications without a result. They never reject. */
  readonly #underWay = new Set<Promise<void>>();

  constructor(max = MAX_CHANNELS) {
    this.#max = max;
  }

  /**
   * Publishes, unless the channel had a version of the same epoch that is as high: then the result of that publication
   * is returned. A publication that fails doesn't count.
   */
  publish(channel: string, version: bigint, versionEpoch: string, publish: () => PublishedText): PublishedText {
    const known = this.#newest.get(channel);
    if (known !== undefined && known.versionEpoch === versionEpoch && known.version >= version) return known.result;
    const result = publish();
    const newest: Newest = { version, versionEpoch, result, before: undefined };
    this.#keep(channel, newest);
    if (typeof result !== "string") {
      newest.before = known;
      this.#await(channel, newest, result);
    }
    return result;
  }

  /** Resolves when all publications that were made before have a result, or after this time in ms. */
  async settled(limitMs: number): Promise<void> {
    if (this.#underWay.size === 0) return;
    await within(limitMs, Promise.all(this.#underWay));
  }

  /**
   * Returns the newest versions whose publications have succeeded, the channel that was published to last at the end.
   */
  *all(): Iterable<KnownVersion> {
    for (const [channel, newest] of this.#newest) {
      let one: Newest | undefined = newest;
      while (one !== undefined && typeof one.result !== "string") one = one.before;
      if (one === undefined) continue;
      const { version, versionEpoch } = one;
      yield { channel, version, versionEpoch, result: one.result as string };
    }
  }

  /** Remembers a version of another process. */
  put({ channel, ...known }: KnownVersion): void {
    this.#keep(channel, { ...known, before: undefined });
  }

  /** A channel that is published to goes to the end. */
  #keep(channel: string, newest: Newest): void {
    this.#newest.delete(channel);
    this.#newest.set(channel, newest);
    if (this.#newest.size > this.#max) this.#newest.delete(this.#newest.keys().next().value as string);
  }

  #await(channel: string, newest: Newest, result: Promise<string>): void {
    const settled = result.then(
      (text) => {
        newest.result = text;
        newest.before = undefined;
        this.#underWay.delete(settled);
      },
      () => {
        this.#underWay.delete(settled);
        if (this.#newest.get(channel) !== newest) return;
        if (newest.before === undefined) this.#newest.delete(channel);
        else this.#newest.set(channel, newest.before);
      },
    );
    this.#underWay.add(settled);
  }
}
