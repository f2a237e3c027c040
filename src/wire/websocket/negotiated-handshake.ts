/**
 * The result of an opening handshake, from which `upgradeConnection` and `connect` make a `WebSocket`.
 */
import type { CompressionOptions, DeflateAgreement } from "../protocol/deflate/compression.ts";
import { type Deflater, Deflaters } from "../protocol/deflate/deflater.ts";
import type { Role } from "../protocol/role.ts";

/** Agreement of both ends in the opening handshake. */
export interface NegotiatedHandshake {
  readonly role: Role;
  /** Subprotocol, or "" for none. */
  readonly protocol: string;
  /** Value of the `Sec-WebSocket-Extensions` header, or "" for none. */
  readonly extensions: string;
  /** Parameters of the compression; undefined for no compression. */
  readonly deflate: DeflateAgreement | undefined;
}

/** Deflaters for each set of options: WebSockets that share options compress a message once. */
const deflaters = new WeakMap<CompressionOptions, Deflaters>();

export function deflaterFor({ windowBits }: DeflateAgreement, options: CompressionOptions): Deflater | undefined {
  let all = deflaters.get(options);
  if (all === undefined) {
    all = new Deflaters(options);
    deflaters.set(options, all);
  }
  return all.get(windowBits);
}
