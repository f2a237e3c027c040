/**
 * The codes of the protocol: errors of replies, reasons of unsubscribes, and close codes. The actor of a client uses
 * them.
 *
 * Two traps of the JavaScript client: a close code counts only if the reason isn't empty, and a reason is tried as JSON
 * first. Reasons here are therefore short plain words.
 */
import type { ProtocolError } from "./messages.ts";

/** Errors in replies. `temporary`: the client tries again. Applications use 400 to 1999. */
export const ERRORS = {
  internal: { code: 100, message: "internal server error", temporary: true },
  unauthorized: { code: 101, message: "unauthorized", temporary: false },
  unknownChannel: { code: 102, message: "unknown channel", temporary: false },
  permissionDenied: { code: 103, message: "permission denied", temporary: false },
  methodNotFound: { code: 104, message: "method not found", temporary: false },
  alreadySubscribed: { code: 105, message: "already subscribed", temporary: false },
  limitExceeded: { code: 106, message: "limit exceeded", temporary: false },
  badRequest: { code: 107, message: "bad request", temporary: false },
  notAvailable: { code: 108, message: "not available", temporary: false },
  /** The client asks its application for a new token and tries again. */
  tokenExpired: { code: 109, message: "token expired", temporary: false },
  expired: { code: 110, message: "expired", temporary: false },
  tooManyRequests: { code: 111, message: "too many requests", temporary: true },
  unrecoverablePosition: { code: 112, message: "unrecoverable position", temporary: false },
  concurrentPagination: { code: 113, message: "concurrent pagination", temporary: true },
} as const satisfies Record<string, ProtocolError>;

/** A code with its reason: of a close or of an unsubscribe. */
export interface CodeWithReason {
  readonly code: number;
  readonly reason: string;
}

/**
 * Close codes. A client reconnects after 3000 to 3499 and gives up after 3500 to 3999. Applications use 4000 to 4999.
 */
export const DISCONNECTS = {
  connectionClosed: { code: 3000, reason: "connection closed" },
  shutdown: { code: 3001, reason: "shutdown" },
  serverError: { code: 3004, reason: "internal server error" },
  expired: { code: 3005, reason: "connection expired" },
  subscriptionExpired: { code: 3006, reason: "subscription expired" },
  slow: { code: 3008, reason: "slow" },
  writeError: { code: 3009, reason: "write error" },
  insufficientState: { code: 3010, reason: "insufficient state" },
  forceReconnect: { code: 3011, reason: "force reconnect" },
  noPong: { code: 3012, reason: "no pong" },
  tooManyRequests: { code: 3013, reason: "too many requests" },
  stateInvalidated: { code: 3014, reason: "state invalidated" },
  invalidToken: { code: 3500, reason: "invalid token" },
  badRequest: { code: 3501, reason: "bad request" },
  stale: { code: 3502, reason: "stale" },
  forceDisconnect: { code: 3503, reason: "force disconnect" },
  connectionLimit: { code: 3504, reason: "connection limit" },
  channelLimit: { code: 3505, reason: "channel limit" },
  inappropriateProtocol: { code: 3506, reason: "inappropriate protocol" },
  permissionDenied: { code: 3507, reason: "permission denied" },
  notAvailable: { code: 3508, reason: "not available" },
  tooManyErrors: { code: 3509, reason: "too many errors" },
} as const satisfies Record<string, CodeWithReason>;

/** Codes of unsubscribes. From 2500 on the client subscribes again; below, the subscription has ended for good. */
export const UNSUBSCRIBES = {
  server: { code: 2000, reason: "server unsubscribe" },
  insufficientState: { code: 2500, reason: "insufficient state" },
  expired: { code: 2501, reason: "subscription expired" },
  /** The client also drops its token and its position. */
  stateInvalidated: { code: 2502, reason: "state invalidated" },
} as const satisfies Record<string, CodeWithReason>;

/** Says whether a client reconnects after a close with this code. */
export function reconnectsAfter(code: number): boolean {
  return !((code >= 3500 && code < 4000) || (code >= 4500 && code < 5000) || code === 1009);
}

/** Longest reason of a close, in bytes. Source: RFC 6455 section 5.5, 125 bytes less the code. */
const MAX_REASON_BYTES = 123;

/**
 * Makes a reason of an application fit for a close frame: not empty, not JSON, without control characters, at most 123
 * bytes. A fit reason comes back unchanged.
 */
export function fitReason(reason: string): string {
  let fit = reason
    .toWellFormed()
    .replaceAll(/\p{Cc}+/gu, " ")
    .trim();
  if (fit === "") return "disconnected";
  if (isJsonText(fit)) fit = `reason: ${fit}`;
  if (Buffer.byteLength(fit) <= MAX_REASON_BYTES) return fit;
  const cut = Buffer.alloc(MAX_REASON_BYTES);
  // `Buffer.write` never writes part of a character.
  return cut.toString("utf8", 0, cut.write(fit)).trim();
}

function isJsonText(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
