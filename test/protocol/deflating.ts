import { DEFAULT_COMPRESSION, type DeflateAgreement } from "../../src/protocol/compression.ts";
import type { DecoderOptions } from "../../src/protocol/decoder.ts";
import { Deflater } from "../../src/protocol/deflater.ts";
import { Inflater } from "../../src/protocol/inflater.ts";
import { LIMITS } from "./decoding.ts";

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
