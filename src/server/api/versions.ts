/** The newest versions of publications, by channel. `Publisher` suppresses publications with older ones. */

/** Result of a publication, as JSON. */
type PublishedText = string | Promise<string>;

interface Newest {
  readonly version: bigint;
  readonly versionEpoch: string;
  readonly result: PublishedText;
}

/** Number of channels whose newest version is remembered. The channel that was published to longest ago goes first. */
const MAX_CHANNELS = 100_000;

export class Versions {
  readonly #newest = new Map<string, Newest>();
  readonly #max: number;

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
    const newest: Newest = { version, versionEpoch, result };
    // A channel that is published to goes to the end.
    this.#newest.delete(channel);
    this.#newest.set(channel, newest);
    if (this.#newest.size > this.#max) this.#newest.delete(this.#newest.keys().next().value as string);
    if (typeof result !== "string") {
      result.catch(() => {
        if (this.#newest.get(channel) !== newest) return;
        if (known === undefined) this.#newest.delete(channel);
        else this.#newest.set(channel, known);
      });
    }
    return result;
  }
}
