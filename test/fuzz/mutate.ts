/** Mutates the bytes of a session. Used by the fuzzer. */
import type { Random } from "./random.ts";
import { AGREEMENTS, LIMITS, type Session } from "./session.ts";

const INTERESTING = [0x00, 0x01, 0x7d, 0x7e, 0x7f, 0x80, 0x81, 0x88, 0x89, 0xc1, 0xc2, 0xed, 0xf4, 0xfe, 0xff];
const LONGEST_SESSION = 8_000;

type Mutation = (bytes: Buffer, random: Random, other: Buffer) => Buffer;

const flip: Mutation = (bytes, random) => {
  const at = place(bytes, random);
  return replaced(bytes, at, (bytes[at] ?? 0) ^ (1 << random.below(8)));
};
const set: Mutation = (bytes, random) => replaced(bytes, place(bytes, random), random.pick(INTERESTING));
const insert: Mutation = (bytes, random) => {
  const at = place(bytes, random);
  return Buffer.concat([bytes.subarray(0, at), random.bytes(1 + random.below(4)), bytes.subarray(at)]);
};
const remove: Mutation = (bytes, random) => {
  const at = place(bytes, random);
  return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + random.below(8))]);
};
const cut: Mutation = (bytes, random) => bytes.subarray(0, place(bytes, random));
const duplicate: Mutation = (bytes, random) => {
  const [from, to] = range(bytes, random);
  return Buffer.concat([bytes.subarray(0, to), bytes.subarray(from)]);
};
const splice: Mutation = (bytes, random, other) => {
  const [from, to] = range(other, random);
  const at = frameAt(bytes, random);
  return Buffer.concat([bytes.subarray(0, at), other.subarray(from, to), bytes.subarray(at)]);
};
const swapEnds: Mutation = (bytes, random, other) =>
  Buffer.concat([bytes.subarray(0, frameAt(bytes, random)), other.subarray(frameAt(other, random))]);

/** Changes the length in a frame's header, in any of the three encodings. */
const relength: Mutation = (bytes, random) => {
  const at = frameAt(bytes, random);
  const second = bytes[at + 1];
  if (second === undefined) return bytes;
  const length = random.pick([0, 1, 125, 126, 127, 65_535, 65_536, LIMITS.maxPayloadBytes, LIMITS.maxPayloadBytes + 1]);
  const rest = bytes.subarray(at + headerBytes(bytes, at));
  const head = Buffer.alloc(random.pick([2, 4, 10]));
  head[0] = bytes[at] as number;
  head[1] = (second & 0x80) | (head.length === 2 ? length & 0x7f : head.length === 4 ? 126 : 127);
  if (head.length === 4) head.writeUInt16BE(length & 0xffff, 2);
  if (head.length === 10)
    head.writeBigUInt64BE(random.chance(1, 4) ? 1n << BigInt(random.below(64)) : BigInt(length), 2);
  return Buffer.concat([bytes.subarray(0, at), head, rest]);
};

/** Changes the first byte of a frame: final or not, reserved bits, opcode. */
const reopcode: Mutation = (bytes, random) => {
  const at = frameAt(bytes, random);
  const first = random.pick([
    0x00, 0x01, 0x02, 0x40, 0x41, 0x80, 0x81, 0x82, 0x88, 0x89, 0x8a, 0xc0, 0xc1, 0xc2, 0xc9, 0x83,
  ]);
  return replaced(bytes, at, first);
};

const mutations: readonly Mutation[] = [
  flip,
  flip,
  flip,
  set,
  set,
  insert,
  remove,
  cut,
  duplicate,
  splice,
  swapEnds,
  relength,
  relength,
  reopcode,
  reopcode,
];

/** Makes one to five changes to the session. */
export function mutate(session: Session, other: Session, random: Random): Session {
  let { bytes, agreement } = session;
  for (let times = 1 + random.below(5); times > 0; times--) bytes = random.pick(mutations)(bytes, random, other.bytes);
  if (random.chance(1, 20)) agreement = random.pick(AGREEMENTS);
  const cuts = random.chance(1, 2) ? session.cuts : random.next();
  return { role: session.role, agreement, cuts, bytes: Buffer.from(bytes.subarray(0, LONGEST_SESSION)) };
}

function replaced(bytes: Buffer, at: number, value: number): Buffer {
  if (at >= bytes.length) return bytes;
  const changed = Buffer.from(bytes);
  changed[at] = value;
  return changed;
}

/** A random offset. Half of the offsets are in a frame's header. */
function place(bytes: Buffer, random: Random): number {
  if (random.chance(1, 2)) return random.below(bytes.length);
  const at = frameAt(bytes, random);
  return Math.min(at + random.below(headerBytes(bytes, at)), Math.max(0, bytes.length - 1));
}

function range(bytes: Buffer, random: Random): [from: number, to: number] {
  const ends = [frameAt(bytes, random), random.chance(1, 2) ? frameAt(bytes, random) : random.below(bytes.length + 1)];
  ends.sort((a, b) => a - b);
  return ends as [number, number];
}

/** Offset of a random frame, as far as frames can still be told apart. */
function frameAt(bytes: Buffer, random: Random): number {
  const starts = [0];
  for (let at = 0; at + 1 < bytes.length; ) {
    at += headerBytes(bytes, at) + payloadBytes(bytes, at);
    if (at >= bytes.length) break;
    starts.push(at);
  }
  return random.pick(starts);
}

function headerBytes(bytes: Buffer, at: number): number {
  const second = bytes[at + 1] ?? 0;
  const length = second & 0x7f;
  return 2 + (length === 126 ? 2 : length === 127 ? 8 : 0) + (second & 0x80 ? 4 : 0);
}

function payloadBytes(bytes: Buffer, at: number): number {
  const length = (bytes[at + 1] ?? 0) & 0x7f;
  if (length === 126) return at + 4 <= bytes.length ? bytes.readUInt16BE(at + 2) : 0;
  if (length === 127) return at + 10 <= bytes.length ? Number(bytes.readBigUInt64BE(at + 2)) : 0;
  return length;
}
