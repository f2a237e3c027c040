/** From this length on, copying and then XORing words beats XORing bytes on the way (measured: 64 bytes, 59 against 129 ns). */
const WORDS_PAY_FROM = 40;
/** Views of targets up to this size are kept: many small frames share one block of memory. */
const LARGEST_KEPT_VIEW = 64 * 1024;

const keyBytes = new Uint8Array(4);
const keyWord = new Int32Array(keyBytes.buffer);

let viewed: Buffer | undefined;
let view: Int32Array = new Int32Array(0);

/**
 * Copies `length` bytes from `source[from]` to `target[at]`, XORing them with the masking key. True means that the
 * bytes were seen to be ASCII (so a text needs no other check); false that they aren't, or that nobody looked.
 *
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
  key: Uint8Array,
  phase: number,
): boolean {
  if (length < WORDS_PAY_FROM) return unmaskBytes(source, from, target, at, length, key, phase) < 0x80;

  // Bytes up to the first word boundary of the target, then words, then the bytes that remain.
  const lead = -at & 3;
  const body = (length - lead) & ~3;
  const done = lead + body;
  unmaskBytes(source, from, target, at, lead, key, phase);
  source.copy(target, at + lead, from + lead, from + done);
  for (let i = 0; i < 4; i++) keyBytes[i] = key[(phase + lead + i) & 3] as number;
  xorWords(wordsOf(target), (at + lead) >> 2, (at + done) >> 2, keyWord[0] as number);
  unmaskBytes(source, from + done, target, at + done, length - done, key, phase + done);
  return false;
}

function wordsOf(target: Buffer): Int32Array {
  if (target === viewed) return view;
  const words = new Int32Array(target.buffer, 0, target.length >> 2);
  if (target.length <= LARGEST_KEPT_VIEW) {
    viewed = target;
    view = words;
  }
  return words;
}

function xorWords(words: Int32Array, from: number, to: number, key: number): void {
  for (let i = from; i < to; i++) words[i] = (words[i] as number) ^ key;
}

/** Four bytes a round, the key in locals. Returns the OR of what was written: below 0x80 when all of it is ASCII. */
function unmaskBytes(
  source: Buffer,
  from: number,
  target: Buffer,
  at: number,
  length: number,
  key: Uint8Array,
  phase: number,
): number {
  const k0 = key[phase & 3] as number;
  const k1 = key[(phase + 1) & 3] as number;
  const k2 = key[(phase + 2) & 3] as number;
  const k3 = key[(phase + 3) & 3] as number;
  let seen = 0;
  let i = 0;
  for (; i + 3 < length; i += 4) {
    const a = (source[from + i] as number) ^ k0;
    const b = (source[from + i + 1] as number) ^ k1;
    const c = (source[from + i + 2] as number) ^ k2;
    const d = (source[from + i + 3] as number) ^ k3;
    target[at + i] = a;
    target[at + i + 1] = b;
    target[at + i + 2] = c;
    target[at + i + 3] = d;
    seen |= a | b | c | d;
  }
  for (; i < length; i++) {
    const byte = (source[from + i] as number) ^ (key[(phase + i) & 3] as number);
    target[at + i] = byte;
    seen |= byte;
  }
  return seen;
}
