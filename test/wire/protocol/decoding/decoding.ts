/** Runs a decoder over frames and describes its events. Used by the tests of the decoder and the fuzzer. */
import { Decoder, type DecoderEvent, type DecoderOptions } from "../../../../src/wire/protocol/decoding/decoder.ts";
import type { Frame } from "../../../../src/wire/protocol/frame.ts";
import type { ViolationCode } from "../../../../src/wire/protocol/violation.ts";

/** An event as plain data, so that whole sequences compare with `toEqual`. Payloads are in hex. */
export type Seen =
  | { readonly kind: "text" | "binary" | "ping" | "pong"; readonly payload: string }
  | { readonly kind: "close"; readonly code: number; readonly reason: string }
  | { readonly kind: "violation"; readonly code: ViolationCode; readonly closeCode: number };

/** Limits that a test reaches only if it sets them. */
export const LIMITS: DecoderOptions = { maxPayloadBytes: 1024 * 1024, maxFragments: 1000 };

export function describeEvent(event: DecoderEvent): Seen {
  switch (event.kind) {
    case "message":
      return { kind: event.type, payload: event.bytes.toString("hex") };
    case "ping":
    case "pong":
      return { kind: event.kind, payload: event.payload.toString("hex") };
    case "close":
      return { kind: "close", code: event.code, reason: event.reason };
    case "violation":
      return { kind: "violation", code: event.code, closeCode: event.closeCode };
  }
}

/** All events that `next` returns. */
export function drain(decoder: Decoder): DecoderEvent[] {
  const events: DecoderEvent[] = [];
  for (let event = decoder.next(); event !== undefined; event = decoder.next()) events.push(event);
  return events;
}

/** Feeds a copy of the chunk, takes the events, and overwrites the copy: the decoder only borrows chunks. */
export function feed(decoder: Decoder, chunk: Buffer): DecoderEvent[] {
  const borrowed = Buffer.from(chunk);
  decoder.feed(borrowed);
  const events = drain(decoder);
  borrowed.fill(0xaa);
  return events;
}

/** The events of a stream that arrives in these chunks, as descriptions made at the end. Each chunk is overwritten. */
export function decode(chunks: readonly Buffer[], options: Partial<DecoderOptions> = {}): Seen[] {
  const decoder = new Decoder({ ...LIMITS, ...options });
  return chunks.flatMap((chunk) => feed(decoder, chunk)).map(describeEvent);
}

/** The events of a stream that arrives byte by byte. */
export function decodeBytewise(bytes: Buffer, options: Partial<DecoderOptions> = {}): Seen[] {
  return decode(
    Array.from(bytes, (byte) => Buffer.from([byte])),
    options,
  );
}

export function hex(payload: string | Uint8Array): string {
  return Buffer.from(payload as string).toString("hex");
}

export const seenText = (payload: string | Uint8Array): Seen => ({ kind: "text", payload: hex(payload) });
export const seenBinary = (payload: string | Uint8Array): Seen => ({ kind: "binary", payload: hex(payload) });
export const seenPing = (payload: string | Uint8Array): Seen => ({ kind: "ping", payload: hex(payload) });
export const seenPong = (payload: string | Uint8Array): Seen => ({ kind: "pong", payload: hex(payload) });
export const seenClose = (code: number, reason = ""): Seen => ({ kind: "close", code, reason });
export const seenViolation = (code: ViolationCode, closeCode: number): Seen => ({ kind: "violation", code, closeCode });

/** The bytes of a frame, as they would go on the wire. */
export function wireBytes({ block, start, end }: Frame): Buffer {
  return block.subarray(start, end);
}

/** Bytes that differ at each place, so that a piece in the wrong place is noticed. */
export function pattern(length: number): Buffer {
  return Buffer.from(Array.from({ length }, (_, i) => (i * 7 + (i >> 8)) & 0xff));
}
