/** The close codes that Switchboard itself uses. Source: RFC 6455 section 7.4.1 and the IANA registry. */
export const CloseCode = {
  normal: 1000,
  goingAway: 1001,
  protocolError: 1002,
  /** The peer's close frame had no code. Never sent. */
  noStatus: 1005,
  /** The connection ended without a close frame. Never sent. */
  abnormal: 1006,
  invalidPayload: 1007,
  policyViolation: 1008,
  messageTooBig: 1009,
  internalError: 1011,
  serviceRestart: 1012,
  tryAgainLater: 1013,
} as const;

/** Longest reason, in bytes of UTF-8: the 125 of a control frame less the 2 of the code (RFC 6455 section 5.5). */
export const MAX_REASON_BYTES = 123;

/**
 * True when a close frame may carry this code: 1000 to 1003 and 1007 to 1014, which the registry assigns, and 3000 to
 * 4999. The codes 1004, 1005, 1006 and 1015 are reserved; all others are unassigned. Source: RFC 6455 section 7.4.
 */
export function isWireCloseCode(code: number): boolean {
  if (!Number.isInteger(code)) return false;
  if (code >= 3000) return code <= 4999;
  return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014);
}
