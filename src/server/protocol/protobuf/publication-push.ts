/** Encodes the push of a stored publication as Protobuf, by splicing bytes into one frame. */
import { allocate } from "../../../wire/protocol/allocator.ts";
import { headerBytes, writeHeader } from "../../../wire/protocol/frame.ts";
import { Message } from "../../../wire/protocol/message.ts";
import { Opcode } from "../../../wire/protocol/opcode.ts";
import type { PublicationPush, StoredMessage } from "../messages.ts";
import { ENVELOPE_HEADER_BYTES, isEnvelope } from "../stored-publication.ts";
import { PUBLICATION, PUSH, REPLY } from "./fields.ts";
import { varintBytes, writeVarint } from "./writer.ts";

const LENGTH_DELIMITED = 2;
const TAG_BYTES = 1;

/** Tag of a field whose value has a length. Fields below 16 have tags of one byte. */
function tag(field: number): number {
  return (field << 3) | LENGTH_DELIMITED;
}

/** Length of a field in bytes: its tag, its length and its value. */
function fieldBytes(valueBytes: number): number {
  return TAG_BYTES + varintBytes(valueBytes) + valueBytes;
}

/** See `Codec.encodePublication`. Fields of Protobuf come in any order, so that the offset can follow the rest. */
export function encodePublicationPush(
  stored: StoredMessage,
  target: string | number,
  offset: number | undefined,
): PublicationPush {
  const { bytes } = stored;
  const envelope = isEnvelope(stored);
  const bodyBytes = envelope ? bytes.length - ENVELOPE_HEADER_BYTES : fieldBytes(bytes.length);
  const offsetBytes = offset === undefined ? 0 : TAG_BYTES + varintBytes(offset);
  const channelBytes = typeof target === "string" ? Buffer.byteLength(target) : 0;
  const targetBytes = typeof target === "string" ? fieldBytes(channelBytes) : TAG_BYTES + varintBytes(target);
  const pubBytes = bodyBytes + offsetBytes;
  const pushBytes = targetBytes + fieldBytes(pubBytes);
  const replyBytes = fieldBytes(pushBytes);
  const payloadBytes = varintBytes(replyBytes) + replyBytes;

  const { block, start } = allocate(headerBytes(payloadBytes) + payloadBytes);
  const payloadStart = writeHeader(block, start, Opcode.binary, payloadBytes);
  let at = writeVarint(block, payloadStart, replyBytes);
  at = writePrefix(block, at, REPLY.push, pushBytes);
  if (typeof target === "string") {
    at = writePrefix(block, at, PUSH.channel, channelBytes);
    at += block.write(target, at);
  } else {
    block[at++] = PUSH.id << 3;
    at = writeVarint(block, at, target);
  }
  at = writePrefix(block, at, PUSH.pub, pubBytes);
  if (envelope) at += bytes.copy(block, at, ENVELOPE_HEADER_BYTES);
  else {
    at = writePrefix(block, at, PUBLICATION.data, bytes.length);
    at += bytes.copy(block, at);
  }
  if (offset !== undefined) {
    block[at++] = PUBLICATION.offset << 3;
    at = writeVarint(block, at, offset);
  }
  return { kind: "push", push: new Message(block, start, payloadStart, at) };
}

/** Writes the tag and the length of a field. Returns the offset of the value. */
function writePrefix(block: Buffer, at: number, field: number, valueBytes: number): number {
  block[at] = tag(field);
  return writeVarint(block, at + TAG_BYTES, valueBytes);
}
