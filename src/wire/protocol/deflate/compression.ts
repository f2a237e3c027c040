/** The options of permessage-deflate, and what a handshake negotiated about it. Source: RFC 7692. */

/** Options of the compression of messages with permessage-deflate. */
export interface CompressionOptions {
  /** Shortest payload that is compressed, in bytes. Default: 1,024. */
  readonly threshold: number;
  /**
   * Effort of zlib, from 1 (fast) to 9 (small). Default: 3, which takes half the time of zlib's own default (6) and
   * gives about 5 % more bytes.
   */
  readonly level: number;
  /** Largest window to negotiate, in either direction, as a power of two: 9 to 15. Default: 15 (32 KiB). */
  readonly windowBits: number;
  /**
   * True when a peer may refer to its earlier messages. The peer then sends less, and its connection keeps a window (up
   * to 32 KiB) from its first message on. Default: false.
   */
  readonly contextTakeover: boolean;
}

/** The values of the options that an application leaves out. */
export const DEFAULT_COMPRESSION: CompressionOptions = {
  threshold: 1024,
  level: 3,
  windowBits: 15,
  contextTakeover: false,
};

/**
 * The parameters that the two ends of a connection negotiated, seen from our end. Our own context takeover is not among
 * them: we compress each message by itself, so that one compressed frame serves many peers.
 */
export interface DeflateAgreement {
  /** Window of our messages, as a power of two: 8 to 15. With 8 we send uncompressed, because zlib needs 9 or more. */
  readonly windowBits: number;
  /** Window of the peer's messages, as a power of two: 8 to 15. */
  readonly peerWindowBits: number;
  /** True when the peer may refer to its earlier messages. */
  readonly peerContextTakeover: boolean;
}
