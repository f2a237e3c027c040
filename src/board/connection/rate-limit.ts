/**
 * The rates that a peer must keep. `Inbound` pauses or reports a peer above its rates.
 */
import { TokenBucket } from "../../runtime/scheduling/token-bucket.ts";

export interface RateOptions {
  /** Number of messages that a peer may send in a second. Default: no limit. */
  readonly maxMessagesPerSecond?: number;
  /** Number of bytes on the wire that a peer may send in a second. Default: no limit. */
  readonly maxBytesPerSecond?: number;
  /**
   * Treatment of a peer above a rate. `pause`: the connection isn't read until the peer is within its rates again.
   * `close`: the connection is closed with 1008. Default: `pause`.
   */
  readonly rateLimitPolicy: "pause" | "close";
}

/** Tokens of the rates of one connection; undefined for a rate that isn't limited. */
export interface RateState {
  readonly messages: number | undefined;
  readonly bytes: number | undefined;
}

/** The rates of one connection. */
export class RateLimit {
  readonly #messages: TokenBucket | undefined;
  readonly #bytes: TokenBucket | undefined;

  /**
   * Creates the rates of a connection. Returns undefined if none are set.
   *
   * @param now time in milliseconds. Default: that of `performance.now`
   */
  static of({ maxMessagesPerSecond, maxBytesPerSecond }: RateOptions, now?: number): RateLimit | undefined {
    if (maxMessagesPerSecond === undefined && maxBytesPerSecond === undefined) return undefined;
    return new RateLimit(maxMessagesPerSecond, maxBytesPerSecond, now ?? performance.now());
  }

  private constructor(messages: number | undefined, bytes: number | undefined, now: number) {
    this.#messages = messages === undefined ? undefined : new TokenBucket(messages, now);
    this.#bytes = bytes === undefined ? undefined : new TokenBucket(bytes, now);
  }

  /** Takes the tokens out, for `load`. */
  save(now: number): RateState {
    return { messages: this.#messages?.save(now), bytes: this.#bytes?.save(now) };
  }

  /** Goes on with the tokens of another connection. Returns the time for which nothing should be read, in ms. */
  load({ messages, bytes }: RateState, now: number): number {
    if (messages !== undefined) this.#messages?.load(messages, now);
    if (bytes !== undefined) this.#bytes?.load(bytes, now);
    return this.took(0, 0, now);
  }

  /**
   * Records messages and bytes that the peer sent.
   *
   * @param now time in milliseconds
   * @returns milliseconds for which nothing more should be read; 0 while the peer is within its rates
   */
  took(messages: number, bytes: number, now: number): number {
    this.#messages?.take(messages, now);
    this.#bytes?.take(bytes, now);
    return Math.max(this.#messages?.owedMs ?? 0, this.#bytes?.owedMs ?? 0);
  }
}
