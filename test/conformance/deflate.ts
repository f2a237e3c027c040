import { constants, createDeflateRaw, type DeflateRaw, inflateRawSync } from "node:zlib";

const TAIL = Buffer.of(0x00, 0x00, 0xff, 0xff);

/** What the two ends agreed on, as the peer of the end under test sees it. */
export interface DeflateTermsAgreed {
  readonly sendWindowBits: number;
  readonly sendTakeover: boolean;
  readonly receiveWindowBits: number;
}

/** Compresses messages as a peer does that keeps its context where it may: one zlib stream for all of them. */
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
    // Nothing new to say: the flush before has said it already. One empty stored block, its tail taken off.
    return all.length === 0 ? Buffer.of(0) : all.subarray(0, -TAIL.length);
  }

  destroy(): void {
    this.#stream?.destroy();
  }
}

/**
 * A message inflated in a context of its own; throws when it refers to an earlier one, or further back than the window goes. zlib sees
 * the latter only between its output chunks, so those are small.
 */
export function inflateAlone(payload: Buffer, windowBits: number): Buffer {
  return inflateRawSync(Buffer.concat([payload, TAIL]), {
    windowBits,
    finishFlush: constants.Z_SYNC_FLUSH,
    chunkSize: windowBits === 15 ? 65_536 : 64,
  });
}
