/** Short ways to write the answers of `Backend` and of the protocol's tables. The files of the client use them. */
import type { Verified } from "../../auth/token-verifier.ts";
import { type CodeWithReason, ERRORS } from "../../protocol/codes.ts";
import type { ProtocolError } from "../../protocol/messages.ts";
import type { Answer } from "../backend.ts";
import type { RefusalCause } from "../client-observer.ts";

/** An answer that isn't a decision. */
export type Refusal = Exclude<Answer<never>, { readonly kind: "result" }> & {
  /** Cause for the log. The client isn't told. */
  readonly cause?: RefusalCause;
};

/** A decision of ours, or a refusal with its cause. */
export type Decided<Result> = { readonly kind: "result"; readonly result: Result } | Refusal;

/** Adds the cause to a refusal. */
export function because(refusal: Refusal, kind: RefusalCause["kind"], detail: string): Refusal {
  return { ...refusal, cause: { kind, detail } };
}

/** The refusal of a token that isn't valid. `invalid` is the one for a token that never is. */
export function refusedToken(
  verified: Exclude<Verified<unknown>, { readonly kind: "valid" }>,
  invalid: Refusal,
): Refusal {
  switch (verified.kind) {
    case "expired":
      return because(refused(ERRORS.tokenExpired), "expired_token", "its time is over, or hasn't come");
    case "unavailable":
      return because(refused(ERRORS.internal), "token_keys_unavailable", verified.reason);
    case "invalid":
      return because(invalid, "invalid_token", verified.reason);
  }
}

export function granted<Result>(result: Result): Answer<Result> {
  return { kind: "result", result };
}

export function refused({ code, message, temporary = false }: ProtocolError): Refusal {
  return { kind: "error", code, message, temporary };
}

export function disconnected({ code, reason }: CodeWithReason): Refusal {
  return { kind: "disconnect", code, reason };
}

/** Seconds until a Unix time in seconds, at least 1; undefined for one that has come. */
export function secondsUntil(expireAt: number): number | undefined {
  const seconds = Math.ceil(expireAt - Date.now() / 1_000);
  return seconds > 0 ? seconds : undefined;
}

/** The fields of an answer about an expiry; none if there is no expiry. */
export function expiryOf(expireAt: number | undefined): { readonly expires?: boolean; readonly ttl?: number } {
  const ttl = expireAt === undefined ? undefined : secondsUntil(expireAt);
  return ttl === undefined ? {} : { expires: true, ttl };
}
