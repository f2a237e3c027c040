/**
 * The result of a signature check, and the interface of the check. The configured keys and the key set of an endpoint
 * implement it.
 */
import type { CompactToken } from "./compact-token.ts";

/** `reason` is a sentence for a log, without any part of a token or a key. */
export type SignatureResult =
  | { readonly kind: "valid" }
  | { readonly kind: "invalid"; readonly reason: string }
  /** The keys can't be had now. The same token may be valid later. */
  | { readonly kind: "unavailable"; readonly reason: string };

/** Never rejects. */
export interface SignatureKeys {
  check(token: CompactToken): SignatureResult | Promise<SignatureResult>;
}

export const VALID: SignatureResult = Object.freeze({ kind: "valid" });
export const WRONG_SIGNATURE: SignatureResult = Object.freeze({ kind: "invalid", reason: "the signature is wrong" });
export const UNUSABLE_ALGORITHM: SignatureResult = Object.freeze({
  kind: "invalid",
  reason: "there is no key for the token's algorithm",
});
