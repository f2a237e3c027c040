/**
 * The types and functions with which conformance cases are written. A case is data, the same for every end under test.
 */

/** One frame that the peer sends. Valid by default. The peer's role decides whether it is masked. */
export interface FrameSpec {
  readonly opcode: number;
  /** Default: empty. */
  readonly payload?: Uint8Array | string;
  readonly fin?: boolean;
  readonly rsv?: number;
  /** True inverts the masking: a server's frame is masked, a client's isn't. */
  readonly wronglyMasked?: boolean;
  /** Masking key of a masked frame. Default: a different key for each frame. */
  readonly key?: Buffer;
  /** Length field to write instead of the minimal one. */
  readonly lengthBits?: 7 | 16 | 64;
  /** Number of payload bytes to send; the peer sends nothing after them. Default: all. */
  readonly sentBytes?: number;
  /** Payload length in the header, in 64 bits, of which the peer sends no byte. */
  readonly announces?: bigint;
}

/** A message that the peer compresses in its own context. */
export interface DeflatedSpec {
  readonly opcode: number;
  readonly deflated: Uint8Array | string;
  /** Largest compressed payload of a frame, in bytes. Default: the message is one frame. */
  readonly fragmentBytes?: number;
}

/** The next thing that the peer does. `awaits` waits until that many messages and pongs in all have come. */
export type Step = FrameSpec | DeflatedSpec | { readonly awaits: number };

/** An expected answer of the end under test. Pongs may overtake messages; each kind keeps its order. */
export interface Answer {
  readonly kind: "text" | "binary" | "pong";
  readonly payload: Uint8Array | string;
}

/**
 * How the connection ends:
 * - `clean`: after all answers, the peer closes with 1000, and gets 1000 back.
 * - `echoed`: the peer's close frame is among the steps and comes back with this code. No code: an empty close frame.
 * - `failed`: the end under test closes with this code, and ends the stream first.
 */
export type Ending =
  | { readonly kind: "clean" }
  | { readonly kind: "echoed"; readonly code?: number | undefined; readonly reason: string }
  | { readonly kind: "failed"; readonly code: number };

/** Compression for the opening handshake: the setup of the end under test, and the peer's parameters. */
export interface DeflateTerms {
  /** Compression options of the end under test: a name from `COMPRESSION`. */
  readonly setup: CompressionSetup;
  readonly parameters: DeflateParameters;
}

/** Parameters of an offer or an answer. `true` is a parameter without a value, in an offer. */
export interface DeflateParameters {
  readonly serverNoContextTakeover?: boolean;
  readonly clientNoContextTakeover?: boolean;
  readonly serverMaxWindowBits?: number;
  readonly clientMaxWindowBits?: number | true;
}

/** Compression options. The threshold is 0, so that small messages are compressed, too. */
export const COMPRESSION = {
  widest: { threshold: 0, contextTakeover: true },
  narrow: { threshold: 0, contextTakeover: false, windowBits: 9 },
  medium: { threshold: 0, contextTakeover: true, windowBits: 12 },
  default: {},
} as const;

export type CompressionSetup = keyof typeof COMPRESSION;

export interface Case {
  readonly name: string;
  /** A function if the steps are large. */
  readonly steps: readonly Step[] | (() => readonly Step[]);
  /**
   * How the peer writes the bytes between two waits: all at once, a write for each frame, or in pieces of this many
   * bytes. Default: at once.
   */
  readonly cut?: "at once" | "frames" | number;
  /** Default: none. */
  readonly answers?: readonly Answer[] | (() => readonly Answer[]);
  /** Default: clean. */
  readonly end?: Ending;
  /** Default: no compression. */
  readonly deflate?: DeflateTerms;
}

export interface Category {
  readonly name: string;
  readonly cases: readonly Case[];
}

type Payload = Uint8Array | string;
type Options = Omit<FrameSpec, "opcode" | "payload">;

export const text = (payload: Payload = "", options: Options = {}): FrameSpec => ({ opcode: 0x1, payload, ...options });
export const binary = (payload: Payload = "", options: Options = {}): FrameSpec => ({
  opcode: 0x2,
  payload,
  ...options,
});
export const continuation = (payload: Payload = "", options: Options = {}): FrameSpec => ({
  opcode: 0x0,
  payload,
  ...options,
});
export const ping = (payload: Payload = "", options: Options = {}): FrameSpec => ({ opcode: 0x9, payload, ...options });
export const pong = (payload: Payload = "", options: Options = {}): FrameSpec => ({ opcode: 0xa, payload, ...options });
export const close = (payload: Payload = "", options: Options = {}): FrameSpec => ({
  opcode: 0x8,
  payload,
  ...options,
});

/** Payload of a close frame. */
export function closing(code?: number, reason: Payload = ""): Buffer {
  if (code === undefined) return Buffer.alloc(0);
  return Buffer.concat([Buffer.of(code >> 8, code & 0xff), Buffer.from(reason as string)]);
}

export const texts = (...payloads: readonly Payload[]): Answer[] =>
  payloads.map((payload) => ({ kind: "text", payload }));
export const binaries = (...payloads: readonly Payload[]): Answer[] =>
  payloads.map((payload) => ({ kind: "binary", payload }));
export const pongs = (...payloads: readonly Payload[]): Answer[] =>
  payloads.map((payload) => ({ kind: "pong", payload }));

export const failed = (code: number): Ending => ({ kind: "failed", code });

/** One message in frames with the given payloads. */
export function fragments(opcode: number, pieces: readonly Payload[]): FrameSpec[] {
  const last = pieces.length - 1;
  return pieces.map((payload, i) => ({ opcode: i === 0 ? opcode : 0x0, payload, fin: i === last }));
}

/** Splits bytes into pieces of `size` bytes. No bytes give one empty piece. */
export function slices(bytes: Uint8Array, size: number): Uint8Array[] {
  const pieces = [];
  for (let at = 0; at < bytes.length; at += size) pieces.push(bytes.subarray(at, at + size));
  return pieces.length === 0 ? [bytes] : pieces;
}

/** Each case three times: written all at once, frame by frame, and byte by byte. */
export function inAllCuts(cases: readonly Case[]): Case[] {
  return cases.flatMap((one) => [
    one,
    { ...one, name: `${one.name}, frame by frame`, cut: "frames" },
    { ...one, name: `${one.name}, byte by byte`, cut: 1 },
  ]);
}
