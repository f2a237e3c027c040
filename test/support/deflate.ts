/** Compressed payloads from zlib alone, for tests of compression. */
import { constants, deflateRawSync } from "node:zlib";

/** Compresses a message's payload for permessage-deflate, independently of the code under test. */
export function deflateMessage(data: string | Uint8Array, dictionary?: Buffer): Buffer {
  const options = { finishFlush: constants.Z_SYNC_FLUSH, ...(dictionary && { dictionary }) };
  return deflateRawSync(data, options).subarray(0, -4);
}

const bombs = new Map<number, Buffer>();

/** A compressed message that inflates to `bytes` zeros. */
export function deflateBomb(bytes: number): Buffer {
  let bomb = bombs.get(bytes);
  if (bomb === undefined) {
    bomb = deflateMessage(Buffer.alloc(bytes));
    bombs.set(bytes, bomb);
  }
  return bomb;
}
