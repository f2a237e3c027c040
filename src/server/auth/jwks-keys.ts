/** The public keys that an identity provider publishes at an endpoint (JWKS, RFC 7517). */
import { compactVerify, createLocalJWKSet, errors } from "jose";
import type { CompactToken } from "./compact-token.ts";
import { type SignatureKeys, type SignatureResult, UNUSABLE_ALGORITHM, VALID, WRONG_SIGNATURE } from "./signature.ts";

/** No HMAC: a secret isn't published. */
const ALGORITHMS = ["RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"];
const FETCH_TIMEOUT_MS = 1_000;
const FETCH_ATTEMPTS = 2;
/** Time after which the keys are fetched again. */
const FRESH_MS = 60 * 60 * 1_000;
/** Time for which the keys count while the endpoint gives no new ones. */
const USABLE_MS = 24 * 60 * 60 * 1_000;
/** Least time between two fetches: tokens with unknown keys can't make the server call the endpoint all the time. */
const MIN_FETCH_INTERVAL_MS = 5_000;
const MAX_BODY_BYTES = 262_144;

const UNKNOWN_KEY: SignatureResult = Object.freeze({ kind: "invalid", reason: "the token's key isn't in the key set" });
const NO_KEY_NAMED: SignatureResult = Object.freeze({
  kind: "invalid",
  reason: "the token names no key (kid), and several fit",
});

export class JwksKeys implements SignatureKeys {
  readonly #endpoint: string;
  readonly #now: () => number;
  #keys: ReturnType<typeof createLocalJWKSet> | undefined;
  /** Time of the last fetch that gave keys, in ms. */
  #fetchedAt = Number.NEGATIVE_INFINITY;
  /** Time at which the last fetch ended, in ms. */
  #triedAt = Number.NEGATIVE_INFINITY;
  /** Why the last fetch gave no keys. */
  #fault = "";
  /** The fetch that is under way. All tokens wait for the same one. */
  #fetching: Promise<void> | undefined;

  /** `now` is the time in ms since 1970. */
  constructor(endpoint: string, now: () => number) {
    this.#endpoint = endpoint;
    this.#now = now;
  }

  async check(token: CompactToken): Promise<SignatureResult> {
    if (!ALGORITHMS.includes(token.algorithm)) return UNUSABLE_ALGORITHM;
    if (!this.#isWithin(FRESH_MS, this.#fetchedAt)) await this.#fetchOnceInAWhile();
    const result = await this.#checkWithKeys(token);
    if (result !== UNKNOWN_KEY) return result;
    // The provider may have changed its keys.
    const fetchedAt = this.#fetchedAt;
    await this.#fetchOnceInAWhile();
    return this.#fetchedAt === fetchedAt ? result : this.#checkWithKeys(token);
  }

  async #checkWithKeys(token: CompactToken): Promise<SignatureResult> {
    const keys = this.#isWithin(USABLE_MS, this.#fetchedAt) ? this.#keys : undefined;
    if (keys === undefined) return { kind: "unavailable", reason: `the JWKS endpoint gives no keys: ${this.#fault}` };
    try {
      await compactVerify(token.text, keys, { algorithms: ALGORITHMS });
      return VALID;
    } catch (error) {
      if (error instanceof errors.JWKSNoMatchingKey) return UNKNOWN_KEY;
      return error instanceof errors.JWKSMultipleMatchingKeys ? NO_KEY_NAMED : WRONG_SIGNATURE;
    }
  }

  async #fetchOnceInAWhile(): Promise<void> {
    if (this.#fetching === undefined && this.#isWithin(MIN_FETCH_INTERVAL_MS, this.#triedAt)) return;
    this.#fetching ??= this.#fetch().finally(() => {
      this.#triedAt = this.#now();
      this.#fetching = undefined;
    });
    await this.#fetching;
  }

  /** False also if the clock was set back: nothing waits until the clock is there again. */
  #isWithin(ms: number, since: number): boolean {
    const elapsed = this.#now() - since;
    return elapsed >= 0 && elapsed < ms;
  }

  async #fetch(): Promise<void> {
    for (let attempt = 0; attempt < FETCH_ATTEMPTS; attempt++) {
      try {
        this.#keys = await fetchKeys(this.#endpoint);
        this.#fetchedAt = this.#now();
        return;
      } catch (error) {
        this.#fault = describe(error);
      }
    }
  }
}

/** The endpoint answered, but not with keys. The message has nothing from the answer's body. */
class AnswerError extends Error {}

/** An address may have a password in it, so messages of `fetch` aren't passed on. */
function describe(error: unknown): string {
  if (error instanceof AnswerError) return error.message;
  if (error instanceof errors.JWKSInvalid || error instanceof SyntaxError) return "its answer isn't a key set";
  const isLate = error instanceof Error && error.name === "TimeoutError";
  return isLate ? `it didn't answer within ${FETCH_TIMEOUT_MS} ms` : "it can't be reached";
}

/** Rejects if the endpoint is silent for too long, fails, or answers something else than a key set. */
async function fetchKeys(endpoint: string): Promise<ReturnType<typeof createLocalJWKSet>> {
  const response = await fetch(endpoint, {
    headers: { accept: "application/json" },
    redirect: "manual",
    signal: AbortSignal.timeout(FETCH_TIMEOUT_MS),
  });
  const body = await readBody(response);
  if (response.status !== 200) throw new AnswerError(`its answer has status ${response.status}`);
  return createLocalJWKSet(JSON.parse(body));
}

/** Reads the body to its end, so that the connection can be used again. Throws if it is too long. */
async function readBody(response: Response): Promise<string> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of response.body ?? []) {
    bytes += part.length;
    if (bytes > MAX_BODY_BYTES) throw new AnswerError(`its answer has more than ${MAX_BODY_BYTES} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts).toString();
}
