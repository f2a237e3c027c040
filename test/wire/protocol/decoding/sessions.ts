/** Random streams of frames with their events, for property tests of the decoder. */
import fc from "fast-check";
import type { DecoderOptions } from "../../../../src/wire/protocol/decoding/decoder.ts";
import { codePoint } from "../../../support/code-points.ts";
import { binary, clientFrame, close, continuation, ping, text } from "../../../support/frames.ts";
import { type Seen, seenClose, seenViolation } from "./decoding.ts";

/** A client's stream, and the events that a server must decode from it. */
export interface Session {
  readonly frames: readonly Buffer[];
  readonly events: readonly Seen[];
}

/** The limits that the sessions are made for. */
export const SESSION_LIMITS: DecoderOptions = { maxPayloadBytes: 66_000, maxFragments: 6 };

const key = fc.uint8Array({ minLength: 4, maxLength: 4 }).map((bytes) => Buffer.from(bytes));

const textPayload = fc.string({ unit: codePoint, maxLength: 60 }).map((string) => Buffer.from(string));
const binaryPayload = fc.oneof(
  { weight: 20, arbitrary: fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes)) },
  { weight: 4, arbitrary: fc.constantFrom(125, 126, 127, 300).map((length) => Buffer.alloc(length, "boundary")) },
  { weight: 1, arbitrary: fc.constantFrom(65_535, 65_536).map((length) => Buffer.alloc(length, "large one")) },
);

const control = fc
  .record({ kind: fc.constantFrom("ping", "pong"), payload: fc.uint8Array({ maxLength: 125 }), key })
  .map(
    ({ kind, payload, key }): Session => ({
      frames: [clientFrame(kind === "ping" ? 0x9 : 0xa, payload, { key })],
      events: [{ kind, payload: Buffer.from(payload).toString("hex") } as Seen],
    }),
  );

/** One message, cut at any bytes into fragments, with control frames in between. */
const message = fc
  .oneof(
    fc.record({ kind: fc.constant("text"), payload: textPayload }),
    fc.record({ kind: fc.constant("binary"), payload: binaryPayload }),
  )
  .chain(({ kind, payload }) => {
    const cuts = fc.array(fc.nat({ max: payload.length }), { maxLength: SESSION_LIMITS.maxFragments - 1 });
    return fc
      .record({ cuts, keys: fc.array(key, { minLength: 1, maxLength: 6 }), controls: fc.array(fc.option(control)) })
      .map(({ cuts, keys, controls }): Session => {
        const edges = [0, ...cuts.toSorted((a, b) => a - b), payload.length];
        const frames: Buffer[] = [];
        const events: Seen[] = [];
        for (let i = 0; i + 1 < edges.length; i++) {
          const opcode = i > 0 ? 0x0 : kind === "text" ? 0x1 : 0x2;
          const fin = i + 2 === edges.length;
          const key = keys[i % keys.length] ?? Buffer.alloc(4);
          frames.push(clientFrame(opcode, payload.subarray(edges[i], edges[i + 1]), { fin, key }));
          const between = controls[i];
          if (fin || between == null) continue;
          frames.push(...between.frames);
          events.push(...between.events);
        }
        events.push({ kind, payload: payload.toString("hex") } as Seen);
        return { frames, events };
      });
  });

const validClose = fc
  .record({
    code: fc.oneof(fc.constantFrom(1000, 1001, 1003, 1007, 1014), fc.integer({ min: 3000, max: 4999 })),
    reason: fc.string({ unit: codePoint, maxLength: 30 }),
  })
  .map(({ code, reason }): Session => ({ frames: [close(code, reason)], events: [seenClose(code, reason)] }));

const tooManyFragments = [
  text("", { fin: false }),
  ...Array.from({ length: SESSION_LIMITS.maxFragments }, () => continuation("", { fin: false })),
];

/** Ways to end a stream badly. A message in progress is never left before them. */
const violations: readonly Session[] = [
  { frames: [text("a", { rsv: 4 })], events: [seenViolation("ERR_RESERVED_BITS", 1002)] },
  { frames: [clientFrame(0x3, "a")], events: [seenViolation("ERR_RESERVED_OPCODE", 1002)] },
  { frames: [text("a", { masked: false })], events: [seenViolation("ERR_UNMASKED_FRAME", 1002)] },
  { frames: [ping("a", { fin: false })], events: [seenViolation("ERR_FRAGMENTED_CONTROL", 1002)] },
  { frames: [ping(Buffer.alloc(126))], events: [seenViolation("ERR_CONTROL_TOO_LONG", 1002)] },
  { frames: [text("a", { lengthBits: 16 })], events: [seenViolation("ERR_LENGTH_NOT_MINIMAL", 1002)] },
  { frames: [text("a", { lengthBits: 64 })], events: [seenViolation("ERR_LENGTH_NOT_MINIMAL", 1002)] },
  { frames: [continuation("a")], events: [seenViolation("ERR_UNEXPECTED_CONTINUATION", 1002)] },
  { frames: [text("a", { fin: false }), text("b")], events: [seenViolation("ERR_EXPECTED_CONTINUATION", 1002)] },
  { frames: [clientFrame(0x8, "a")], events: [seenViolation("ERR_CLOSE_PAYLOAD", 1002)] },
  { frames: [close(1005)], events: [seenViolation("ERR_INVALID_CLOSE_CODE", 1002)] },
  { frames: [clientFrame(0x1, Buffer.from([0x61, 0xff]))], events: [seenViolation("ERR_INVALID_UTF8", 1007)] },
  { frames: [clientFrame(0x1, Buffer.from([0xe2, 0x82]))], events: [seenViolation("ERR_INVALID_UTF8", 1007)] },
  { frames: [binary(Buffer.alloc(66_001))], events: [seenViolation("ERR_MESSAGE_TOO_BIG", 1009)] },
  { frames: tooManyFragments, events: [seenViolation("ERR_TOO_MANY_FRAGMENTS", 1008)] },
];

const end = fc.oneof(
  fc.constant<Session>({ frames: [], events: [] }),
  fc.constant<Session>({ frames: [close()], events: [seenClose(1005)] }),
  validClose,
  fc.constantFrom(...violations),
);

/** Messages and control frames, and an end: none, a close, or a violation. */
export const session: fc.Arbitrary<Session> = fc
  .tuple(fc.array(fc.oneof({ weight: 3, arbitrary: message }, control), { maxLength: 6 }), end)
  .map(([parts, end]) => ({
    frames: [...parts, end].flatMap(({ frames }) => frames),
    events: [...parts, end].flatMap(({ events }) => events),
  }));

/** Cuts `bytes` into one piece more than there are cuts. Any numbers can be cuts; equal cuts give empty pieces. */
export function split(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const edges = cuts.map((cut) => cut % (bytes.length + 1)).toSorted((a, b) => a - b);
  return [0, ...edges].map((from, i) => bytes.subarray(from, edges[i] ?? bytes.length));
}

export const cuts = fc.array(fc.nat(), { maxLength: 30 });
