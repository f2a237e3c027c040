import type { CompressionOptions, DeflateAgreement } from "../protocol/deflate/compression.ts";
import { type Deflater, Deflaters } from "../protocol/deflate/deflater.ts";
import type { Role } from "../protocol/role.ts";

/** What the opening handshake agreed on. */
export interface Agreement {
  readonly role: Role;
  readonly protocol: string;
  readonly extensions: string;
  /** How messages are compressed; undefined for not at all. */
  readonly deflate: DeflateAgreement | undefined;
}

/** One for each set of options, so that what is sent to many is compressed once. */
const deflaters = new WeakMap<CompressionOptions, Deflaters>();

export function deflaterFor({ windowBits }: DeflateAgreement, options: CompressionOptions): Deflater | undefined {
  let all = deflaters.get(options);
  if (all === undefined) {
    all = new Deflaters(options);
    deflaters.set(options, all);
  }
  return all.get(windowBits);
}
