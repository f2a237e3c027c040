/**
 * The rates that a peer must keep. `Inbound` pauses or reports a peer above its rates.
 */
import { TokenBucket } from "../../runtime/scheduling/token-bucket.ts";

export interface RateOptions {
  /** Messages that a peer may send in a second. Default: any number. */
  readonly maxMessagesPerSecond?: number;
  /** Bytes on the wire that a peer may send in a second. Default: any number. */
  readonly maxBytesPerSecond?: number;
  /** What happens above a rate: its socket isn't read until it is kept again, or the connection is closed (1008). */
  readonly rateLimitPolicy: "pause" | "close";
}

/** The rates of one connection. */
export class RateLimit {
  readonly #messages: TokenBucket | undefined;
  readonly #bytes: TokenBucket | undefined;

  /** @returns undefined when there is nothing to limit */
  static of({ maxMessagesPerSecond, maxBytesPerSecond }: RateOptions, now: number): RateLimit | undefined {
    if (maxMessagesPerSecond === undefined && maxBytesPerSecond === undefined) return undefined;
    return new RateLimit(maxMessagesPerSecond, maxBytesPerSecond, now);
  }

  private constructor(messages: number | undefined, bytes: number | undefined, now: number) {
    this.#messages = messages === undefined ? undefined : new TokenBucket(messages, now);
    this.#bytes = bytes === undefined ? undefined : new TokenBucket(bytes, now);
  }

  /** @returns milliseconds for which nothing more should be taken; 0 while the rates are kept */
  took(messages: number, bytes: number, now: number): number {
    this.#messages?.take(messages, now);
    this.#bytes?.take(bytes, now);
    return Math.max(this.#messages?.owedMs ?? 0, this.#bytes?.owedMs ?? 0);
  }
}
