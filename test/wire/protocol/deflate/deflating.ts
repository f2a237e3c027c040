/** Deflaters and decoder options for tests of compression. */
import type { DecoderOptions } from "../../../../src/wire/protocol/decoding/decoder.ts";
import { DEFAULT_COMPRESSION, type DeflateAgreement } from "../../../../src/wire/protocol/deflate/compression.ts";
import { Deflater } from "../../../../src/wire/protocol/deflate/deflater.ts";
import { Inflater } from "../../../../src/wire/protocol/deflate/inflater.ts";
import { LIMITS } from "../decoding/decoding.ts";

type PeerAgreement = Omit<DeflateAgreement, "windowBits">;

export function createInflater(agreement: Partial<PeerAgreement> = {}): Inflater {
  return new Inflater({ peerWindowBits: 15, peerContextTakeover: false, ...agreement });
}

/** A deflater for messages of any length. */
export function createDeflater(windowBits = 15): Deflater {
  return new Deflater(windowBits, { ...DEFAULT_COMPRESSION, threshold: 0 });
}

/** Options of a decoder on a connection with compression. */
export function compressed(agreement: Partial<PeerAgreement> = {}): DecoderOptions {
  return { ...LIMITS, inflater: createInflater(agreement) };
}
