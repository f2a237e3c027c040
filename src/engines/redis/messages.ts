/** The bytes that travel through Redis: entries of lists, messages on channels, positions. The scripts write most. */
import type { Member } from "../../runtime/streams/engine.ts";
import type { Position } from "../../runtime/streams/position.ts";
import type { StreamRecord } from "../../runtime/streams/publication.ts";
import type { Frame } from "../../wire/protocol/frame.ts";
import { EPOCH_LENGTH } from "./scripts/scripts.ts";

/** The first byte of a message on the channel of a topic. */
export const Kind = {
  publication: 0x70, // p
  relay: 0x72, // r
  changes: 0x63, // c
  grace: 0x67, // g
} as const;

/** Bytes before the frame of an entry: kind, offset, time, expiry, epoch. */
const ENTRY_HEADER_BYTES = 25 + EPOCH_LENGTH;
/** Bytes of a position: epoch, offset. */
export const POSITION_BYTES = EPOCH_LENGTH + 8;

/**
 * Decodes an entry of a list, which is also the message of its publication: kind, offset, time, expiry, epoch, frame.
 */
export function decodeEntry(bytes: Buffer): StreamRecord {
  const frame: Frame = { block: bytes, start: ENTRY_HEADER_BYTES, end: bytes.length };
  return { offset: bytes.readDoubleBE(1), timeMs: bytes.readDoubleBE(9), frame };
}

/** Decodes the epoch of an entry. */
export function decodeEpoch(bytes: Buffer): string {
  return bytes.toString("latin1", ENTRY_HEADER_BYTES - EPOCH_LENGTH, ENTRY_HEADER_BYTES);
}

/** Decodes the position at a place in the bytes. */
export function decodePosition(bytes: Buffer, at = 0): Position {
  const end = at + EPOCH_LENGTH;
  return { epoch: bytes.toString("latin1", at, end), offset: bytes.readDoubleBE(end) };
}

/**
 * Encodes a message without an offset: kind, length of the node's id, id, frame.
 *
 * @param node id of the node that has the message already; empty for a message that all nodes take
 */
export function encodeRelay(node: Buffer, { block, start, end }: Frame): Buffer {
  const bytes = Buffer.allocUnsafe(3 + node.length + end - start);
  bytes[0] = Kind.relay;
  bytes.writeUInt16BE(node.length, 1);
  node.copy(bytes, 3);
  block.copy(bytes, 3 + node.length, start, end);
  return bytes;
}

/** Decodes a message without an offset. Undefined if `node` itself has sent the message. */
export function decodeRelay(node: Buffer, bytes: Buffer): Frame | undefined {
  const start = 3 + bytes.readUInt16BE(1);
  const isOwn = node.length === start - 3 && node.compare(bytes, 3, start) === 0;
  return isOwn ? undefined : { block: bytes, start, end: bytes.length };
}

export interface MemberChange {
  readonly kind: "joined" | "left";
  readonly ofUser: boolean;
  readonly member: Member;
}

const JOINED = 0x6a; // j
const OF_USER = 0x31; // 1

/** Decodes joins and leaves: for each one kind, whether it is of a user, length, member. */
export function decodeChanges(bytes: Buffer): MemberChange[] {
  const changes: MemberChange[] = [];
  for (let at = 1; at < bytes.length; ) {
    const end = at + 6 + bytes.readUInt32BE(at + 2);
    const member = decodeMember(bytes.toString("utf8", at + 6, end));
    changes.push({ kind: bytes[at] === JOINED ? "joined" : "left", ofUser: bytes[at + 1] === OF_USER, member });
    at = end;
  }
  return changes;
}

/** Encodes the record of a member, see `presence-scripts.ts`. A member without a user counts as a user of its own. */
export function encodeMember({ address, node, user, info }: Member, reportsChanges: boolean): string {
  const key = user === undefined ? `a${address}` : `u${user}`;
  return `${reportsChanges ? 1 : 0}${Buffer.byteLength(key)}:${key}${JSON.stringify({ address, node, user, info })}`;
}

/** Decodes the JSON of a member. */
export function decodeMember(json: string): Member {
  const { address, node, user, info } = JSON.parse(json) as Member;
  return { address, node, user, info };
}

/** Encodes that a node leaves whose members are in their grace time, which ends within `ms`. */
export function encodeGrace(ms: number): string {
  return `g${ms}`;
}

/** Decodes the longest grace time, in ms. */
export function decodeGrace(bytes: Buffer): number {
  return Number(bytes.toString("latin1", 1)) || 0;
}
