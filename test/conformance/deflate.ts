/** Compression for the peer of the end under test, over zlib alone. Used by `peer.ts` and the roles. */
import { constants, createDeflateRaw, type DeflateRaw, inflateRawSync } from "node:zlib";

const TAIL = Buffer.of(0x00, 0x00, 0xff, 0xff);

/** The negotiated compression, from the side of the peer. */
export interface DeflateTermsAgreed {
  readonly sendWindowBits: number;
  readonly sendTakeover: boolean;
  readonly receiveWindowBits: number;
}

/** Compresses messages as a peer with context takeover does: one zlib stream for all messages. */
export class MessageDeflater {
  readonly #windowBits: number;
  readonly #takeover: boolean;
  #stream: DeflateRaw | undefined;

  constructor({ sendWindowBits, sendTakeover }: DeflateTermsAgreed) {
    this.#windowBits = sendWindowBits;
    this.#takeover = sendTakeover;
  }

  async deflate(payload: Uint8Array | string): Promise<Buffer> {
    const stream = this.#stream ?? createDeflateRaw({ windowBits: this.#windowBits });
    if (this.#takeover) this.#stream = stream;
    const pieces: Buffer[] = [];
    const collect = (piece: Buffer): void => {
      pieces.push(piece);
    };
    stream.on("data", collect);
    stream.write(payload);
    await new Promise<void>((resolve) => stream.flush(constants.Z_SYNC_FLUSH, resolve));
    stream.off("data", collect);
    if (!this.#takeover) stream.destroy();
    const all = Buffer.concat(pieces);
    // The flush before has written everything. The result is one empty stored block without its tail.
    return all.length === 0 ? Buffer.of(0) : all.subarray(0, -TAIL.length);
  }

  destroy(): void {
    this.#stream?.destroy();
  }
}

/**
 * Inflates a message without any context. Throws if the message refers to an earlier one, or further back than the
 * window. zlib checks the window only between its output chunks, so these are small.
 */
export function inflateAlone(payload: Buffer, windowBits: number): Buffer {
  return inflateRawSync(Buffer.concat([payload, TAIL]), {
    windowBits,
    finishFlush: constants.Z_SYNC_FLUSH,
    chunkSize: windowBits === 15 ? 65_536 : 64,
  });
}
