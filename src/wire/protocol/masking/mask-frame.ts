/** Masks frames for clients: for the client WebSockets and the load generator. */
import { builtins } from "../../node-internals/builtins.ts";
import { allocate } from "../allocator.ts";
import type { Frame } from "../frame.ts";
import { readKey, unmask } from "./mask.ts";

const KEY_BYTES = 4;
/** Random bytes for 1,024 keys. One call to the system's generator per key would cost more than the masking. */
const pool = Buffer.alloc(1024 * KEY_BYTES);
let poolAt = pool.length;

/**
 * Returns a masked copy of the frame, as a client sends it. The key can't be predicted. The argument stays unchanged,
 * because other connections may be sending it. Source: RFC 6455 sections 5.3 and 10.3.
 */
export function maskFrame({ block, start, end }: Frame): Frame {
  const length = (block[start + 1] as number) & 0x7f;
  const headerBytes = length < 126 ? 2 : length === 126 ? 4 : 10;
  const payloadBytes = end - start - headerBytes;
  const masked = allocate(headerBytes + KEY_BYTES + payloadBytes);
  const keyAt = masked.start + headerBytes;
  block.copy(masked.block, masked.start, start, start + headerBytes);
  masked.block[masked.start + 1] = length | 0x80;
  nextKey().copy(masked.block, keyAt);
  const key = readKey(masked.block, keyAt);
  unmask(block, start + headerBytes, masked.block, keyAt + KEY_BYTES, payloadBytes, key, 0);
  return { block: masked.block, start: masked.start, end: keyAt + KEY_BYTES + payloadBytes };
}

function nextKey(): Buffer {
  if (poolAt === pool.length) {
    builtins.crypto.randomFillSync(pool);
    poolAt = 0;
  }
  poolAt += KEY_BYTES;
  return pool.subarray(poolAt - KEY_BYTES, poolAt);
}
