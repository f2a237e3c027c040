/** How messages are compressed with permessage-deflate. Source: RFC 7692. */
export interface CompressionOptions {
  /** Payloads shorter than this are sent as they are, in bytes. Default: 1,024. */
  readonly threshold: number;
  /** zlib's effort, from 1 (fast) to 9 (small). Default: 3, half the time of zlib's own 6 and about 5 % more bytes. */
  readonly level: number;
  /** Largest window asked for, either way, as a power of two: 9 to 15. Default: 15 (32 KiB). */
  readonly windowBits: number;
  /**
   * Whether a peer may refer to its earlier messages: it sends less, and each connection costs us its window (32 KiB) once
   * it has. Default: false.
   */
  readonly contextTakeover: boolean;
}

export const DEFAULT_COMPRESSION: CompressionOptions = {
  threshold: 1024,
  level: 3,
  windowBits: 15,
  contextTakeover: false,
};

/**
 * What the two ends of a connection agreed on, seen from one of them. What it sends is compressed message by message, so that one
 * compressed frame serves many peers; whether it could take over its own context doesn't matter.
 */
export interface DeflateAgreement {
  /** Window of what we send, 8 to 15. With 8 everything leaves as it is: zlib can't compress with so small a window. */
  readonly windowBits: number;
  /** Window of what the peer sends, 8 to 15. */
  readonly peerWindowBits: number;
  /** Whether the peer may refer to its earlier messages. */
  readonly peerContextTakeover: boolean;
}
