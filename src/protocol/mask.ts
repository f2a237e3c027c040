/** From this length on, copying and then XORing words in place beats XORing them on the way (measured: 200 bytes, 85 ns both ways). */
const COPYING_PAYS_FROM = 200;
/** Views of memory up to this size are kept: what is read comes from one buffer, and many small messages share one block. */
const LARGEST_KEPT = 64 * 1024;
const NON_ASCII = 0x80;
const FOUR_NON_ASCII = 0x80808080;

const NOTHING = new ArrayBuffer(0);
let viewedSource: Buffer | undefined;
let sourceMemory: ArrayBufferLike = NOTHING;
let sourceView: DataView = new DataView(NOTHING);
/** Where the source begins in its memory. */
let sourceStart = 0;
let viewedTarget: Buffer | undefined;
let targetView: DataView = sourceView;
let targetWords: Int32Array = new Int32Array(NOTHING);

/** Words are in the order of the machine, keys have their lowest byte first. */
const LITTLE_ENDIAN = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1;

/** The masking key that begins at `bytes[at]`, as a number; the lowest byte comes first. */
export function readKey(bytes: Uint8Array, at: number): number {
  return (
    (bytes[at] as number) |
    ((bytes[at + 1] as number) << 8) |
    ((bytes[at + 2] as number) << 16) |
    ((bytes[at + 3] as number) << 24)
  );
}

/**
 * Copies `length` bytes from `source[from]` to `target[at]`, XORing them with the masking key. True means that the
 * bytes were seen to be ASCII (so a text needs no other check); false that they aren't, or that nobody looked.
 *
 * @param key as `readKey` gives it; 0 where there is none
 * @param phase how many payload bytes of this frame came before, so that a frame may arrive in pieces
 * @param target memory of its own (byte offset 0), as `allocate` gives it: words are XORed in place
 *
 * Source: RFC 6455 section 5.3.
 */
export function unmask(
  source: Buffer,
  from: number,
  target: Buffer,
  at: number,
  length: number,
  key: number,
  phase: number,
): boolean {
  if (source !== viewedSource) viewSource(source);
  if (target !== viewedTarget) viewTarget(target);
  if (length < COPYING_PAYS_FROM)
    return unmaskOnTheWay(source, from, target, at, length, rotate(key, phase)) < NON_ASCII;

  // Bytes up to the first word of the target, then words, then the bytes that remain.
  const lead = -at & 3;
  const done = lead + ((length - lead) & ~3);
  unmaskOnTheWay(source, from, target, at, lead, rotate(key, phase));
  source.copy(target, at + lead, from + lead, from + done);
  if (key !== 0) xorWords(targetWords, (at + lead) >> 2, (at + done) >> 2, rotate(key, phase + lead));
  unmaskOnTheWay(source, from + done, target, at + done, length - done, rotate(key, phase + done));
  return false;
}

/** The key as it applies after so many bytes. */
function rotate(key: number, bytes: number): number {
  const bits = (bytes & 3) * 8;
  return (key >>> bits) | (key << (32 - bits));
}

function viewSource(source: Buffer): void {
  const { buffer } = source;
  sourceStart = source.byteOffset;
  if (buffer !== sourceMemory) sourceView = new DataView(buffer);
  const keep = buffer.byteLength <= LARGEST_KEPT;
  sourceMemory = keep ? buffer : NOTHING;
  viewedSource = keep ? source : undefined;
}

function viewTarget(target: Buffer): void {
  targetView = new DataView(target.buffer);
  targetWords = new Int32Array(target.buffer, 0, target.length >> 2);
  viewedTarget = target.length <= LARGEST_KEPT ? target : undefined;
}

function xorWords(words: Int32Array, from: number, to: number, key: number): void {
  const word = LITTLE_ENDIAN ? key : swapBytes(key);
  for (let i = from; i < to; i++) words[i] = (words[i] as number) ^ word;
}

function swapBytes(word: number): number {
  return (word >>> 24) | ((word >>> 8) & 0xff00) | ((word << 8) & 0xff0000) | (word << 24);
}

/** Four bytes a round. What it returns is below 0x80 when all of them are ASCII. */
function unmaskOnTheWay(source: Buffer, from: number, target: Buffer, at: number, length: number, key: number): number {
  const start = sourceStart + from;
  let four = 0;
  let i = 0;
  for (; i + 3 < length; i += 4) {
    const bytes = sourceView.getInt32(start + i, true) ^ key;
    targetView.setInt32(at + i, bytes, true);
    four |= bytes;
  }
  let seen = (four & FOUR_NON_ASCII) === 0 ? 0 : NON_ASCII;
  for (; i < length; i++) {
    const byte = (source[from + i] as number) ^ ((key >>> ((i & 3) * 8)) & 0xff);
    target[at + i] = byte;
    seen |= byte;
  }
  return seen;
}
