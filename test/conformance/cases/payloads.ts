/** Payloads for the conformance cases: text, random bytes, and bytes that repeat. */
const known = new Map<number, Buffer>();

/** Text of exactly `bytes` bytes with characters of all lengths, which compresses about as well as real messages do. */
export function letters(bytes: number): Buffer {
  const text = known.get(bytes) ?? writeLetters(bytes);
  known.set(bytes, text);
  return text;
}

function writeLetters(bytes: number): Buffer {
  const text = Buffer.alloc(bytes, " ");
  let used = 0;
  for (let i = 0; used < bytes; i++) {
    const piece = Buffer.from(
      `{"id":${(i * 48_271) % 100_003},"name":"user ${(i * 7919) % 1000}","straße":"€ 😀 ${i}"},`,
    );
    if (used + piece.length > bytes) break;
    used += piece.copy(text, used);
  }
  return text;
}

/** Random bytes, the same in each run. */
export function noise(bytes: number, seed = 1): Buffer {
  const all = Buffer.allocUnsafe(bytes);
  let state = seed;
  for (let i = 0; i < bytes; i++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff;
    all[i] = state >> 16;
  }
  return all;
}

/** Random bytes in which pieces repeat at distances below and above every window of deflate. */
export function farRepeats(): Buffer {
  const distances = [400, 700, 1400, 2800, 5600, 11_200, 22_400, 32_000];
  return Buffer.concat(
    distances.flatMap((distance, i) => {
      const piece = noise(200, 1000 + i);
      return [piece, noise(distance - piece.length, 2000 + i), piece];
    }),
  );
}
