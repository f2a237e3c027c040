/** A session of the fuzzer: its type, its hex form, and its split into reads. */
import type { DecoderOptions } from "../../src/wire/protocol/decoding/decoder.ts";
import type { Role } from "../../src/wire/protocol/role.ts";
import { Random } from "./random.ts";

/** Compression of a session: none, each message alone, or each message with the earlier ones as its context. */
export const AGREEMENTS = ["none", "alone", "context"] as const;
export type Agreement = (typeof AGREEMENTS)[number];

const ROLES: readonly Role[] = ["server", "client"];

/** Limits of both decoders. */
export type Limits = Pick<DecoderOptions, "maxPayloadBytes" | "maxFragments">;

/** Small limits, so that mutations exceed them. */
export const LIMITS: Limits = {
  maxPayloadBytes: 2_000,
  maxFragments: 8,
};

/** The input of one run: everything that its result depends on. */
export interface Session {
  /** Role of our end. */
  readonly role: Role;
  readonly agreement: Agreement;
  /** Seed of the cuts between reads. */
  readonly cuts: number;
  readonly bytes: Buffer;
}

/** The session as one hex string, for `--replay`. */
export function toHex({ role, agreement, cuts, bytes }: Session): string {
  const head = Buffer.from([ROLES.indexOf(role) * AGREEMENTS.length + AGREEMENTS.indexOf(agreement), 0, 0, 0, 0]);
  head.writeUInt32BE(cuts, 1);
  return Buffer.concat([head, bytes]).toString("hex");
}

export function fromHex(hex: string): Session {
  const all = Buffer.from(hex, "hex");
  const first = all[0] ?? 0;
  const role = ROLES[Math.floor(first / AGREEMENTS.length)];
  const agreement = AGREEMENTS[first % AGREEMENTS.length];
  if (all.length < 5 || role === undefined || agreement === undefined) throw new RangeError("that isn't a session");
  return { role, agreement, cuts: all.readUInt32BE(1), bytes: all.subarray(5) };
}

/** Splits the bytes into reads: whole, byte by byte, or cut anywhere. */
export function reads(bytes: Buffer, cuts: number): Buffer[] {
  const random = new Random(cuts);
  const longest = random.pick([1, 3, 16, 200, bytes.length + 1]);
  const chunks: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = longest > bytes.length ? bytes.length : at + 1 + random.below(longest);
    chunks.push(bytes.subarray(at, end));
    at = end;
  }
  return chunks;
}
