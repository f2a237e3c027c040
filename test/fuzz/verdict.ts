/** Compares both decoders on one session, and knows their accepted differences. Used by the fuzzer. */
import { isDeepStrictEqual } from "node:util";
import { constants, inflateRawSync } from "node:zlib";
import type { Seen } from "../wire/protocol/decoding/decoding.ts";
import { decodeOurs, type Inflation, type Ours } from "./ours.ts";
import { type Agreement, LIMITS, type Limits, type Session } from "./session.ts";
import { decodeTheirs, type Theirs } from "./theirs.ts";

/** Close codes of a message that can't be inflated. Which of them applies may depend on where a buffer of zlib ends. */
const INFLATE_CLOSE_CODES: readonly (number | undefined)[] = [1007, 1009];

export interface Judgement {
  readonly ours: Ours;
  readonly theirs: Theirs;
  /** True if both decoders agree, or differ in a known way that is no fault. */
  readonly agrees: boolean;
  /** The known difference, if there is one. */
  readonly because?: string;
}

/** Decodes a session with both decoders, and compares the results. */
export async function judge(session: Session, limits: Limits = LIMITS): Promise<Judgement> {
  // The epilogue completes any pending frame and then breaks the protocol, so that every session ends.
  const epilogue = Buffer.alloc(limits.maxPayloadBytes + 64);
  const ours = decodeOurs(session, limits, epilogue);
  const theirs = await decodeTheirs(session, limits, epilogue);
  const { events, violation } = split(ours.events);
  if (isDeepStrictEqual(events, theirs.events) && violation?.closeCode === theirs.violation) {
    return { ours, theirs, agrees: true };
  }
  const because = knownDifference(session, ours, theirs);
  return { ours, theirs, agrees: because !== undefined, ...(because !== undefined && { because }) };
}

type Violation = Extract<Seen, { kind: "violation" }>;

function split(seen: readonly Seen[]): { events: readonly Seen[]; violation: Violation | undefined } {
  const last = seen.at(-1);
  return last?.kind === "violation"
    ? { events: seen.slice(0, -1), violation: last }
    : { events: seen, violation: undefined };
}

/** The differences that both standards allow, or in which ws is more lenient. Each has its reason. */
export function knownDifference({ agreement }: Session, ours: Ours, theirs: Theirs): string | undefined {
  const { events, violation } = split(ours.events);
  const theyStartLikeUs = isDeepStrictEqual(theirs.events.slice(0, events.length), events);
  const theyHaveMore = theirs.events.slice(events.length);
  if (theyStartLikeUs && violation?.code === "ERR_LENGTH_NOT_MINIMAL") {
    return "ws takes lengths that aren't minimal, against RFC 6455 section 5.2";
  }
  if (
    theyStartLikeUs &&
    violation?.code === "ERR_LENGTH_TOP_BIT" &&
    theyHaveMore.length === 0 &&
    theirs.violation === 1009
  ) {
    return "ws calls a length with its top bit set too big, and not wrong";
  }
  if (
    theyStartLikeUs &&
    violation?.code === "ERR_INVALID_UTF8" &&
    !theyHaveMore.some(isMessage) &&
    (theirs.violation !== undefined || theyHaveMore.at(-1)?.kind === "close")
  ) {
    return "ws looks at a text when all of it is there: other frames, or mistakes, may come before that";
  }
  return agreement === "none" ? undefined : knownDeflateDifference(agreement, ours, theirs);
}

function knownDeflateDifference(agreement: Agreement, ours: Ours, theirs: Theirs): string | undefined {
  const { events, violation } = split(ours.events);
  const weStartLikeThem = isDeepStrictEqual(events.slice(0, theirs.events.length), theirs.events);
  if (
    weStartLikeThem &&
    INFLATE_CLOSE_CODES.includes(theirs.violation) &&
    !events.slice(theirs.events.length).some(isMessage)
  ) {
    if (events.length === theirs.events.length && INFLATE_CLOSE_CODES.includes(violation?.closeCode)) {
      return "a stream that is both too long and wrong may be called either";
    }
    if (events.length > theirs.events.length || violation?.closeCode !== theirs.violation) {
      return "ws inflates each fragment as it comes: it sees what is wrong before later frames";
    }
  }
  const last = ours.inflations.at(-1);
  if (violation?.code === "ERR_INVALID_DEFLATE" && last?.index === events.length && isTruncated(last)) {
    if (isDeepStrictEqual(theirs.events.slice(0, events.length), events)) {
      return "ws takes a stream that ends in the middle of a block";
    }
  }
  const empty = ours.inflations.find(({ payload }) => payload.length === 0);
  if (empty !== undefined && agreement === "context" && startAlike(ours, theirs, empty.index + 1)) {
    return "a payload of nothing, which zlib gives for a second empty message, leaves ws in the middle of a block";
  }
  const final = ours.inflations.find(hasFinalBlock);
  if (final !== undefined && startAlike(ours, theirs, final.index)) {
    return "ws gives up a message's rest, and all context, at a final block; RFC 7692 section 7.2.3.4 lets both go on";
  }
  return undefined;
}

function startAlike(ours: Ours, theirs: Theirs, events: number): boolean {
  return isDeepStrictEqual(theirs.events.slice(0, events), ours.events.slice(0, events));
}

function isMessage({ kind }: Seen): boolean {
  return kind === "text" || kind === "binary";
}

const SYNC_TAIL = Buffer.from([0x00, 0x00, 0xff, 0xff]);
/** The first byte of a further block. */
const ANYTHING = Buffer.from([0x00]);
const LAST_BLOCK = Buffer.from([0x01, 0x00, 0x00, 0xff, 0xff]);

/**
 * Returns true if a stream in which zlib finds no error stops before the end of a block. zlib then reads the bytes
 * after it as more of this block, which may well end somewhere in there.
 */
function isTruncated(inflation: Inflation): boolean {
  if (hasFinalBlock(inflation)) return false;
  const input = Buffer.concat([inflation.payload, SYNC_TAIL]);
  const given = inflate(inflation, input);
  if (given === undefined) return false;
  const ended = inflate(inflation, Buffer.concat([input, LAST_BLOCK]), false);
  return !isDeepStrictEqual(ended, { taken: input.length + LAST_BLOCK.length, given: given.given });
}

/**
 * Returns true if a block is marked as the last, after which zlib reads nothing. The tail itself may complete that
 * block (for example the payload 01). Node doesn't report an end after which nothing follows, so ws notices the end one
 * message late, and loses that message.
 */
function hasFinalBlock(inflation: Inflation): boolean {
  const input = Buffer.concat([inflation.payload, SYNC_TAIL, ANYTHING]);
  const inflated = inflate(inflation, input);
  return inflated !== undefined && inflated.taken < input.length;
}

/**
 * Inflates a stream to its end, or to where it is cut off. Returns the number of bytes read and written; undefined if
 * the stream is invalid.
 */
function inflate(
  { context }: Inflation,
  input: Buffer,
  mayBeCutOff = true,
): { taken: number; given: number } | undefined {
  try {
    const { engine, buffer } = inflateRawSync(input, {
      info: true,
      ...(mayBeCutOff && { finishFlush: constants.Z_SYNC_FLUSH }),
      ...(context.length > 0 && { dictionary: context }),
    }) as unknown as { engine: { bytesWritten: number }; buffer: Buffer };
    return { taken: engine.bytesWritten, given: buffer.length };
  } catch {
    return undefined;
  }
}
