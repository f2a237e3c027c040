/** Checks connection and subscription tokens (JWT, RFC 7519). The client's actor asks it. */
import type { TokenKeys } from "../config/config.ts";
import {
  ClaimError,
  type ConnectionToken,
  readConnection,
  readSubscription,
  type SubscriptionToken,
  timeOf,
} from "./claims.ts";
import { parseObject, splitToken } from "./compact-token.ts";
import { ConfiguredKeys } from "./configured-keys.ts";
import { JwksKeys } from "./jwks-keys.ts";
import type { SignatureKeys } from "./signature.ts";

/** `reason` is a sentence for a log, without any part of a token or a key. */
export type Verified<Token> =
  | { readonly kind: "valid"; readonly claims: Token }
  /** The token was valid once, or will be: the client may ask for a new one. */
  | { readonly kind: "expired" }
  | { readonly kind: "invalid"; readonly reason: string }
  /** The keys can't be had now. The same token may be valid later. */
  | { readonly kind: "unavailable"; readonly reason: string };

type Claims = Readonly<Record<string, unknown>>;

const EXPIRED = Object.freeze({ kind: "expired" });

export class TokenVerifier {
  readonly #keys: SignatureKeys;
  readonly #audience: string;
  readonly #issuer: string;
  readonly #userIdClaim: string;
  readonly #now: () => number;

  /**
   * A JWKS endpoint takes the place of all other keys. `now` is the time in ms since 1970. Throws `ERR_OPTION` for a
   * public key that can't be used.
   */
  constructor(keys: TokenKeys, now: () => number = Date.now) {
    const { jwksPublicEndpoint } = keys;
    this.#keys = jwksPublicEndpoint === "" ? new ConfiguredKeys(keys, now) : new JwksKeys(jwksPublicEndpoint, now);
    this.#audience = keys.audience;
    this.#issuer = keys.issuer;
    this.#userIdClaim = keys.userIdClaim || "sub";
    this.#now = now;
  }

  /** Never rejects. */
  verifyConnection(token: string): Promise<Verified<ConnectionToken>> {
    return this.#verify(token, readConnection);
  }

  /** Never rejects. `isTokenFor` says whether the token is for the client's subscription. */
  verifySubscription(token: string): Promise<Verified<SubscriptionToken>> {
    return this.#verify(token, readSubscription);
  }

  async #verify<Token>(text: string, read: (claims: Claims, userIdClaim: string) => Token): Promise<Verified<Token>> {
    const token = splitToken(text);
    if (token === undefined) return invalid("it isn't a signed token");
    const signature = await this.#keys.check(token);
    if (signature.kind !== "valid") return signature;
    const claims = parseObject(token.payload);
    if (claims === undefined) return invalid("its payload isn't a JSON object");
    try {
      if (!this.#isForUs(claims)) return invalid("it is from another issuer or for another audience");
      if (!this.#isInTime(claims)) return EXPIRED;
      return { kind: "valid", claims: read(claims, this.#userIdClaim) };
    } catch (error) {
      return invalid(error instanceof ClaimError ? error.message : "a claim can't be read");
    }
  }

  #isForUs({ iss, aud }: Claims): boolean {
    if (this.#issuer !== "" && iss !== this.#issuer) return false;
    return this.#audience === "" || (Array.isArray(aud) ? aud.includes(this.#audience) : aud === this.#audience);
  }

  #isInTime(claims: Claims): boolean {
    const seconds = this.#now() / 1_000;
    const { exp = Number.POSITIVE_INFINITY, nbf = 0 } = { exp: timeOf(claims, "exp"), nbf: timeOf(claims, "nbf") };
    return nbf <= seconds && seconds < exp;
  }
}

function invalid(reason: string): { readonly kind: "invalid"; readonly reason: string } {
  return { kind: "invalid", reason };
}
