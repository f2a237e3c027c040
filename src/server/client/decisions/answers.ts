/** Short ways to write the answers of `Backend` and of the protocol's tables. The files of the client use them. */
import type { CodeWithReason } from "../../protocol/codes.ts";
import type { ProtocolError } from "../../protocol/messages.ts";
import type { Answer } from "../backend.ts";

/** An answer that isn't a decision. */
export type Refusal = Exclude<Answer<never>, { readonly kind: "result" }>;

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

/** What a client is told about an expiry; nothing if there is none. */
export function expiryOf(expireAt: number | undefined): { readonly expires?: boolean; readonly ttl?: number } {
  const ttl = expireAt === undefined ? undefined : secondsUntil(expireAt);
  return ttl === undefined ? {} : { expires: true, ttl };
}
