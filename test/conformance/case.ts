/** The words that conformance cases are written in: data, the same whichever end is under test. */

/** One frame that the peer sends, well-formed unless told otherwise. Its masking follows from the peer's role. */
export interface FrameSpec {
  readonly opcode: number;
  /** Default: nothing. */
  readonly payload?: Uint8Array | string;
  readonly fin?: boolean;
  readonly rsv?: number;
  /** Masked where it mustn't be, unmasked where it must. */
  readonly wronglyMasked?: boolean;
  /** The masking key where there is masking. Default: another one for each frame. */
  readonly key?: Buffer;
  /** Length field to write instead of the minimal one. */
  readonly lengthBits?: 7 | 16 | 64;
  /** Only so many bytes of the payload are sent, and nothing after. Default: all. */
  readonly sentBytes?: number;
  /** A payload length for the header to say, in 64 bits, while nothing of it is sent. */
  readonly announces?: bigint;
}

/** A message that the peer compresses in its own context, in frames of at most so many bytes of compressed payload. */
export interface DeflatedSpec {
  readonly opcode: number;
  readonly deflated: Uint8Array | string;
  /** Default: one frame. */
  readonly fragmentBytes?: number;
}

/** What the peer does next. With `awaits` it waits until so many messages and pongs have come in all. */
export type Step = FrameSpec | DeflatedSpec | { readonly awaits: number };

/** What the end under test is to answer. Pongs may overtake messages; each kind keeps its order. */
export interface Answer {
  readonly kind: "text" | "binary" | "pong";
  readonly payload: Uint8Array | string;
}

/**
 * How the connection is to end:
 * - `clean`: when all answers are in, the peer closes with 1000, and gets that back;
 * - `echoed`: the peer's close frame is among the steps; this one comes back. No code: an empty one;
 * - `failed`: the end under test closes with this code, and ends the stream first.
 */
export type Ending =
  | { readonly kind: "clean" }
  | { readonly kind: "echoed"; readonly code?: number | undefined; readonly reason: string }
  | { readonly kind: "failed"; readonly code: number };

/** What the peer says in the opening handshake of a connection with compression. */
export interface DeflateTerms {
  /** How the end under test is set up: a name from `COMPRESSION`. */
  readonly setup: CompressionSetup;
  readonly parameters: DeflateParameters;
}

/** Of an offer (where `true` is a parameter without a value) or an answer. */
export interface DeflateParameters {
  readonly serverNoContextTakeover?: boolean;
  readonly clientNoContextTakeover?: boolean;
  readonly serverMaxWindowBits?: number;
  readonly clientMaxWindowBits?: number | true;
}

/** Everything is compressed, so that small messages are in it too. */
export const COMPRESSION = {
  widest: { threshold: 0, contextTakeover: true },
  narrow: { threshold: 0, contextTakeover: false, windowBits: 9 },
  medium: { threshold: 0, contextTakeover: true, windowBits: 12 },
  default: {},
} as const;

export type CompressionSetup = keyof typeof COMPRESSION;

export interface Case {
  readonly name: string;
  /** A function where they are large. */
  readonly steps: readonly Step[] | (() => readonly Step[]);
  /** How the bytes between two waits are written: all at once, a write for each frame, or in pieces of so many bytes. Default: at once. */
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

/** A close frame's payload. */
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

/** One message in frames of the given payloads. */
export function fragments(opcode: number, pieces: readonly Payload[]): FrameSpec[] {
  const last = pieces.length - 1;
  return pieces.map((payload, i) => ({ opcode: i === 0 ? opcode : 0x0, payload, fin: i === last }));
}

/** Bytes in pieces of a size; one empty piece for none. */
export function slices(bytes: Uint8Array, size: number): Uint8Array[] {
  const pieces = [];
  for (let at = 0; at < bytes.length; at += size) pieces.push(bytes.subarray(at, at + size));
  return pieces.length === 0 ? [bytes] : pieces;
}

/** Each case as the peer may cut its bytes: all at once, frame by frame, byte by byte. */
export function inAllCuts(cases: readonly Case[]): Case[] {
  return cases.flatMap((one) => [
    one,
    { ...one, name: `${one.name}, frame by frame`, cut: "frames" },
    { ...one, name: `${one.name}, byte by byte`, cut: 1 },
  ]);
}
