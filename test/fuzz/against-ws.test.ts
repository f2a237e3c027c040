import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SESSION_LIMITS, session } from "../wire/protocol/decoding/sessions.ts";
import { judge } from "./verdict.ts";

type Mutation = { readonly at: number; readonly value: number; readonly what: "flip" | "insert" | "remove" | "cut" };

const mutation: fc.Arbitrary<Mutation> = fc.record({
  at: fc.nat(),
  value: fc.integer({ min: 1, max: 255 }),
  what: fc.constantFrom("flip", "flip", "flip", "insert", "remove", "cut"),
});

function mutate(bytes: Buffer, { at, value, what }: Mutation): Buffer {
  if (bytes.length === 0) return bytes;
  // Mistakes matter most in headers, so half of the mutations are near the front.
  const place = at % 2 === 0 ? at % bytes.length : at % Math.min(bytes.length, 32);
  const before = bytes.subarray(0, place);
  const after = bytes.subarray(place + 1);
  const byte = bytes[place] ?? 0;
  if (what === "flip") return Buffer.concat([before, Buffer.from([byte ^ value]), after]);
  if (what === "insert") return Buffer.concat([before, Buffer.from([value, byte]), after]);
  if (what === "remove") return Buffer.concat([before, after]);
  return before;
}

const valid = session.map(({ frames }) => Buffer.concat(frames));
const small = valid.filter(({ length }) => length < 2_000);
const mutations = fc.array(mutation, { minLength: 1, maxLength: 4 });
const noise = fc.uint8Array({ maxLength: 100 }).map((bytes) => Buffer.from(bytes));

/** Gives these bytes to both decoders, without compression. */
async function agree(bytes: Buffer, cuts: number): Promise<void> {
  const { agrees, ours, theirs } = await judge({ role: "server", agreement: "none", cuts, bytes }, SESSION_LIMITS);
  if (!agrees) expect(ours).toEqual(theirs);
}

describe("our decoder and the Receiver of ws", () => {
  it("agree on valid sessions", async () => {
    await fc.assert(fc.asyncProperty(valid, fc.nat(), agree), { numRuns: 200 });
  });

  it("agree on sessions with some bytes changed", async () => {
    const changed = fc.tuple(small, mutations).map(([bytes, mutations]) => mutations.reduce(mutate, bytes));
    await fc.assert(fc.asyncProperty(changed, fc.nat(), agree), { numRuns: 1_500 });
  });

  it("agree on random bytes", async () => {
    await fc.assert(fc.asyncProperty(noise, fc.nat(), agree), { numRuns: 500 });
  });
});
