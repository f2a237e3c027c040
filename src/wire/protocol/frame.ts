/** Encodes frames: unmasked, final, one frame for one message. All senders of the package use this file. */

import { allocate } from "./allocator.ts";
import { MAX_REASON_BYTES } from "./close-code.ts";
import { Opcode } from "./opcode.ts";

/**
 * The bytes of one frame as they go on the wire: `block[start, end)`. Offsets take the place of a view, because most
 * frames leave together with others: one view of all of them is enough.
 */
export interface Frame {
  readonly block: Buffer;
  readonly start: number;
  readonly end: number;
}

/** Length of the longest unmasked header, in bytes: 2 bytes and a 64-bit length. */
export const MAX_HEADER_BYTES = 10;

/** Longest payload, in bytes, whose length is in the second byte of the header. Source: RFC 6455 section 5.2. */
export const MAX_SHORT_PAYLOAD_BYTES = 125;

/** Length of an unmasked header, in bytes, with the payload length encoded minimally. Source: RFC 6455 section 5.2. */
export function headerBytes(payloadBytes: number): number {
  return payloadBytes < 126 ? 2 : payloadBytes < 65_536 ? 4 : 10;
}

/** Returns the offset in its block at which the payload of an unmasked frame starts. */
export function payloadStart({ block, start }: Frame): number {
  const length = (block[start + 1] as number) & 0x7f;
  return start + (length < 126 ? 2 : length === 126 ? 4 : 10);
}

/** Writes the header of a final, unmasked frame. Returns the offset at which the payload starts. */
export function writeHeader(block: Buffer, start: number, opcode: Opcode, payloadBytes: number): number {
  block[start] = 0x80 | opcode;
  if (payloadBytes < 126) {
    block[start + 1] = payloadBytes;
    return start + 2;
  }
  if (payloadBytes < 65_536) {
    block[start + 1] = 126;
    block[start + 2] = payloadBytes >>> 8;
    block[start + 3] = payloadBytes & 0xff;
    return start + 4;
  }
  block[start + 1] = 127;
  block.writeUInt32BE(Math.floor(payloadBytes / 0x1_0000_0000), start + 2);
  block.writeUInt32BE(payloadBytes >>> 0, start + 6);
  return start + 10;
}

/** Encodes a text message. */
export function encodeText(text: string): Frame {
  // A UTF-16 unit takes at most 3 bytes. Fewer than 42 units therefore always fit the short header, without counting.
  const payloadBytes = text.length < 42 ? text.length * 3 : Buffer.byteLength(text);
  const { block, start } = allocate(headerBytes(payloadBytes) + payloadBytes);
  const payloadStart = start + headerBytes(payloadBytes);
  const written = block.write(text, payloadStart, "utf8");
  writeHeader(block, start, Opcode.text, written);
  return { block, start, end: payloadStart + written };
}

/** Encodes one frame with a copy of `payload`. */
export function encodeFrame(opcode: Opcode, payload: Uint8Array): Frame {
  const { block, start } = allocate(headerBytes(payload.length) + payload.length);
  const payloadStart = writeHeader(block, start, opcode, payload.length);
  block.set(payload, payloadStart);
  return { block, start, end: payloadStart + payload.length };
}

/** Encodes text that is no frame (an HTTP answer, say), so that it can be sent through the same queue as frames. */
export function encodeLatin1(text: string): Frame {
  const { block, start } = allocate(text.length);
  return { block, start, end: start + block.write(text, start, "latin1") };
}

/** Encodes a close frame. Without a code it has no payload. A reason over 123 bytes is cut between two characters. */
export function encodeClose(code?: number, reason = ""): Frame {
  const { block, start } = allocate(2 + 2 + (reason === "" ? 0 : MAX_REASON_BYTES));
  const payload = start + 2;
  let end = payload;
  if (code !== undefined) {
    block[end++] = code >>> 8;
    block[end++] = code & 0xff;
    // `Buffer.write` never writes part of a character.
    if (reason !== "") end += block.write(reason, end, MAX_REASON_BYTES, "utf8");
  }
  writeHeader(block, start, Opcode.close, end - payload);
  return { block, start, end };
}
