/**
 * The form in which topics keep publications. Whoever publishes to a channel writes it; the push encoders and the
 * actors read it.
 *
 * - A text message is the JSON data of a publication: a program of one's own may publish `JSON.stringify(value)`.
 * - A binary message that begins with the four bytes of `MAGIC` is an envelope: one byte of flags, then a Protobuf
 *   Publication without offset.
 * - Any other binary message is binary data.
 */
import { isJson as isJsonText } from "./json/validate.ts";
import type { ClientInfo, StoredMessage } from "./messages.ts";
import { encodePublication } from "./protobuf/encode.ts";
import { decodePublication } from "./protobuf/publication.ts";

/** "\0sb1": no text begins with a NUL. Data of others that might begin so is published in an envelope. */
const MAGIC = 0x00_73_62_31;

/** Offset of the flags in an envelope, in bytes. */
const FLAGS_AT = 4;

/** Length of the magic and the flags, in bytes. The Publication follows. */
export const ENVELOPE_HEADER_BYTES = 5;

/** Bits of the flags. The other bits are for later, and ignored until then. */
const FLAGS = {
  /** The data, and what `info` tells, are valid JSON. */
  json: 1,
  /** The publisher wants deltas for this publication. */
  delta: 2,
} as const;

/** A publication without its position. */
export interface StoredPublication {
  readonly data: Buffer;
  /** The client that published; undefined for publishes over the API. */
  readonly info?: ClientInfo | undefined;
  readonly tags?: Readonly<Record<string, string>> | undefined;
  /** Time of the publish, in ms since 1970. */
  readonly time?: number | undefined;
  /** True if `data`, and what `info` tells, are valid JSON. Only then JSON clients can get the publication. */
  readonly isJson: boolean;
  /** True if the publisher wants deltas for this publication. Default: false. */
  readonly delta?: boolean | undefined;
}

/**
 * Encodes an envelope, to be published as a binary message. `isJson` is taken on trust: check data of others by
 * `isJson` of `json/validate.ts`.
 */
export function encodeStored({ data, info, tags, time, isJson, delta }: StoredPublication): Buffer {
  const publication = encodePublication({ data, info, tags, time });
  const stored = Buffer.allocUnsafe(ENVELOPE_HEADER_BYTES + publication.length);
  stored.writeUInt32BE(MAGIC);
  stored[FLAGS_AT] = (isJson ? FLAGS.json : 0) | (delta === true ? FLAGS.delta : 0);
  stored.set(publication, ENVELOPE_HEADER_BYTES);
  return stored;
}

/** Says whether a message is an envelope. */
export function isEnvelope({ type, bytes }: StoredMessage): boolean {
  return type === "binary" && bytes.length >= ENVELOPE_HEADER_BYTES && bytes.readUInt32BE(0) === MAGIC;
}

/** Reads a stored publication. `data` is a view of `message`. An envelope that is malformed is binary data. */
export function decodeStored(message: StoredMessage): StoredPublication {
  const { type, bytes } = message;
  if (isEnvelope(message)) {
    const publication = decodePublication(bytes, ENVELOPE_HEADER_BYTES);
    if (publication !== undefined) {
      const { data, info, tags, time } = publication;
      const flags = bytes[FLAGS_AT] as number;
      // Empty data isn't JSON, whatever the publisher says.
      const isJson = (flags & FLAGS.json) !== 0 && data.length > 0;
      return { data, info, tags, time, isJson, delta: (flags & FLAGS.delta) !== 0 };
    }
  }
  return { data: bytes, isJson: type === "text" && isJsonText(bytes), delta: false };
}
