import type { Writable } from "node:stream";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import * as ws from "ws";
import { decode, type Seen, seenClose } from "./decoding.ts";
import { cuts, SESSION_LIMITS, type Session, session, split } from "./sessions.ts";

/** The part of `ws` that this project's decoder has a counterpart in; its types leave it out. */
const { Receiver } = ws as unknown as { Receiver: new (options: object) => Writable };

/** What of two implementations can be compared: events without our own codes, and the end's close code. */
interface Outcome {
  readonly events: readonly Seen[];
  /** Of the violation, or undefined when the peer closed. */
  readonly violation: number | undefined;
}

/** What ws sees in these bytes. */
async function receiveWithWs(bytes: Buffer): Promise<Outcome> {
  const { maxPayloadBytes: maxPayload, maxFragments } = SESSION_LIMITS;
  const receiver = new Receiver({ isServer: true, allowSynchronousEvents: true, maxPayload, maxFragments });
  const events: Seen[] = [];
  const seen = (kind: "text" | "binary" | "ping" | "pong", data: Buffer) =>
    events.push({ kind, payload: data.toString("hex") });
  receiver.on("message", (data: Buffer, isBinary: boolean) => seen(isBinary ? "binary" : "text", data));
  receiver.on("ping", (data: Buffer) => seen("ping", data));
  receiver.on("pong", (data: Buffer) => seen("pong", data));
  receiver.on("conclude", (code: number, reason: Buffer) => events.push(seenClose(code, reason.toString())));
  receiver.on("error", () => {});
  const error = await new Promise<Error | null | undefined>((resolve) => receiver.write(Buffer.from(bytes), resolve));
  return { events, violation: error == null ? undefined : statusOf(error) };
}

function statusOf(error: Error): number {
  const symbol = Object.getOwnPropertySymbols(error).find(({ description }) => description === "status-code");
  return symbol === undefined ? Number.NaN : ((error as unknown as Record<symbol, number>)[symbol] ?? Number.NaN);
}

type Mutation = { readonly at: number; readonly value: number; readonly what: "flip" | "insert" | "remove" | "cut" };

const mutation: fc.Arbitrary<Mutation> = fc.record({
  at: fc.nat(),
  value: fc.integer({ min: 1, max: 255 }),
  what: fc.constantFrom("flip", "flip", "flip", "insert", "remove", "cut"),
});

function mutate(bytes: Buffer, { at, value, what }: Mutation): Buffer {
  if (bytes.length === 0) return bytes;
  // Headers are where mistakes matter, so half of the mutations are near the front.
  const place = at % 2 === 0 ? at % bytes.length : at % Math.min(bytes.length, 32);
  const before = bytes.subarray(0, place);
  const after = bytes.subarray(place + 1);
  const byte = bytes[place] ?? 0;
  if (what === "flip") return Buffer.concat([before, Buffer.from([byte ^ value]), after]);
  if (what === "insert") return Buffer.concat([before, Buffer.from([value, byte]), after]);
  if (what === "remove") return Buffer.concat([before, after]);
  return before;
}

/** Completes any frame that could be pending, and then breaks the protocol: every stream comes to an end. */
const EPILOGUE = Buffer.alloc(SESSION_LIMITS.maxPayloadBytes + 32);

const smallSession = session.filter(({ frames }) => frames.every(({ length }) => length < 1_000));

function compare(ours: Seen[], theirs: Outcome): void {
  const last = ours.at(-1);
  if (last?.kind !== "violation") {
    expect(theirs).toEqual({ events: ours, violation: undefined });
    return;
  }
  const before = ours.slice(0, -1);
  const after = theirs.events.slice(before.length);
  expect(theirs.events.slice(0, before.length)).toEqual(before);
  switch (last.code) {
    // ws reads on here: it doesn't ask for minimal lengths, and gives the top bit another code.
    case "ERR_LENGTH_NOT_MINIMAL":
    case "ERR_LENGTH_TOP_BIT":
      return;
    // ws looks at a text when all of it is there, so it may see control frames, or another mistake, before that.
    case "ERR_INVALID_UTF8":
      expect(after.filter(({ kind }) => kind === "text" || kind === "binary")).toEqual([]);
      if (after.at(-1)?.kind !== "close") expect(theirs.violation).toBeGreaterThanOrEqual(1002);
      return;
    default:
      expect(after).toEqual([]);
      expect(theirs.violation).toBe(last.closeCode);
  }
}

async function agree({ frames }: Session, mutations: readonly Mutation[], cuts: readonly number[]): Promise<void> {
  const bytes = Buffer.concat([mutations.reduce(mutate, Buffer.concat(frames)), EPILOGUE]);
  compare(decode(split(bytes, cuts), SESSION_LIMITS), await receiveWithWs(bytes));
}

describe("the decoder and the Receiver of ws", () => {
  it("see the same in valid sessions", async () => {
    await fc.assert(
      fc.asyncProperty(session, cuts, (session, cuts) => agree(session, [], cuts)),
      { numRuns: 200 },
    );
  });

  it("see the same in sessions with some bytes changed", async () => {
    const mutations = fc.array(mutation, { minLength: 1, maxLength: 4 });
    await fc.assert(fc.asyncProperty(smallSession, mutations, cuts, agree), { numRuns: 1_500 });
  });

  it("see the same in bytes of no meaning", async () => {
    const noise = fc.uint8Array({ maxLength: 100 }).map((bytes) => ({ frames: [Buffer.from(bytes)], events: [] }));
    await fc.assert(
      fc.asyncProperty(noise, cuts, (noise, cuts) => agree(noise, [], cuts)),
      { numRuns: 500 },
    );
  });
});
