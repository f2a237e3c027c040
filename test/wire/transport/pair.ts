/** The pair of a transport and its peer, as the contract tests need it. */
import { once } from "node:events";
import type { Duplex } from "node:stream";
import type { Transport } from "../../../src/wire/transport/transport.ts";

/** A transport, and its peer's end. */
export interface TransportPair {
  readonly transport: Transport;
  /** The peer's end of the byte stream, half-open allowed. */
  readonly peer: Duplex;
  /** Makes the peer vanish without an end. */
  readonly vanish: () => void;
}

/** Opens a transport that hasn't been started, with bytes that were read before. Cleans up when the test ends. */
export type TransportFactory = (head?: Buffer<ArrayBuffer>) => Promise<TransportPair>;

/** More bytes than the buffers below any transport take. */
export const LOTS = 32 * 1024 * 1024;

export async function written(peer: Duplex, bytes: Uint8Array): Promise<void> {
  await new Promise<void>((resolve, reject) =>
    peer.write(bytes, (error) => (error == null ? resolve() : reject(error))),
  );
}

export async function collect(peer: Duplex): Promise<Buffer> {
  const chunks: Buffer[] = [];
  peer.on("data", (chunk: Buffer) => chunks.push(chunk));
  await once(peer, "end");
  return Buffer.concat(chunks);
}
