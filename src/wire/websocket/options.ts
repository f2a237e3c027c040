/** The options of a `WebSocket`, with their checks and defaults. `connect` and `upgradeConnection` take them. */
import { checkNames, checkOption, integer, MAX_INT32, type OptionCheck } from "../handshake/option-check.ts";
import { type CompressionOptions, DEFAULT_COMPRESSION } from "../protocol/deflate/compression.ts";

/** Limits and times of one WebSocket. Times are in milliseconds, sizes in bytes. */
export interface WebSocketOptions {
  /** Longest message. A longer one is refused at its header (1009). Default: 1 MiB. */
  readonly maxPayloadBytes?: number;
  /** Largest number of frames in one message, empty ones included (1008). Default: 131,072. */
  readonly maxFragments?: number;
  /**
   * Messages that may wait for their reader. When so many wait, the socket isn't read until half of them are taken.
   * Default: 64.
   */
  readonly maxInboxMessages?: number;
  /** The same limit in bytes of payload. Default: 1 MiB. */
  readonly maxInboxBytes?: number;
  /**
   * Bytes that may wait for a peer that doesn't read. While more wait, `send` refuses messages. A caller that awaits
   * each `send` never reaches the limit. Default: 16 MiB.
   */
  readonly maxBufferedBytes?: number;
  /** A peer that is silent for so long gets a ping. Default: 0, no pings. */
  readonly pingIntervalMs?: number;
  /** The connection is closed when the peer stays silent for so long after a ping. Default: 10,000. */
  readonly pongTimeoutMs?: number;
  /**
   * Time to send what is queued, and for the peer to answer our close frame. After the peer's own end, messages before
   * it may be answered for so long, and for 2 s at most. Default: 10,000.
   */
  readonly closeTimeoutMs?: number;
  /**
   * Compresses messages (permessage-deflate, RFC 7692) if the peer does too. `true`: with the defaults. Default: false.
   */
  readonly compression?: boolean | Partial<CompressionOptions>;
}

type Limits = Required<Omit<WebSocketOptions, "compression">>;

/** The options with all defaults filled in. */
export interface WebSocketSettings extends Limits {
  readonly compression: CompressionOptions | undefined;
}

const defaults: Limits = {
  maxPayloadBytes: 1024 * 1024,
  // Conformance suites send messages of 65,537 fragments.
  maxFragments: 131_072,
  maxInboxMessages: 64,
  maxInboxBytes: 1024 * 1024,
  maxBufferedBytes: 16 * 1024 * 1024,
  pingIntervalMs: 0,
  pongTimeoutMs: 10_000,
  closeTimeoutMs: 10_000,
};

export const webSocketChecks = {
  maxPayloadBytes: integer(1, MAX_INT32),
  maxFragments: integer(1, MAX_INT32),
  maxInboxMessages: integer(1, MAX_INT32),
  maxInboxBytes: integer(1, MAX_INT32),
  maxBufferedBytes: integer(1, MAX_INT32),
  pingIntervalMs: { ...integer(0, MAX_INT32), takes: `an integer from 1 to ${MAX_INT32}, or 0 for no pings` },
  pongTimeoutMs: integer(1, MAX_INT32),
  closeTimeoutMs: integer(1, MAX_INT32),
  compression: { takes: "true, false or an object", accepts: (value) => typeof value === "boolean" || isObject(value) },
} as const satisfies Record<keyof WebSocketOptions, OptionCheck>;

const compressionChecks: Record<keyof CompressionOptions, OptionCheck> = {
  threshold: integer(0, MAX_INT32),
  level: integer(1, 9),
  windowBits: integer(9, 15),
  contextTakeover: { takes: "true or false", accepts: (value) => typeof value === "boolean" },
};

export const timeout = integer(1, MAX_INT32);

/** Throws `ERR_OPTION` for the first option that is unknown or out of range, with its name and what it takes. */
export function checkOptions(call: string, options: object, checks: Readonly<Record<string, OptionCheck>>): void {
  checkNames(call, options, Object.keys(checks));
  for (const [name, value] of Object.entries(options)) {
    if (value !== undefined) checkOption(call, name, value, checks[name] as OptionCheck);
  }
}

/** Fills in the defaults of options that have been checked. */
export function webSocketSettings(options: WebSocketOptions): WebSocketSettings {
  const limits = { ...defaults };
  for (const name of Object.keys(defaults) as (keyof Limits)[]) limits[name] = options[name] ?? defaults[name];
  return { ...limits, compression: compressionSettings(options.compression) };
}

function compressionSettings(options: WebSocketOptions["compression"] = false): CompressionOptions | undefined {
  if (typeof options === "boolean") return options ? DEFAULT_COMPRESSION : undefined;
  checkOptions("compression", options, compressionChecks);
  return { ...DEFAULT_COMPRESSION, ...options };
}

function isObject(value: unknown): boolean {
  return typeof value === "object" && value !== null;
}
