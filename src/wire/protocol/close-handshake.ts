/**
 * The end of a WebSocket, without sockets and timers: which close frame is sent, which end closes the transport, and
 * what the user is told. Two drivers carry out these steps: the connection in a shard and the WebSocket in one thread.
 * Source: RFC 6455 section 7.
 */
import { CloseCode } from "./close-code.ts";
import { encodeClose, type Frame } from "./frame.ts";
import type { Role } from "./role.ts";

/**
 * The phases of a WebSocket.
 *
 * - `open`: messages go in both directions.
 * - `closingByUs`: our close frame is queued or sent, the peer's is awaited, and data is ignored.
 * - `ending`: nothing more is sent or read, and the transport is being closed.
 * - `closed`: the transport is gone.
 */
export type ClosePhase = "open" | "closingByUs" | "ending" | "closed";

/** A close code and its reason. */
export interface Closing {
  readonly code: number;
  readonly reason: string;
}

/** The step of a driver when the end of the connection is decided. The phase is `ending` from then on. */
export interface ClosingStep {
  /** Close frame to queue after all data; undefined if our close frame is out already. */
  readonly frame: Frame | undefined;
  /** Code and reason for the user. */
  readonly closing: Closing;
  /** True when both ends sent a close frame. */
  readonly wasClean: boolean;
  /**
   * True when we end our direction of the transport after all queued bytes; false when the peer ends its direction
   * first.
   */
  readonly endsTransport: boolean;
}

/** Code and reason of a peer that vanished, or that ended the transport without a close frame. */
export const LOST: Closing = { code: CloseCode.abnormal, reason: "" };

const MAX_LINGER_MS = 2_000;

/**
 * Time, in milliseconds, that each end gives the other to finish: the peer to end its direction of the transport after
 * our last byte, and the user's code to answer the messages that came before the peer's end.
 */
export function lingerMs(closeTimeoutMs: number): number {
  return Math.min(MAX_LINGER_MS, closeTimeoutMs);
}

/**
 * Decides how to end after the peer's close frame.
 *
 * @param ours code and reason of our close frame, in the phase `closingByUs`; undefined in the phase `open`
 * @param peer code and reason of the peer's close frame; code 1005 for none
 */
export function closedByPeer(role: Role, ours: Closing | undefined, peer: Closing): ClosingStep {
  const { code, reason } = peer;
  const frame = ours === undefined ? encodeClose(code === CloseCode.noStatus ? undefined : code, reason) : undefined;
  // The server ends TCP first. TIME_WAIT then stays with the server and doesn't keep the client from connecting again
  // (RFC 6455 section 7.1.1).
  return { frame, closing: ours ?? { code, reason }, wasClean: true, endsTransport: role === "server" };
}

/** Decides how to end a failed connection: the peer is told why, and its answer isn't awaited (section 7.1.7). */
export function failed(phase: ClosePhase, closing: Closing): ClosingStep {
  const frame = phase === "open" ? encodeClose(closing.code, closing.reason) : undefined;
  return { frame, closing, wasClean: false, endsTransport: true };
}

/**
 * The peer ended its direction of the transport without a close frame. Everything that was sent before still leaves.
 */
export function endedByPeer(): ClosingStep {
  return { frame: undefined, closing: LOST, wasClean: false, endsTransport: true };
}
