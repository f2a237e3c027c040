/** Encodes the push of a stored publication as JSON, by splicing bytes into one frame. */
import { allocate } from "../../../wire/protocol/allocator.ts";
import { headerBytes, writeHeader } from "../../../wire/protocol/frame.ts";
import { Message } from "../../../wire/protocol/message.ts";
import { Opcode } from "../../../wire/protocol/opcode.ts";
import type { PublicationPush, StoredMessage } from "../messages.ts";
import { decodeStored } from "../stored-publication.ts";
import { publicationFields, withoutLineEnds } from "./encode.ts";

const NOT_JSON: PublicationPush = Object.freeze({ kind: "not-json" });

/** See `Codec.encodePublication`. */
export function encodePublicationPush(
  stored: StoredMessage,
  target: string | number,
  offset: number | undefined,
): PublicationPush {
  const publication = decodeStored(stored);
  if (!publication.isJson) return NOT_JSON;
  const data = withoutLineEnds(publication.data);
  const { info, tags, time } = publication;
  const key = typeof target === "string" ? `"channel":${JSON.stringify(target)}` : `"id":${target}`;
  const before = `{"push":{${key},"pub":{"data":`;
  const position = offset === undefined ? "" : `,"offset":${offset}`;
  const after = `${position}${publicationFields({ info, tags, time })}}}}`;
  const payloadBytes = Buffer.byteLength(before) + data.length + Buffer.byteLength(after);
  const { block, start } = allocate(headerBytes(payloadBytes) + payloadBytes);
  const payloadStart = writeHeader(block, start, Opcode.text, payloadBytes);
  let at = payloadStart + block.write(before, payloadStart);
  at += data.copy(block, at);
  at += block.write(after, at);
  return { kind: "push", push: new Message(block, start, payloadStart, at) };
}
