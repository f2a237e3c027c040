/**
 * The end of a WebSocket, without sockets and timers: which close frame is sent, who ends the transport, and what the user is told.
 * Both drivers carry these steps out: the connection in a shard and the WebSocket in one thread. Source: RFC 6455 section 7.
 */
import { CloseCode } from "./close-code.ts";
import { encodeClose, type Frame } from "./frame.ts";
import type { Role } from "./role.ts";

/**
 * - `open`: messages go both ways.
 * - `closingByUs`: our close frame is queued or sent, the peer's is awaited, and data is ignored.
 * - `ending`: nothing more is said or heard, and the transport is being closed.
 * - `closed`: the transport is gone.
 */
export type ClosePhase = "open" | "closingByUs" | "ending" | "closed";

/** A close code and its reason. */
export interface Closing {
  readonly code: number;
  readonly reason: string;
}

/** What a driver does when the end of the connection is decided. The phase is `ending` from then on. */
export interface ClosingStep {
  /** Close frame to queue after all data; undefined if our close frame is out already. */
  readonly frame: Frame | undefined;
  /** What the user is told. */
  readonly closing: Closing;
  /** True when close frames went both ways. */
  readonly wasClean: boolean;
  /** True when our direction of the transport ends after what is queued; false when the peer ends its direction first. */
  readonly endsTransport: boolean;
}

/** The peer vanished, or ended the transport without a close frame. */
export const LOST: Closing = { code: CloseCode.abnormal, reason: "" };

const MAX_LINGER_MS = 2_000;

/** Milliseconds that a peer which has been told everything gets to end its direction of the transport. */
export function lingerMs(closeTimeoutMs: number): number {
  return Math.min(MAX_LINGER_MS, closeTimeoutMs);
}

/**
 * The peer's close frame came.
 *
 * @param ours what our close frame said, in the phase `closingByUs`
 * @param peer what the peer's close frame says; `code` 1005 for none
 */
export function closedByPeer(role: Role, ours: Closing | undefined, peer: Closing): ClosingStep {
  const { code, reason } = peer;
  const frame = ours === undefined ? encodeClose(code === CloseCode.noStatus ? undefined : code, reason) : undefined;
  // The server ends TCP first, so that the side with many connections isn't left with their TIME_WAIT (section 7.1.1).
  return { frame, closing: ours ?? { code, reason }, wasClean: true, endsTransport: role === "server" };
}

/** The connection fails: the peer is told why, but isn't asked (section 7.1.7). */
export function failed(phase: ClosePhase, closing: Closing): ClosingStep {
  const frame = phase === "open" ? encodeClose(closing.code, closing.reason) : undefined;
  return { frame, closing, wasClean: false, endsTransport: true };
}

/** The peer ended its direction of the transport without a close frame. Everything that was sent before still leaves. */
export function endedByPeer(): ClosingStep {
  return { frame: undefined, closing: LOST, wasClean: false, endsTransport: true };
}
